"""A training step lives on the model's device, and waits for nothing: shown on PyTorch's meta device, which stands in for a GPU.

A tensor there has a shape and no numbers.  So whatever asks for a number (`.item()`, `if tensor`, picking by a mask) raises, as it
would make a GPU finish first; and whatever was left on the CPU meets the model's tensors and is caught by `OnOneDevice`.
"""

import copy

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from minidelta.delta import METHODS, Delta
from minidelta.delta.table import example, stored
from minidelta.errors import ConfigError
from minidelta.finetune import learner_for
from minidelta.finetune.relation import REPRESENTATIONS
from minidelta.finetune.training import parameter_groups
from minidelta.learner import Learner
from minidelta.model import Transformer
from minidelta.pretrain.causal import CausalLM
from minidelta.pretrain.corpus import WorldCorpus, take
from minidelta.pretrain.masked import MaskedLM
from minidelta.pretrain.muon import hidden_first
from minidelta.pretrain.spans import SpanCorruption
from minidelta.prompt.answers import Answers
from minidelta.prompt.label_vectors import LabelVectors
from minidelta.prompt.learners import prompt_learner
from minidelta.prompt.prototypes import Prototypes
from minidelta.prompt.verbalizer import WordVerbalizer
from minidelta.train import fit

from tests.finetune import tiny
from tests.prompt import tiny as prompted

BEGINS_WITH_NUMBERS = {  # attached where there are some, then moved; what each of them looks at
    "fish": "gradients of examples",
    "magnitude-sparse": "the largest weights",
    "pissa": "singular vectors of the weights",
    "prompt-tuning": "vectors of words",
    "p-tuning": "vectors of words",
}
SHAPE_OF = {"bert": "encoder", "gpt": "decoder", "t5": "encoder-decoder"}
WORKS = {row["method"]: {shape for shape in SHAPE_OF.values() if row[shape] == "yes"} for row in stored()}
PAIRS = [(method, family) for method in METHODS for family, shape in SHAPE_OF.items() if shape in WORKS[method]]


