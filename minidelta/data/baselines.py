"""Two rivals that know no language: the most common answer, and a bag of words.

A score means something only beside them.  Both are learners for `evaluate`:

    evaluate(majority(task), task.test, task.metric)
    evaluate(bag_of_words(task), task.test, task.metric)

The bag of words knows which words occur, not their order: logistic regression over the words of the text (Pang,
Lee & Vaithyanathan 2002, presence of unigrams, found best there), written here in a page of torch.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minidelta.data.example import Example
from minidelta.data.tasks import Task
from minidelta.errors import TaskError

NO_BAG = {
    "extraction": "a bag of words has no places to point at",
    "generation": "a bag of words cannot put words in order",
}


@dataclass
class Baseline:
    """A learner for `evaluate`, made of one function from an example to its answer."""

    answer: Callable[[Example], Any]

    def predict(self, examples: Sequence[Example]) -> list:
        return [self.answer(example) for example in examples]


def majority(task: Task) -> Baseline:
    """Always the most common answer of the training part; for tagging the most common tag, for every word.

    >>> from minidelta.data import load_task
    >>> majority(load_task("sentiment")).predict([Example("a superb film")])[0] in ("negative", "positive")
    True
    """
    if task.kind == "tagging":
        tag = _most_common(tag for example in task.train for tag in example.meta["tags"])
        return Baseline(lambda example: [tag] * len(example.meta["tokens"]))
    common = _most_common(example.target for example in task.train)
    return Baseline(lambda example: common)


def bag_of_words(task: Task) -> Baseline:
    """Train the bag of words that suits the task's kind; nothing in it is random.

    classification, relation: words of the text (and, apart from them, of the second text) -> label.
    choice: words of an option, and how many of them the passage and the question hold -> its score.
    tagging: each word by itself -> its most common tag in training.

    Raises: TaskError for extraction and generation (`NO_BAG` holds the reasons).
    """
    if task.kind in NO_BAG:
        raise TaskError(f"there is no bag of words for {task.kind}: {NO_BAG[task.kind]}")
    return {"tagging": _word_by_word, "choice": _best_option}.get(task.kind, _label_by_words)(task)


def words(text: str) -> list[str]:
    """Lower-case words and single punctuation marks.

    >>> words("It's fine!")
    ['it', "'", 's', 'fine', '!']
    """
    return re.findall(r"\w+|[^\w\s]", text.lower())


def _label_by_words(task: Task) -> Baseline:
    """p(label | words) = softmax(sum of the rows of W for the words present + b)."""
    rows = [_features(example) for example in task.train]
    vocabulary = _vocabulary(rows)
    bags = _bags(rows, vocabulary)
    labels = torch.tensor([task.labels.index(example.label) for example in task.train])  # [B]
    weight = torch.zeros(len(vocabulary), len(task.labels), requires_grad=True)  # [V,C]
    bias = torch.zeros(len(task.labels), requires_grad=True)  # [C]
    _descend(lambda: F.cross_entropy(_sums(bags, weight) + bias, labels), weight, bias, len(labels))

    def answer(example: Example) -> str:
        with torch.no_grad():
            scores = _sums(_bags([_features(example)], vocabulary), weight) + bias  # [1,C]
        return task.labels[int(scores.argmax())]

    return Baseline(answer)


def _best_option(task: Task) -> Baseline:
    """p(option | words) = softmax over the options of the sum of w for the words (and overlaps) present."""
    rows = [features for example in task.train for features in _option_features(example)]
    vocabulary = _vocabulary(rows)
    bags = _bags(rows, vocabulary)
    counts = torch.tensor([len(example.meta["choices"]) for example in task.train])  # [B]
    filled = torch.arange(int(counts.max())) < counts[:, None]  # [B,C]: which options exist
    gold = torch.tensor([example.label for example in task.train])  # [B]
    weight = torch.zeros(len(vocabulary), 1, requires_grad=True)  # [V,1]

    def loss() -> Tensor:
        scores = torch.full(filled.shape, -1e9).masked_scatter(filled, _sums(bags, weight))  # [B,C]
        return F.cross_entropy(scores, gold)

    _descend(loss, weight, weight.new_zeros(0, requires_grad=True), len(gold))

    def answer(example: Example) -> int:
        with torch.no_grad():
            return int(_sums(_bags(_option_features(example), vocabulary), weight).argmax())

    return Baseline(answer)


def _word_by_word(task: Task) -> Baseline:
    seen: dict[str, Counter] = defaultdict(Counter)
    for example in task.train:
        for token, tag in zip(example.meta["tokens"], example.meta["tags"]):
            seen[token.lower()][tag] += 1
    best = {token: _most_common(tags.elements()) for token, tags in seen.items()}
    common = _most_common(tag for example in task.train for tag in example.meta["tags"])
    return Baseline(lambda example: [best.get(token.lower(), common) for token in example.meta["tokens"]])


def _features(example: Example) -> set[str]:
    return set(words(example.text)) | {f"b:{word}" for word in words(example.text_b or "")}


def _option_features(example: Example) -> list[set[str]]:
    passage, question = set(words(example.text)), set(words(example.text_b or ""))
    found = []
    for option in example.meta["choices"]:
        bag = set(words(option))
        found.append(bag | {f"passage:{len(bag & passage)}", f"question:{len(bag & question)}"})
    return found


def _vocabulary(rows: list[set[str]]) -> dict[str, int]:
    return {word: place for place, word in enumerate(sorted(set().union(*rows)))}


def _bags(rows: list[set[str]], vocabulary: dict[str, int]) -> tuple[Tensor, Tensor]:
    """Rows of known words as one long list of places and the offset where each row begins (for embedding_bag)."""
    places = [sorted(vocabulary[word] for word in row if word in vocabulary) for row in rows]
    starts = torch.tensor([0, *map(len, places)])[:-1].cumsum(0)
    return torch.tensor([place for row in places for place in row], dtype=torch.long), starts


def _sums(bags: tuple[Tensor, Tensor], weight: Tensor) -> Tensor:
    return F.embedding_bag(bags[0], weight, bags[1], mode="sum")  # [B,C]


def _descend(loss: Callable[[], Tensor], weight: Tensor, bias: Tensor, count: int) -> None:
    """L-BFGS on the loss plus |W|^2 / (2 count), the usual Gaussian prior: a convex problem with one solution."""
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=30, history_size=5, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss() + weight.square().sum() / (2 * count)
        value.backward()
        return value

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tiny tensors: two threads wait for each other longer than they work
    try:
        optimizer.step(closure)
    finally:
        torch.set_num_threads(threads)


def _most_common(values: Any) -> Any:
    """The most common value; among equals the first in order, so that nothing depends on the file's order."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], str(value)))
