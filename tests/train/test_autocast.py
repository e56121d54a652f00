"""A training step under autocast, as `fit(amp=True)` takes it on CUDA: its bfloat16 is tried here on the CPU.

The forward pass runs in bfloat16 where torch finds that safe, parameters and gradients stay float32.  What has to hold is that no
operation meets two number formats, and that the loss is nearly what it is in float32.
"""

import pytest
import torch

from minidelta.delta import Delta
from minidelta.delta.table import example
from minidelta.finetune import learner_for
from minidelta.finetune.training import parameter_groups
from minidelta.learner import Learner
from minidelta.prompt.answers import Answers
from minidelta.prompt.label_vectors import LabelVectors
from minidelta.prompt.learners import prompt_learner
from minidelta.prompt.prototypes import Prototypes
from minidelta.prompt.verbalizer import WordVerbalizer

from tests.finetune import tiny
from tests.prompt import tiny as prompted
from tests.train.test_device import KINDS, PAIRS

VERBALIZERS = [WordVerbalizer, Answers, LabelVectors, Prototypes]


def step_in_bfloat16(learner: Learner, method: str, delta=None) -> None:
    groups = parameter_groups(learner, method, delta)
    learner.make_room(getattr(delta, "prompt_length", 0))
    trained = [p for group in groups for p in group["params"] if p.requires_grad]
    with torch.no_grad():  # stand in for some training: a start at zero would hide what a delta does
        for p in trained if delta is not None else ():
            p += 0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))
    batch = learner.collate(learner.task.train)
    learner.rest()  # no dropout: two losses are compared

    def loss():
        torch.manual_seed(0)  # some deltas draw gates
        return learner.loss(batch) + (delta.penalty() if delta is not None else 0.0)

    exact = loss().item()
    with torch.autocast("cpu", torch.bfloat16):
        rough = loss()
    rough.backward()
    assert rough.dtype == torch.float32 and rough.item() == pytest.approx(exact, rel=0.05, abs=0.05)
    reached = [p.grad for p in trained if p.grad is not None]
    assert reached and all(grad.dtype == torch.float32 and grad.isfinite().all() for grad in reached)


def with_delta(method: str, family: str) -> tuple[Learner, Delta]:
    model = tiny.model(family)
    torch.manual_seed(0)
    delta = example(method, model).attach(model)
    return learner_for(model, tiny.tokenizer(family), tiny.task("classification", 4)), delta


def with_prompt(family: str, verbalizer: type) -> Learner:
    words = {"negative": ["bad"], "positive": ["good", "fine"]}
    scored = verbalizer(tuple(words) if verbalizer is Prototypes else words)
    return prompt_learner(prompted.model(family), prompted.tokenizer(family), prompted.task(4), "{soft:3} {text_a|shorten} it was {mask} .", scored)


@pytest.mark.parametrize(("method", "family"), PAIRS)
def test_a_delta_trains_in_bfloat16(method, family):
    learner, delta = with_delta(method, family)
    step_in_bfloat16(learner, method, delta)


@pytest.mark.parametrize("method", ["full", "head"])
@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_a_learner_trains_in_bfloat16(kind, family, method):
    step_in_bfloat16(learner_for(tiny.model(family), tiny.tokenizer(family), tiny.task(kind, 4)), method)


@pytest.mark.parametrize("verbalizer", VERBALIZERS)
@pytest.mark.parametrize("family", prompted.FAMILIES)
def test_a_prompt_trains_in_bfloat16(family, verbalizer):
    step_in_bfloat16(with_prompt(family, verbalizer), "full")
