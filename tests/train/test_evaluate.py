"""Metrics against numbers worked out by hand."""

import math

import pytest

from minidelta.data.example import Example
from minidelta.errors import ConfigError, DataError
from minidelta.evaluate import METRICS, accuracy, bleu, evaluate, exact_match, f1_answer, f1_macro, f1_micro, perplexity, span_f1, spans


def test_f1_by_hand():
    said, true = ["a", "a", "b", "c", None], ["a", "b", "b", "b", "c"]
    # a: P 1/2 R 1 -> 2/3; b: P 1 R 1/3 -> 1/2; c: none right -> 0
    assert f1_macro(said, true) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert accuracy(said, true) == 2 / 5
    assert f1_micro(said, true) == pytest.approx(2 * 2 / (4 + 5))  # four answers, five golds
    assert f1_micro(said[:4], true[:4]) == accuracy(said[:4], true[:4])


def test_spans_follow_conll():
    assert spans(["O", "I-A", "I-A", "B-A", "I-B", "O", "B-B"]) == {("A", 1, 3), ("A", 3, 4), ("B", 4, 5), ("B", 6, 7)}
    assert spans([]) == set()
    # 2 of 3 predicted spans are right, 2 of 4 gold spans are found: P 2/3, R 1/2, F1 4/7
    said = [["B-A", "I-A", "O"], ["B-B", "O", "B-A"]]
    true = [["B-A", "I-A", "B-C"], ["B-B", "O", "B-B"]]
    assert span_f1(said, true) == pytest.approx(4 / 7)
    assert span_f1([None, ["O"]], [["B-A"], ["O"]]) == 0.0


def test_answers():
    assert exact_match(["The Harp!", "a  blue harp", None, "oak"], ["harp", "blue harp", "x", "oaks"]) == 0.5
    assert f1_answer(["red red harp"], ["red harp harp"]) == pytest.approx(2 / 3)  # red 1, harp 1 of three each
    assert f1_answer([None, "the"], ["x", "a"]) == 0.5


def test_bleu_by_hand():
    assert bleu(["a b c d e"], ["a b c d e"]) == pytest.approx(1.0)
    # brevity: 4 words against 5, all precisions one
    assert bleu(["a b c d"], ["a b c d e"]) == pytest.approx(math.exp(1 - 5 / 4))
    # clipping: "the" counts once; bigrams: none of 2 -> (1/2)/2, trigrams: none of 1 -> (1/4)/1, no four-gram
    assert bleu(["the the the"], ["the cat sat"]) == pytest.approx((1 / 3 * 1 / 4 * 1 / 4) ** (1 / 3))
    # counts of the corpus are pooled, not averaged over sentences; the second adds 3 of 3, 0 of 2 and 0 of 1
    assert bleu(["a b c d", "x z y"], ["a b c d", "x y z"]) == pytest.approx((7 / 7 * 3 / 5 * 2 / 3 * 1 / 1) ** 0.25)
    # the closest of several references sets the length, and any of them may match
    assert bleu(["a b c d"], [["a b", "c d e f g", "a b c d"]]) == pytest.approx(1.0)
    assert bleu([None], ["a"]) == 0.0


def test_perplexity_of_a_fair_die():
    assert perplexity(3 * math.log(6), 3) == pytest.approx(6.0)
    with pytest.raises(DataError):
        perplexity(0.0, 0)


class Parrot:
    def predict(self, examples):
        return [example.text for example in examples]


def test_evaluate_and_its_errors():
    examples = [Example("a b", label="a b"), Example("a c", meta={"answer": "a b"})]
    assert evaluate(Parrot(), examples, "exact_match") == 0.5
    assert evaluate(Parrot(), examples, ["accuracy", "f1_answer"]) == {"accuracy": 0.5, "f1_answer": pytest.approx(0.5)}  # "a" is an article
    assert evaluate(Parrot(), examples, lambda said, true: 7.0) == 7.0
    with pytest.raises(ConfigError, match="Did you mean accuracy"):
        evaluate(Parrot(), examples, "acuracy")
    with pytest.raises(DataError, match="at least one"):
        evaluate(Parrot(), [], "bleu")
    assert set(METRICS) >= {"accuracy", "f1_micro", "f1_macro", "span_f1", "exact_match", "bleu"}
