"""The figures of merit, each a short function over two lists: what was predicted and what is right.

All are shares from 0 to 1 (papers print them times 100), larger is better, except perplexity.  A
prediction of None (an answer that could not be read) is simply wrong.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from minidelta.errors import ConfigError, DataError, near_misses


NO_RELATION = ("no relation", "no_relation")  # the answer "nothing here", which F1 does not reward


class Learner(Protocol):
    """What `evaluate` needs of whoever makes the predictions."""

    def predict(self, examples: Sequence) -> list: ...


def accuracy(predictions: Sequence, golds: Sequence) -> float:
    """Share of predictions that equal the gold label.

    >>> accuracy(["a", "b", None, "a"], ["a", "b", "b", "b"])
    0.5
    """
    _check(predictions, golds)
    return sum(p == g for p, g in zip(predictions, golds)) / len(golds)


def f1_micro(predictions: Sequence, golds: Sequence, ignore: Sequence = NO_RELATION) -> float:
    """F1 over all decisions together, as relation extraction reports it (TACRED, Zhang et al. 2017).

    Classes in `ignore` count neither as a hit nor as something to find.  With every class counted and an
    answer for every item it equals accuracy.

    >>> round(f1_micro(["x", "no relation", "y", "x"], ["x", "y", "y", "no relation"]), 3)  # P 2/3, R 2/3
    0.667
    """
    _check(predictions, golds)
    hits = sum(p == g and g not in ignore for p, g in zip(predictions, golds))
    return _f1(hits, sum(p is not None and p not in ignore for p in predictions), sum(g not in ignore for g in golds))


def f1_macro(predictions: Sequence, golds: Sequence) -> float:
    """The mean of the F1 of each class that occurs among the gold labels or the predictions.

    >>> round(f1_macro(["a", "a", "b", "b"], ["a", "b", "b", "b"]), 3)  # a: 2/3, b: 4/5
    0.733
    """
    _check(predictions, golds)
    hits, said, true = Counter(), Counter(predictions), Counter(golds)
    hits.update(g for p, g in zip(predictions, golds) if p == g)
    classes = [c for c in {**true, **said} if c is not None]
    return sum(_f1(hits[c], said[c], true[c]) for c in classes) / len(classes)


def f1_semeval(predictions: Sequence, golds: Sequence) -> float:
    """The official figure of SemEval-2010 task 8 (Hendrickx et al. 2010): macro F1 over the relations, each with its direction.

    The label "Cause-Effect(e2,e1)" is the relation Cause-Effect in one of two directions.  A hit must have both right; what was
    said, and what is true, count for the relation whichever way.  Other is no relation, and earns nothing.

    >>> round(f1_semeval(["A(e1,e2)", "A(e2,e1)", "B(e1,e2)"], ["A(e1,e2)", "A(e1,e2)", "Other"]), 3)  # A: 1/2; B: 0, said in vain
    0.25
    """
    _check(predictions, golds)

    def relation(label: str | None) -> str:
        return (label or "Other").partition("(")[0]

    hits = Counter(relation(g) for p, g in zip(predictions, golds) if p == g)
    said, true = Counter(map(relation, predictions)), Counter(map(relation, golds))
    relations = {**true, **said}.keys() - {"Other"}
    return sum(_f1(hits[r], said[r], true[r]) for r in relations) / max(1, len(relations))


def spans(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """The (type, start, end) of every span in a row of BIO tags; end is one past the last word.

    As in the CoNLL shared tasks, an I- tag without a span of its type before it begins a new span.

    >>> sorted(spans(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"]))
    [('LOC', 3, 4), ('LOC', 4, 5), ('PER', 0, 2)]
    """
    found, kind, start = set(), None, 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if kind is not None and (prefix != "I" or name != kind):
            found.add((kind, start, place))
            kind = None
        if kind is None and prefix in ("B", "I"):
            kind, start = name, place
    return found


def span_f1(predictions: Sequence[Sequence[str]], golds: Sequence[Sequence[str]]) -> float:
    """F1 over whole spans of BIO tags (Tjong Kim Sang & De Meulder 2003): type and both ends must be right.

    >>> span_f1([["B-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "B-LOC"]])
    0.5
    """
    _check(predictions, golds)
    said, true = [spans(p or []) for p in predictions], [spans(g) for g in golds]
    return _f1(sum(len(p & g) for p, g in zip(said, true)), sum(map(len, said)), sum(map(len, true)))


def normalize_answer(text: str) -> str:
    """Lower case, without punctuation and the articles a, an, the, single spaces (Rajpurkar et al. 2016).

    >>> normalize_answer("The  Blue Harp, again!")
    'blue harp again'
    """
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(predictions: Sequence[str | None], golds: Sequence[str | Sequence[str]]) -> float:
    """Share of answers that equal the gold answer (or one of several) after `normalize_answer`.

    >>> exact_match(["the harp", "Ada."], ["Harp", ["Eve", "Ada"]])
    1.0
    """
    _check(predictions, golds)
    return sum(p is not None and normalize_answer(p) in map(normalize_answer, _several(g)) for p, g in zip(predictions, golds)) / len(golds)


def f1_answer(predictions: Sequence[str | None], golds: Sequence[str | Sequence[str]]) -> float:
    """Mean F1 of the words shared by answer and gold answer (the best of several), as SQuAD reports it.

    >>> round(f1_answer(["blue harp of Oak Street"], ["blue harp"]), 3)
    0.571
    """
    _check(predictions, golds)

    def one(prediction: str, gold: str) -> float:
        said, true = normalize_answer(prediction).split(), normalize_answer(gold).split()
        if not said or not true:  # an answer of articles and punctuation alone
            return float(said == true)
        return _f1((Counter(said) & Counter(true)).total(), len(said), len(true))

    return sum(max(one(p or "", g) for g in _several(gold)) for p, gold in zip(predictions, golds)) / len(golds)


def bleu(predictions: Sequence[str | None], golds: Sequence[str | Sequence[str]]) -> float:
    """Corpus BLEU-4 (Papineni et al. 2002): brevity penalty times the geometric mean of n-gram precisions.

    BLEU = min(1, exp(1 - r / c)) * (p_1 p_2 p_3 p_4)^(1/4), with matches clipped by the reference's counts
    and c, r the lengths of all predictions and of their closest references.  Words and punctuation marks are
    tokens, in lower case.  Two edges, where the paper's form is zero or undefined: the k-th order without a
    single match counts 1 / 2^k matches (Chen & Cherry 2014, method 3), and orders for which the predictions
    hold no n-gram at all (very short texts) are left out of the mean.

    >>> round(bleu(["the cat sat on the mat"], ["the cat sat on a mat"]), 3)  # 5/6 3/5 2/4 1/3
    0.537
    """
    _check(predictions, golds)
    matches, totals, length, reference_length = [0] * 4, [0] * 4, 0, 0
    for prediction, gold in zip(predictions, golds):
        said, true = _words(prediction or ""), [_words(g) for g in _several(gold)]
        length += len(said)
        reference_length += min((abs(len(t) - len(said)), len(t)) for t in true)[1]
        for n in range(4):
            grams, allowed = _ngrams(said, n + 1), Counter()
            for t in true:
                allowed |= _ngrams(t, n + 1)
            matches[n] += (grams & allowed).total()
            totals[n] += grams.total()
    if matches[0] == 0:
        return 0.0
    smoothed, logs = 1.0, []
    for match, total in zip(matches, totals):
        if total and not match:
            smoothed /= 2
        if total:
            logs.append(math.log((match or smoothed) / total))
    return min(1.0, math.exp(1 - reference_length / length)) * math.exp(sum(logs) / len(logs))


def perplexity(total_loss: float, tokens: int) -> float:
    """exp of the mean negative log-likelihood: as unsure as a fair choice among so many tokens.

    Args:
        total_loss: sum of -log p (natural logarithm) over the tokens.
        tokens: how many tokens were summed over.

    >>> round(perplexity(10 * math.log(8), 10), 6)
    8.0
    """
    if tokens < 1:
        raise DataError("Perplexity of no tokens: give a text with at least one predicted token.")
    mean = total_loss / tokens
    return math.exp(mean) if mean < 700 else math.inf  # beyond what a float can hold


METRICS: dict[str, Callable[[Sequence, Sequence], float]] = {
    "accuracy": accuracy,
    "f1_micro": f1_micro,
    "f1_macro": f1_macro,
    "f1_semeval": f1_semeval,
    "span_f1": span_f1,
    "exact_match": exact_match,
    "f1_answer": f1_answer,
    "bleu": bleu,
}


def evaluate(learner: Learner, examples: Sequence, metric: str | Callable | Sequence[str] = "accuracy") -> float | dict[str, float]:
    """Let a learner predict and score its predictions.

    Args:
        learner: has `predict(examples)`.
        examples: what to predict; each has its gold answer (or several) as `.gold`.
        metric: a name of METRICS, a function (predictions, golds) -> figure, or several names.
    Returns: the figure; for several names a dictionary of figures.
    Raises: ConfigError for an unknown metric, DataError without examples.

    >>> from minidelta.data import Example
    >>> class Parrot:
    ...     def predict(self, examples): return [example.text for example in examples]
    >>> evaluate(Parrot(), [Example("yes", label="yes"), Example("no", label="yes")])
    0.5
    """
    names = [metric] if isinstance(metric, str) or callable(metric) else list(metric)
    for name in names:
        if not callable(name) and name not in METRICS:
            raise ConfigError(f"Unknown metric {name!r}. {near_misses(str(name), METRICS)}")
    predictions, golds = learner.predict(examples), [example.gold for example in examples]
    scores = {name: (name if callable(name) else METRICS[name])(predictions, golds) for name in names}
    return scores[metric] if isinstance(metric, str) or callable(metric) else scores


def _f1(hits: int, said: int, true: int) -> float:
    """Harmonic mean of precision hits/said and recall hits/true; zero without a hit."""
    return 2 * hits / (said + true) if hits else 0.0


def _several(gold: str | Sequence[str]) -> Sequence[str]:
    if not gold and not isinstance(gold, str):
        raise DataError("An item has no gold answer at all. Give at least one, or leave the item out.")
    return [gold] if isinstance(gold, str) else gold


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def _ngrams(words: list[str], n: int) -> Counter:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _check(predictions: Sequence, golds: Sequence) -> None:
    if len(predictions) != len(golds) or not golds:
        raise DataError(f"{len(predictions)} predictions for {len(golds)} gold answers: give one for each, and at least one.")
