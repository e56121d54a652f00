"""`check` as a learner meets it: a card for one exercise, a table for a notebook, never a stop but under nbgrader."""

import numpy
import pytest
import torch

from minidelta.errors import ConfigError
from minidelta.grading import check
from minidelta.grading.child import encode
from minidelta.grading.key import spec
from minidelta.grading.values import changed, differ

RIGHT = "def bottleneck(h, down_weight, down_bias, up_weight, up_bias):\n    F = torch.nn.functional\n    out = h + F.linear(F.gelu(F.linear(h, down_weight, down_bias)), up_weight, up_bias)\n    return out"
BOTTLENECK = next(task for task in spec("11_adapters") if task.name == "bottleneck")


def said(code: str, capsys, name: str = "bottleneck") -> str:
    exec(code + f'\ncheck("{name}")', {"torch": torch, "check": check})
    return capsys.readouterr().out


def test_a_right_answer_and_what_is_not_run_here(capsys):
    out = said(RIGHT, capsys)
    assert out.startswith("bottleneck: 3 of 3 points (public; 1 more in hidden tests") and "✗" not in out and "all passed" not in out


def test_a_known_mistake_is_named(capsys):
    out = said(RIGHT.replace("out = h + ", "out = "), capsys)
    assert "Likely: the residual is missing" in out and "called with" in out and "came back" in out and "expected" in out and "Hint:" in out


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (RIGHT.replace("return out", ""), "None"),
        (RIGHT + ".numpy()", "numpy"),
        (RIGHT + ".double()", "float64"),
        (RIGHT + "[..., :1]", "shape"),
        (RIGHT + " / 0", "nan"),
        (RIGHT.replace("return out", "h.add_(1)\n    return out"), "changed"),
        (RIGHT.replace("F.gelu", "F.gellu"), "AttributeError"),
        ("", "there is no `bottleneck` yet"),
    ],
    ids=["nothing", "numpy", "dtype", "shape", "infinite", "in place", "raises", "not run"],
)  # fmt: skip
def test_common_slips_are_told(code, words, capsys):
    out = said(code, capsys)
    assert words in out.replace("NaN", "nan").replace("inf", "nan"), out
    assert "bottleneck: 0 of 3 points" in out


@pytest.mark.parametrize(
    ("got", "want", "words"),
    [
        ([[1, 2]], ([1, 2],), "the answer is a list, expected a tuple"),
        (3, 3.5, "the answer is an int, expected float"),
        (["a", "b", "c"], ["a", "b"], "the answer has 3 entries, expected 2: 'c' is one that does not belong"),
        (["a"], ["a", "b"], "the answer has 1 entry, expected 2"),
        (0.504, 0.5, "the answer is 0.504, which is not right"),
        (1.5, 0.5, "the answer is 1.5, which is not right: it is 3 times what it should be"),
        (503.2, 0.5, "the answer is 503.2, which is not right"),
        (0.25, 0.5, "the answer is 0.25, which is not right: it is 0.5 times what it should be"),
        (-0.5, 0.5, "the answer is -0.5, which is not right: it is the negative of what it should be"),
        (torch.tensor([1.21, 2.42]), torch.tensor([1.0, 2.0]), "every number of the answer is 1.21 times what it should be"),
        (torch.tensor([2.0]), torch.tensor([1.0]), "the answer is 2 times what it should be"),
        (torch.tensor([1.01, 2.02]), torch.tensor([1.0, 2.0]), "the answer has the right shape, but 2 of 2 numbers are wrong, the first at [0], where it has 1.01"),
        (numpy.float64(0.5), 0.5, "the answer is a numpy.float64, expected float: make it a Python number, float(x)"),
    ],
)  # fmt: skip
def test_a_difference_in_words(got, want, words):
    assert differ(encode(got), encode(want), 1e-4) == words


def test_what_was_called_can_be_called_again(capsys):
    space = {"torch": torch, "check": check}
    exec('check("names_that_train")', space | {"names_that_train": lambda names, rule, k: []})
    assert "rule='bitfit', k=" in capsys.readouterr().out
    assert changed(encode({"x": [1, 2]}), encode({"x": [1]}), ()) == "the input `x` was changed in place: work on a copy (begin with list(x))"


def test_what_was_not_begun_is_no_mistake(capsys):
    assert "not done yet" in said('def bottleneck(*inputs):\n    raise NotImplementedError("Exercise 1: bottleneck")', capsys)


def test_a_table_of_the_notebook(capsys):
    out = said(RIGHT, capsys, "11_adapters")
    assert "3 of  3" in out and "11_adapters: 3 of 24 public points; 5 more in hidden tests, not run here" in out


def test_under_nbgrader_lost_points_raise(capsys, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match="points lost"):
        said("", capsys)
    said(RIGHT, capsys)


def test_an_unknown_name_and_the_learner_s_random_state(capsys):
    with pytest.raises(ConfigError, match="bottleneck"):
        check("botleneck")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    said(RIGHT + "\n", capsys)
    assert torch.equal(torch.rand(2), expected)
