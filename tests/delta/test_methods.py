"""The dictionary of methods, and what a method refuses before it begins."""

import inspect

import pytest
import torch

import minidelta.delta
from minidelta import listing
from minidelta.delta import METHODS, Delta, LoRA, Mixed, PrefixTuning, PromptTuning, tree
from minidelta.delta.table import PAGE
from minidelta.errors import ConfigError, DeltaError
from minidelta.learner import UNBOUNDED, Learner
from tests.delta.test_contract import CANNOT, build
from tests.delta.tiny import tiny
from tests.finetune.tiny import tokenizer

NEEDS = ("spot", "fish", "ipt", "task-arithmetic", "adapter-fusion")  # data or other deltas, to begin with


def test_every_delta_is_exported_and_has_a_name_a_rate_and_a_line():
    kinds = {value for value in vars(minidelta.delta).values() if inspect.isclass(value) and issubclass(value, Delta) and value not in (Delta, Mixed)}  # Mixed brings deltas together, and is none to train
    assert kinds == set(METHODS.values()) and {kind.__name__ for kind in kinds} <= set(minidelta.delta.__all__)
    assert all(method.name == name and 0 < method.learning_rate < 1 and method.__doc__ for name, method in METHODS.items())
    assert [row["name"] for row in listing.methods()] == ["full", "head", "prompt", "incontext", *METHODS]


@pytest.mark.parametrize(("method", "shape"), CANNOT)
def test_a_method_that_can_do_nothing_for_a_shape_says_why(method, shape):
    model = tiny(shape)
    with pytest.raises(DeltaError) as told:
        build(method, shape).attach(model)
    assert f"] {str(told.value).splitlines()[0]}" in PAGE.read_text(encoding="utf-8")
    assert not hasattr(model, "deltas") and all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("method", NEEDS)
def test_a_method_that_needs_something_to_begin_says_so_at_once(method):
    with pytest.raises(DeltaError, match="none (was|were) given"):
        METHODS[method]()


@pytest.mark.parametrize("method", [method for method in METHODS if method not in NEEDS])
def test_every_other_method_is_built_with_defaults(method):
    assert METHODS[method]().targets == list(METHODS[method].default_targets)


def test_a_tree_shows_what_trains_and_draws_equal_layers_once():
    model = tiny("encoder-decoder")
    LoRA(rank=2).attach(model)
    PrefixTuning(targets="cross.kv").attach(model)
    drawn = tree(model)
    assert drawn.total == sum(p.numel() for p in model.parameters()) and drawn.trains == sum(p.numel() for p in model.parameters() if p.requires_grad)
    lines = [line.strip() for line in str(drawn).splitlines()]
    assert sum(line.startswith("0-1 ") and "each" in line for line in lines) == 1  # the decoder's layers differ: the first holds what prefixes share
    assert sum(line.startswith("<- lora ") for line in lines) == 2 * 1 + 2 * 4 and all(line.endswith("trains") for line in lines if line.startswith("<-"))
    page = drawn._repr_html_()
    assert page.count("<details") == page.count("</details>") and "&lt;- lora" in page and "<b>" in page


def test_training_leaves_room_for_a_prompt():
    """A text as long as the model's positions and a prompt do not fit together: the text is cut, not the run."""
    learner = Learner(tiny("encoder"), tokenizer("bert"), None)
    learner.make_room(20)
    assert learner.max_length == 64 - 20
    learner = Learner(tiny("encoder-decoder"), tokenizer("t5"), None)
    learner.make_room(20)
    assert learner.max_length == UNBOUNDED
    PromptTuning().attach(model := tiny("decoder"))
    with pytest.raises(ConfigError, match=r"84 tokens long \(20 of them are a prompt\).*cut the text to 44"):
        model(torch.ones(1, 64, dtype=torch.long))
