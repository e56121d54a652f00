"""Which sites a delta hangs on: names turned into paths, and a helpful answer when nothing fits."""

import re
from collections.abc import Iterable, Sequence

from torch import nn

from minidelta.errors import DeltaError, near_misses

PRESETS = {
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "feed-forward": ("up_proj", "gate_proj", "down_proj"),
    "linear": ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "gate_proj", "down_proj"),
}


def find_sites(model: nn.Module, targets: str | Sequence[str]) -> list[str]:
    """The paths of the sites that the targets mean, in the order of the model.

    Args:
        model: a Transformer, or anything with `sites() -> dict[path, site]`.
        targets: one or several of
            a suffix, whole names only: "q_proj", "attn.q_proj", or a full path;
            a pattern: a regular expression that matches a whole path, such as r"layers\\.[01]\\..*v_proj";
            a preset: "attention", "feed-forward", "linear".
    Raises: DeltaError for a target that meets no site, with the near misses and the tree of sites.
    """
    paths, found = list(model.sites()), set()
    for target in [targets] if isinstance(targets, str) else targets:
        hits = _matching(paths, target)
        if not hits:
            parts = list(dict.fromkeys(part for path in paths for part in (path.rsplit(".", 1)[-1], ".".join(path.rsplit(".", 2)[-2:]) if path.count(".") > 1 else path) if not part[0].isdigit()))
            raise DeltaError(f"No site of this model is called {target!r}. {near_misses(str(target), [*parts, *PRESETS])}\n{site_tree(paths)}")
        found.update(hits)
    if not found:
        raise DeltaError(f"No targets were given. Name at least one site.\n{site_tree(paths)}")
    return [path for path in paths if path in found]


def site_tree(paths: Iterable[str]) -> str:
    """The sites as an indented tree, with equal layers drawn once.

    >>> print(site_tree(["embed_out", "layers.0.attn.q_proj", "layers.0.attn_out", "layers.1.attn.q_proj", "layers.1.attn_out"]))
      embed_out
      layers.0-1
        attn: q_proj
        attn_out
    """
    stacks: dict[str, list[str]] = {}  # "layers" -> the layer numbers in it
    lines: dict[str, dict[str, list[str]]] = {}  # "layers" -> "attn" -> ["q_proj", ...]
    for path in paths:
        stack, number, rest = (re.match(r"(.*layers)\.(\d+)\.(.*)", path) or re.match(r"()()(.*)", path)).groups()
        if number not in stacks.setdefault(stack, []):
            stacks[stack].append(number)
        group, _, leaf = rest.rpartition(".")
        leaves = lines.setdefault(stack, {}).setdefault(group or leaf, [])
        if group and leaf not in leaves:
            leaves.append(leaf)
    text = []
    for stack, groups in lines.items():
        first, last = stacks[stack][0], stacks[stack][-1]
        text += [f"  {stack}.{first}-{last}" if first != last else f"  {stack}.{first}"] if stack else []
        text += [("    " if stack else "  ") + group + (": " + " ".join(leaves) if leaves else "") for group, leaves in groups.items()]
    return "\n".join(text)


def _matching(paths: list[str], target: str) -> list[str]:
    """The paths that one target means."""
    suffixes = PRESETS.get(target, (target,))
    hits = [path for path in paths if any(path == s or path.endswith("." + s) for s in suffixes)]
    if not hits:
        try:
            hits = [path for path in paths if re.fullmatch(target, path)]
        except re.error:  # not a pattern either
            pass
    return hits
