"""AutoPrompt: words that no person would write, found by the gradient (Shin et al. 2020).

    T(x) = x  w_1 ... w_n  [MASK]
    candidates for w_j = the k words w with the largest  e_w . grad over e_{w_j} of log p(y | T(x))
    w_j <- the candidate with the largest log p(y | T(x)) on a batch, if it beats the present word

The gradient says to the first order what a swap would bring; the k best are then really tried.  The model stays frozen.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.progress import progress
from minidelta.prompt.expand import name, whole_words
from minidelta.prompt.learner import PromptLearner
from minidelta.prompt.search import agreement
from minidelta.prompt.template import Part, Template


@dataclass
class Found:
    """What a search brought.

    template: the best one, by mean log p(y | x) of the examples it was searched on.
    score: its mean log p(y | x).
    history: (step, score, template source) whenever it became better.
    """

    template: Template
    score: float
    history: list[tuple[int, float, str]] = field(default_factory=list)


class Probe(nn.Module):
    """Hangs at `embed_out` and keeps the token vectors, so that their gradient can be read."""

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        self.vectors = out.detach().requires_grad_(True)  # [B,T,D]
        return self.vectors


def triggers(words: Sequence[str], before: str = "{text_a|shorten}", after: str = "{mask}") -> Template:
    """A template with trigger words between what stands before and after.

    Raises: PromptError if words stand right beside the triggers, where they would be taken for triggers.

    >>> triggers(["so", "film"]).source
    '{text_a|shorten} so film {mask}'
    """
    if not before.endswith("}") or not after.startswith("{"):
        raise PromptError(f"Triggers stand between two parts in braces, and here between {before!r} and {after!r}; end the one and begin the other with a part such as {{text_a}} or {{mask}}.")
    return Template(f"{before} {Part('literal', ' '.join(words))} {after}")


def autoprompt(
    ask: Callable[[Template], PromptLearner],
    examples: Sequence[Example],
    candidates: Sequence[str] | None = None,
    count: int = 3,
    steps: int = 30,
    k: int = 10,
    batch: int = 16,
    seed: int = 0,
    before: str = "{text_a|shorten}",
    after: str = "{mask}",
) -> Found:
    """Search trigger words.

    Args:
        ask: template -> learner with a frozen model; see `search.asking`.
        examples: labelled.
        candidates: the words it chooses from, without the label words; default all whole words of the vocabulary.
        count: n, trigger words; they start as random words (the paper: all as [MASK]).
        steps: swaps tried, one place after the other.
        k: words tried in each step.
        batch: examples that a swap is tried on.
        seed: of start words and batches.
        before, after: what stands around the triggers.
    Raises: PromptError without triggers, examples or words, or where words stand right beside the triggers.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> from minidelta.prompt.search import asking
    >>> task = load_task("sentiment", shots=2)
    >>> ask = asking(load_model("bert-nano").requires_grad_(False), load_tokenizer("bert-nano"), task, {"negative": ["bad"], "positive": ["good"]})
    >>> len(autoprompt(ask, task.train, count=2, steps=2, k=2).template.words.split())
    2
    """
    if count < 1 or not examples:
        raise PromptError(f"AutoPrompt needs at least one trigger and one labelled example; got {count} and {len(examples)}.")
    rng = random.Random(seed)
    start = ask(triggers(["x"] * count, before, after))
    model, tokenizer = start.model, start.tokenizer
    avoided = {word.lower() for word in getattr(start.verbalizer, "flat", [])}
    known = [token for token in whole_words(tokenizer, letters=1) if name(tokenizer, token).lower() not in avoided and (candidates is None or name(tokenizer, token) in candidates)]
    if len(known) < count:
        raise PromptError(f"AutoPrompt needs {count} words to begin with, and only {len(known)} of the candidates are one token of this tokenizer and no label word; give other words.")
    words = [name(tokenizer, token) for token in rng.sample(known, count)]
    table = model.token_embedding.weight.detach()[known].float()  # [W,D]
    best = Found(triggers(words, before, after), -float("inf"))
    for step in progress(range(steps), description="AutoPrompt", unit="swap"):
        some = rng.sample(list(examples), min(batch, len(examples)))
        learner, place = ask(triggers(words, before, after)), step % count
        gradient = trigger_gradient(learner, some, words)[place]  # [D] of log p
        options = [name(tokenizer, known[i]) for i in (table @ gradient).topk(min(k, len(known))).indices.tolist()]
        tried = {words[place]: agreement(learner, some)[1]}
        for word in options:
            tried.setdefault(word, agreement(ask(triggers([*words[:place], word, *words[place + 1 :]], before, after)), some)[1])
        words[place] = max(tried, key=tried.get)
        score = agreement(ask(triggers(words, before, after)), examples)[1]
        if score > best.score:
            best = Found(triggers(words, before, after), score, [*best.history, (step + 1, score, triggers(words, before, after).source)])
    return best


def trigger_gradient(learner: PromptLearner, examples: Sequence[Example], words: Sequence[str]) -> Tensor:
    """The gradient of sum log p(y | x) over the vector of each trigger word: [n,D]."""
    place = next(i for i, part in enumerate(learner.template.parts) if part.kind == "literal" and part.value.split() == list(words))
    items, rendered = learner.encode(examples), learner.renderer(examples)
    batch = learner.pad(items)
    stack = learner.model.encoder if learner.shape == "encoder-decoder" else learner.model
    learner.hang()
    if learner.soft is not None:
        learner.soft.which = batch["soft"]
    probe = stack.embed_out.parts["probe"] = Probe()
    try:
        with learner.resting(), torch.enable_grad():
            hidden = learner.model.hidden(**batch["inputs"])
            at = hidden[torch.arange(len(hidden), device=hidden.device)[:, None], batch["masks"]]
            loss = learner.verbalizer.loss(at, learner.model.lm_logits, batch["labels"]) * len(examples)
            (gradient,) = torch.autograd.grad(loss, probe.vectors)
    finally:
        del stack.embed_out.parts["probe"]
    rows = [[i for i, origin in enumerate(seen.origin) if origin == place] for seen in rendered]
    return -torch.stack([gradient[number, row] for number, row in enumerate(rows)]).sum(0).float()  # [B,n,D] -> [n,D]
