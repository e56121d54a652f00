"""The claims as one picture: a line for each, a field for each of its parts, coloured by the verdict."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidelta.claims.claim import FAILS, HOLDS, OPEN
from minidelta.errors import ConfigError

COLOURS = {HOLDS: "#009E73", OPEN: "#cbd5e1", FAILS: "#E69F00"}  # green and orange of Okabe and Ito: told apart by all eyes
MARKS = {HOLDS: "+", OPEN: "?", FAILS: "-"}  # for those who print it in grey
PICTURES = (".png", ".svg", ".pdf")


def board(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Draw the table of claims.

    Args:
        rows: as `row` gives them; claims that were never measured are left out.
        file: a .png, .svg or .pdf.
    Raises: ConfigError for another kind of file, or one that cannot be written.
    """
    if file.suffix.lower() not in PICTURES:
        raise ConfigError(f"{file.name} is no picture that can be drawn; end the name in {', '.join(PICTURES)}.")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows = [line for line in rows if line["parts"]]
    most = max((len(line["parts"]) for line in rows), default=1)
    figure = Figure(figsize=(5.5 + 1.35 * most, 1.2 + 0.5 * len(rows)))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, line in enumerate(rows):
        for column, part in enumerate(line["parts"]):
            axes.barh(place, 0.96, left=column, height=0.86, color=COLOURS[part["verdict"]])
            axes.text(column + 0.48, place, textwrap.fill(f"{MARKS[part['verdict']]} {part['name']}", 16), ha="center", va="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [textwrap.fill(f"{line['id']}  {line['claim']}", 62) for line in rows], fontsize=7)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0, most), xticks=[])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    names = {HOLDS: "holds", OPEN: "inconclusive: the interval crosses the margin", FAILS: FAILS}
    axes.legend(handles=[Patch(color=COLOURS[key], label=f"{MARKS[key]} {name}") for key, name in names.items()], loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, frameon=False, fontsize=8)
    try:
        figure.savefig(file, dpi=130, bbox_inches="tight")
    except OSError as problem:
        raise ConfigError(f"{file} cannot be written ({problem.strerror}). Choose another place.") from None