class OnOneDevice(TorchDispatchMode):
    """Refuses an operation on tensors of two devices, but for a single number from the CPU, and every copy from one device to the other."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        copies = func.overloadpacket is torch.ops.aten._to_copy
        met = {tensor.device.type for tensor in tree_leaves((args, kwargs, out if copies else None)) if isinstance(tensor, torch.Tensor) and (tensor.dim() or copies)}
        assert len(met) < 2, f"{func} met tensors on {' and '.join(sorted(met))}"
        return out


class Enough(Exception):
    """One step is; two of a delta that does something in between."""


def steps(loss, batch, groups, delta=None) -> None:
    """As `train_task` takes them, up to where the loss is written down, which waits for the device."""
    enough = 1 if delta is None or type(delta).after_step is Delta.after_step else 2

    def on_step(done: int) -> None:
        if delta is not None:
            delta.after_step(done, 100)
        if done == enough:
            raise Enough

    with OnOneDevice(), pytest.raises(Enough):
        fit(lambda batch: loss(batch) + (delta.penalty() if delta is not None else 0.0), lambda number: batch, groups, steps=100, lr=1e-3, optimizer="sgd", log_every=100, on_step=on_step, progress=False)  # a fused AdamW wants numbers


def takes_steps(learner: Learner, batch, method: str, delta=None) -> None:
    groups = parameter_groups(learner, method, delta)
    learner.train()
    steps(learner.loss, batch, groups, delta)
    every = {id(p): p for p in [*learner.model.parameters(), *learner.model.buffers(), *learner.parameters()]}.values()
    assert all(tensor.is_meta for tensor in every)
    assert any(p.grad is not None for group in groups for p in group["params"])


def small(family: str, n_layers: int = 1) -> Transformer:
    return tiny.model(family, n_layers=n_layers, dropout=0.1)


def on_meta(family: str, kind: str = "classification", **settings):
    """A learner whose model has no numbers, and a batch for it."""
    model, task = small(family).to("meta"), tiny.task(kind, 4)
    learner = learner_for(model, tiny.tokenizer(family), task, **settings)
    return learner, learner.collate(task.train)


# -- the guard itself ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mistake", [lambda x: x @ torch.ones(4, 2), lambda x: x[torch.zeros(2, dtype=torch.long)], lambda x: torch.ones(2).to(x.device), lambda x: torch.tensor(2.0).to(x.device), lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: 1 if x.any() else 0])
def test_what_a_gpu_would_not_bear_is_noticed(mistake):
    with pytest.raises((AssertionError, RuntimeError, NotImplementedError)), OnOneDevice():
        mistake(torch.ones(3, 4, device="meta"))


# -- every delta, every learner, every objective -----------------------------------------------------------------


@pytest.mark.parametrize(("method", "family"), PAIRS)
def test_a_delta_trains_where_the_model_is(method, family):
    numbers, task = small(family, 2 if method == "adapter-drop" else 1), tiny.task("classification", 4)  # one of two layers goes without
    learner = learner_for(copy.deepcopy(numbers).to("meta"), tiny.tokenizer(family), task)
    delta = example(method, numbers)
    if method in BEGINS_WITH_NUMBERS:
        with pytest.raises((NotImplementedError, ConfigError)):
            copy.deepcopy(delta).attach(learner.model)
        delta.attach(numbers)
        learner = learner_for(numbers.to("meta"), learner.tokenizer, task)
    else:
        delta.attach(learner.model)
    learner.make_room(getattr(delta, "prompt_length", 0))
    takes_steps(learner, learner.collate(task.train), method, delta)


KINDS = [(kind, family) for kind in tiny.TASK_OF for family in tiny.FAMILIES if (kind, family) != ("generation", "bert")]


@pytest.mark.parametrize("method", ["full", "head"])
@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_a_learner_trains_where_the_model_is(kind, family, method):
    takes_steps(*on_meta(family, kind), method)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_a_relation_is_read_where_the_model_is(representation):
    takes_steps(*on_meta("bert", "relation", representation=representation), "full")


@pytest.mark.parametrize("verbalizer", ["words", "answers", "vectors", "prototypes"])
@pytest.mark.parametrize("template", ["{text_a|shorten} it was {mask} .", "{soft:3} {text_a|shorten} it was {mask} ."])
@pytest.mark.parametrize("family", prompted.FAMILIES)
def test_a_prompt_trains_where_the_model_is(family, template, verbalizer):
    task, words = prompted.task(4), {"negative": ["bad"], "positive": ["good", "fine"]}
    numbers = prompted.model(family, n_layers=1, dropout=0.1)
    said = {"words": WordVerbalizer(words), "answers": Answers(words), "vectors": LabelVectors(words), "prototypes": Prototypes(task.labels)}[verbalizer]
    learner = prompt_learner(numbers, prompted.tokenizer(family), task, template, said)
    numbers.to("meta")
    said.to("meta") if said.trains else learner.use(learner.verbalizer)  # looks its words up again
    takes_steps(learner, learner.collate(task.train), "full")


@pytest.mark.parametrize(("family", "objective"), [("bert", MaskedLM), ("gpt", CausalLM), ("t5", SpanCorruption)])
def test_pretraining_waits_for_nothing(family, objective):
    model = tiny.model(family, **{"next_sentence": True} if family == "bert" else {}).to("meta")
    objective = objective(tiny.tokenizer(family))
    documents = take(WorldCorpus().stream(0), 2000)
    batch = [{name: tensor.to("meta") for name, tensor in strip.items()} for strip in objective.batch(documents, np.random.default_rng(0), 64 if family == "gpt" else None)]
    steps(lambda batch: objective.loss(model, batch), batch, hidden_first(model))
