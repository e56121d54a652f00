"""The machinery of the claims, on a claim that needs no model; and the promises of the real ones."""

import json
import statistics

import pytest

from minidelta import cli
from minidelta.claims import CLAIMS, choose, diet, in_words, measure, read, row
from minidelta.claims.claim import FAILS, HOLDS, OPEN, Claim, Part, interval, judge
from minidelta.errors import ConfigError
from minidelta.world.documents import documents


def toy(do=lambda run: {"score": run["arm"] + run["seed"] / 100}, margin: float = 0.5) -> Claim:
    def runs(light):
        return [{"arm": arm, "seed": seed} for seed in range(2 if light else 5) for arm in (0, 1)]

    def difference(runs):
        score = {run["arm"]: run["score"] for run in runs}
        return score[1] - score[0]

    return Claim("C0", "nowhere", "one is more than nothing", "none", (Part("more", "one beats nothing", margin, difference),), runs, do)


@pytest.mark.parametrize(
    ("figures", "margin", "verdict"),
    [([0.5, 0.6, 0.5, 0.6, 0.5], 0.4, HOLDS), ([0.5, 0.6, 0.5, 0.6, 0.5], 0.7, FAILS), ([0.5, 0.6, 0.5, 0.6, 0.5], 0.54, OPEN)],
)
def test_the_verdict_is_where_the_interval_lies(figures, margin, verdict):
    runs = [{"arm": arm, "seed": seed, "score": arm * figure} for seed, figure in enumerate(figures) for arm in (0, 1)]
    found = judge(toy(margin=margin), runs)
    assert found["verdict"] == found["parts"][0]["verdict"] == verdict
    low, high = found["parts"][0]["interval"]
    half = 2.776 * statistics.stdev(figures) / 5**0.5
    assert (low, high) == pytest.approx((0.54 - half, 0.54 + half), abs=1e-4)


def test_one_failing_part_fails_the_claim():
    good, bad = toy().parts[0], Part("bad", "never", 9.0, lambda runs: float(runs[0]["seed"]))
    open_part = Part("open", "who knows", 2.0, lambda runs: float(runs[0]["seed"]))
    runs = [{"arm": arm, "seed": seed, "score": arm + seed / 100} for seed in range(5) for arm in (0, 1)]
    for parts, verdict in (((good,), HOLDS), ((good, open_part), OPEN), ((good, open_part, bad), FAILS)):
        claim = Claim("C0", "", "", "", parts, toy().runs, toy().do)
        assert judge(claim, runs)["verdict"] == verdict


def test_one_seed_has_no_interval():
    with pytest.raises(ConfigError, match="two seeds"):
        interval([0.5])


def test_an_interrupted_measurement_goes_on_and_is_whole_in_the_end(tmp_path):
    seen = []

    def do(run):
        if len(seen) == 7:
            seen.append("stop")
            raise KeyboardInterrupt
        seen.append(run)
        return {"score": float(run["arm"])}

    claim = toy(do)
    with pytest.raises(KeyboardInterrupt):
        measure(claim, folder=tmp_path)
    assert read(claim, folder=tmp_path) is None, "half a measurement is no record"
    record = measure(claim, folder=tmp_path)
    assert len(seen) == 11 and len(record["runs"]) == 10, "no run was done twice"
    assert [path.name for path in tmp_path.iterdir()] == ["C0.json"] and read(claim, folder=tmp_path) == record
    assert record["verdict"] == HOLDS and record["seeds"] == [0, 1, 2, 3, 4] and not record["light"]
    light = measure(claim, light=True, folder=tmp_path)
    assert light["seeds"] == [0, 1] and read(claim, folder=tmp_path) == record, "a light one never replaces the record"
    assert "one beats nothing: +1.000" in in_words(row(claim, record))


CONTRACT = {"id", "section", "claim", "paper", "ours", "interval", "verdict", "minutes", "seeds", "commit"}


def test_the_table_as_json(capsys):
    assert cli.main(["claims", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [line["id"] for line in rows] == list(CLAIMS) and all(set(line) >= CONTRACT for line in rows)
    assert cli.main(["claims", "c1"]) == 0 and capsys.readouterr().out.startswith("C1 (fine-tuning): pre-training helps")
    assert cli.main(["claims", "C99"]) == 2 and "There is no claim 'C99'" in capsys.readouterr().err


def test_the_table_in_markdown_and_as_a_picture(tmp_path, capsys):
    for file in ("board.png", "board.svg"):
        assert cli.main(["claims", "--markdown", "--figure", str(tmp_path / file)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len(CLAIMS) + 2 and {line.count("|") for line in lines} == {11} and lines[1].startswith("|---|")
        assert (tmp_path / file).stat().st_size > 5000
    drawn = (tmp_path / "board.svg").read_text(encoding="utf-8")
    assert all(f"<!-- {identity} " in drawn or f"{identity}  " in drawn for identity in ("C1", "C27"))
    assert cli.main(["claims", "--figure", str(tmp_path / "board.doc")]) == 2 and "end the name in .png" in capsys.readouterr().err
    assert cli.main(["claims", "--figure", str(tmp_path / "no" / "board.png")]) == 2 and "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_every_claim_is_stated_whole(claim):
    full, light = claim.runs(False), claim.runs(True)
    assert len({run["seed"] for run in full}) >= 5 and len(light) < len(full) and len({run["seed"] for run in light}) >= 2
    assert len({json.dumps(run) for run in full}) == len(full), "no run stands there twice"
    for runs in (full, light):
        scored = [run | {"score": 0.5} for run in runs]
        assert [part["mean"] for part in judge(claim, scored)["parts"]] == [0.0] * len(claim.parts), "equal arms make no difference"


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_the_record_says_what_its_runs_say(claim):
    record = read(claim)
    if record is None:
        pytest.skip(f"{claim.id} has not been measured yet")
    assert {key: record[key] for key in ("parts", "verdict", "seeds")} == judge(claim, record["runs"])
    assert len(record["runs"]) == len(claim.runs(False))


def test_choose_keeps_the_order_asked_for():
    assert [claim.id for claim in choose(["c2", "C1"])] == ["C2", "C1"] and [claim.id for claim in choose([])] == list(CLAIMS)


def test_each_diet_lacks_what_it_says():
    def some(arm):
        stream = documents(5, diet.ARMS[arm][0])
        return [next(stream) for _ in range(400)]

    whole = some("as it is")
    plain = documents(5)
    assert whole == [next(plain) for _ in range(400)]
    assert {document.kind for document in whole} - {document.kind for document in some("no glossary")} == {"definition"}
    length = {arm: statistics.mean(len(one.parts) for one in some(arm) if one.kind == "review") for arm in ("as it is", "no closings")}
    assert length["as it is"] - length["no closings"] == pytest.approx(2, abs=0.4)
    assert [favour for _, favour in diet.ARMS.values()] == [1.0, 1.0, 1.0, 0.0]
