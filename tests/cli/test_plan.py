"""`minidelta plan` as a person meets it."""

import json
import re
import shutil

import pytest

from minidelta import cli
from minidelta.delta import METHODS
from minidelta.hub import PUBLISHED, load_config, load_model
from tests.cli.test_words import mistake


def test_a_plan_for_a_model_that_fits_nowhere(capsys, tmp_path):
    assert cli.main(["plan", "--model", "175B", "--method", "lora", "--rank", "4", "--tasks", "1000", "--dtype", "bfloat16"]) == 0
    out = capsys.readouterr().out
    assert "96 layers, 12,288 wide" in out and "174,604,259,328" in out and "18,874,368" in out
    assert "37.7 MB" in out and "350 GB" not in out and "349 GB" in out  # of a task; of the weights
    assert "bfloat16: weights" in out and "2 bytes x parameters" in out


def test_methods_by_comma_and_again_as_json_with_a_picture(capsys, tmp_path):
    words = ["plan", "--model", "gpt2", "--method", "lora,bitfit", "--method", "head", "--length", "64", "--json", "--figure"]
    assert cli.main([*words, str(tmp_path / "new" / "plan.png")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["methods"]] == ["full", "lora", "bitfit", "head"] and found["config"]["n_layers"] == 12
    assert (tmp_path / "new" / "plan.png").read_bytes().startswith(b"\x89PNG") and found["figure"].endswith("plan.png")


@pytest.mark.parametrize("family", ["bert", "gpt", "t5"])
def test_a_folder_needs_no_weights(family, folders, tmp_path, capsys):
    shutil.copy(folders[family] / "config.json", tmp_path)
    assert load_config(tmp_path) == load_config(folders[family]) == load_model(folders[family]).config
    assert cli.main(["plan", "--model", str(tmp_path), "--length", "20", "--json"]) == 0
    whole = load_model(folders[family])
    heads = 2 * (whole.config.d_model + 1) * (family == "bert")
    assert json.loads(capsys.readouterr().out)["methods"][0]["total"] == sum(p.numel() for p in whole.parameters()) + heads


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "gpt2-xxl"], "Did you mean gpt2-xl"),
        (["--model", "no/such/folder"], "There is no folder no/such/folder"),
        (["--model", "gpt2", "--method", "lorra"], "Did you mean lora"),
        (["--model", "gpt2", "--length", "2000"], "the model has 1024 positions"),
        (["--model", "gpt2", "--length", "0"], "'0' is not a whole number of at least 1"),
        (["--model", "gpt2", "--tasks", "-1"], "--tasks"),
        (["--model", "gpt2", "--dropout", "1"], "'1' is not a share"),
        (["--model", "gpt2", "--dtype", "int8"], "Known: float32, bfloat16"),
        (["--model", "gpt2", "--figure", "plan.doc"], "plan.doc does not end like a picture"),
        (["--model", "t5-small", "--method", "bitfit", "--length", "16"], "T5 has no biases"),
        (["--model", "bert-base-uncased", "--method", "prompt-tuning"], "cut the text to 492 tokens"),
        ([], "required: --model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in mistake(capsys, "plan", *words)


def test_the_help_names_models_and_methods_that_exist():
    methods = re.findall(r"--method (\S+)", cli.plan.EXAMPLES)
    assert methods and {name for words in methods for name in words.split(",")} <= {"full", "head", *METHODS}
    named = cli.plan.EXAMPLES.split("Nothing is loaded")[1]
    assert all(f" {name}," in named.replace("\n", " ") or f" {name} " in named for name in PUBLISHED)
