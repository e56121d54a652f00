"""Several templates answer together (PET; Schick and Schuetze 2020; LPAQA; Jiang et al. 2020).

    p(y | x) = sum over templates t of  w_t p_t(y | x),    sum of w_t = 1

    uniform     every template counts alike
    accuracy    w_t is proportional to the accuracy of t on labelled examples before training (PET)
    trained     w = softmax of numbers that minimise -log p(y | x) on labelled examples (LPAQA)

PET then labels many texts with the ensemble and trains one classifier on them (distillation); here the ensemble itself answers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from minidelta.data import Example
from minidelta.errors import PromptError, near_misses
from minidelta.prompt.learner import PromptLearner
from minidelta.prompt.search import agreement

WEIGHTS = ("uniform", "accuracy", "trained")


class Ensemble:
    """Prompt learners of one task, usually of one model with several templates.

    Args:
        learners: with the same labels.
    Raises: PromptError for none, or learners of different labels.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> from minidelta.prompt.builtin import TEMPLATES
    >>> from minidelta.prompt.learners import prompt_learner
    >>> model, tokenizer, task = load_model("bert-nano"), load_tokenizer("bert-nano"), load_task("sentiment", shots=4)
    >>> several = Ensemble([prompt_learner(model, tokenizer, task, template) for template in TEMPLATES["sentiment"]])
    >>> several.weigh(task.train, "accuracy").shape, several.score(task.train).shape
    (torch.Size([4]), torch.Size([8, 2]))
    """

    def __init__(self, learners: Sequence[PromptLearner]) -> None:
        if not learners:
            raise PromptError("An ensemble of no templates cannot answer; give at least one learner.")
        self.learners, self.labels = list(learners), learners[0].task.labels
        if other := next((learner for learner in learners if learner.task.labels != self.labels), None):
            raise PromptError(f"The templates of an ensemble answer one task; these have the labels {', '.join(self.labels)} and {', '.join(other.task.labels)}.")
        self.weights = torch.full((len(learners),), 1 / len(learners))  # [templates]

    def weigh(self, examples: Sequence[Example], how: str = "accuracy", steps: int = 100, lr: float = 0.1) -> Tensor:
        """Set the weights from labelled examples; returns them."""
        if how not in WEIGHTS:
            raise PromptError(f"Templates are not weighed by {how!r}. {near_misses(str(how), WEIGHTS)}")
        if how == "uniform":
            self.weights = torch.full((len(self.learners),), 1 / len(self.learners))
        elif how == "accuracy":
            right = torch.tensor([agreement(learner, examples)[0] for learner in self.learners])
            self.weights = right / right.sum() if right.sum() else torch.full_like(right, 1 / len(right))
        else:
            labels = torch.tensor([self.learners[0].label_number(example) for example in examples])
            self.weights = trained_weights(self.each(examples), labels, steps, lr)
        return self.weights

    def each(self, examples: Sequence[Example]) -> Tensor:
        """log p_t(y | x) of every template [templates,N,C]."""
        return torch.stack([learner.score(examples).log_softmax(-1).cpu() for learner in self.learners])

    def score(self, examples: Sequence[Example]) -> Tensor:
        """log p(y | x) of all together [N,C]."""
        return mix(self.each(examples), self.weights)

    def predict(self, examples: Sequence[Example]) -> list[str]:
        """The label of each example, in order."""
        return [self.labels[best] for best in self.score(examples).argmax(-1).tolist()]


def mix(each: Tensor, weights: Tensor) -> Tensor:
    """[templates,N,C] log p and [templates] weights -> [N,C] log p.

    >>> mix(torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]]).log(), torch.tensor([0.25, 0.75])).exp()
    tensor([[0.6000, 0.4000]])
    """
    return (each + weights.log()[:, None, None]).logsumexp(0)


def trained_weights(each: Tensor, labels: Tensor, steps: int, lr: float) -> Tensor:
    """Weights [templates] that make the right labels [N] likely."""
    numbers = torch.zeros(len(each), requires_grad=True)
    moves = torch.optim.Adam([numbers], lr=lr)
    for _ in range(steps):
        moves.zero_grad()
        torch.nn.functional.nll_loss(mix(each, numbers.softmax(0)), labels).backward()
        moves.step()
    return numbers.detach().softmax(0)
