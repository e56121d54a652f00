"""Every kind of task x every family: the loss falls on sixteen examples, and they can be learnt by heart."""

from dataclasses import replace

import pytest
import torch

from minidelta.data import Example, Task
from minidelta.delta import LoRA
from minidelta.errors import ConfigError, DataError, TaskError
from minidelta.evaluate import evaluate
from minidelta.finetune import learner_for, train_task
from minidelta.finetune.text2text import TextToText
from minidelta.finetune.formats import read_answer, target_text
from minidelta.finetune.relation import REPRESENTATIONS
from minidelta.finetune.training import FOUND_AT, Batches, delta_rate, parameter_groups, scaled
from tests.finetune.tiny import FAMILIES, TASK_OF, model, task, tokenizer

SUITED = [(family, kind) for family in FAMILIES for kind in TASK_OF if (family, kind) != ("bert", "generation")]


def learner(family: str, kind: str, **settings):
    return learner_for(model(family), tokenizer(family), settings.pop("task", None) or task(kind), **settings)


@pytest.mark.parametrize(("family", "kind"), SUITED)
def test_loss_falls_and_the_examples_are_learnt(family, kind):
    ours, few = learner(family, kind), task(kind)
    steps, lr = (120, 1e-2) if isinstance(ours, TextToText) else {"tagging": (150, 5e-3), "choice": (250, 1e-3), "extraction": (120, 5e-3)}.get(kind, (60, 5e-3))
    result = train_task(ours, few, "full", steps=steps, lr=lr, batch_size=16, validations=0)
    assert result.history.losses[-1] < 0.7 * result.history.losses[0]
    assert result.score > 0.9, result.score
    again = ours.predict(few.test)
    assert again == ours.predict(few.test) == ours.predict(few.test[::-1])[::-1]  # no dropout, no effect of the order
    assert result.unreadable == 0 and result.truncated == 0


@pytest.mark.parametrize(("family", "kind"), SUITED)
def test_padding_changes_no_prediction(family, kind):
    ours, few = learner(family, kind), task(kind)
    alone = [ours.predict([example])[0] for example in few.test[:5]]
    assert alone == ours.predict(few.test[:5])


@pytest.mark.parametrize(("family", "kind"), SUITED)
def test_loss_does_not_depend_on_padding(family, kind):
    ours, few = learner(family, kind, **({"lm_weight": 0.0} if family == "gpt" and kind in ("classification", "pair", "relation") else {})), task(kind)
    items = ours.encode(few.train[:2])
    with ours.resting():
        together = ours.loss(ours.pad(items))
        apart = [ours.loss(ours.pad([item])) for item in items]
    weights = [1.0, 1.0]
    if kind == "tagging" and family != "t5":  # mean over words, not over sentences
        weights = [sum(label >= 0 for label in item["labels"]) for item in items]
    if "answer" in items[0]:  # mean over answer tokens
        weights = [len(item["answer"]) for item in items]
    mean = sum(w * loss for w, loss in zip(weights, apart)) / sum(weights)
    torch.testing.assert_close(together, mean, atol=1e-5, rtol=1e-5)


def test_bert_cannot_write():
    with pytest.raises(TaskError, match="reads and does not write.*t5-micro"):
        learner("bert", "generation")


def test_same_seed_same_run():
    def run(seed):
        torch.manual_seed(seed + 100)  # must not matter
        ours = learner_for(model("bert"), tokenizer("bert"), task("pair"), seed=seed)
        return train_task(ours, task("pair"), "full", steps=5, batch_size=8, seed=seed, validations=0).history.losses

    assert run(0) == run(0) != run(1)


@pytest.mark.parametrize("family", FAMILIES)
def test_head_alone_leaves_the_backbone_as_it_was(family):
    ours = learner(family, "classification")
    before = {name: value.clone() for name, value in ours.model.backbone_state().items()}
    result = train_task(ours, task("classification"), "head", steps=30, batch_size=16, validations=0)
    after = ours.model.backbone_state()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert result.trainable == sum(p.numel() for p in ours.parameters()) < result.total
    assert result.history.losses[-1] < result.history.losses[0]
    batch = ours.collate(task("classification").train)
    assert not ours.hidden(batch).requires_grad and not ours.model.training
    if family == "t5":  # its output layer got a weight of its own; the embedding did not move
        assert ours.head is ours.model.lm_head and result.trainable == ours.model.token_embedding.weight.numel()


def test_every_pass_sees_every_example_once_and_depends_on_the_number_alone():
    ours = learner("bert", "classification")
    items = ours.encode(task("classification", 50).train)
    batches = Batches(ours, items, size=8, seed=3)
    seen = [items.index(item) for number in range(6, 12) for item in batches(number)["items"]]
    assert len(set(seen)) == 48
    again = Batches(ours, items, size=8, seed=3)
    assert [batches(n)["inputs"]["input_ids"].tolist() for n in (13, 2)] == [again(n)["inputs"]["input_ids"].tolist() for n in (13, 2)]
    assert Batches(ours, items[:5], size=8)(1)["lengths"].shape == (5,)


def test_pairs_get_token_types_and_the_longer_part_is_cut():
    few = task("pair")
    example = Example("word " * 300, "a question ?", label="entailment")
    ours = learner("bert", "pair", task=few, max_length=20)
    (item,) = ours.encode([example])
    pieces = tokenizer("bert").convert_ids_to_tokens(item["ids"])
    question = ours.tokens([example.text_b])[0]
    assert len(pieces) == 20 and pieces[0] == "[CLS]" and pieces[-1] == "[SEP]" and pieces.count("[SEP]") == 2
    assert item["ids"][-1 - len(question) : -1] == question and item["types"] == [0] * (20 - len(question) - 1) + [1] * (len(question) + 1)
    assert ours.truncated == 1


def test_gpt_reads_text_delimiter_text_extract():
    ours = learner("gpt", "pair")
    (item,) = ours.encode([Example("one", "two", label="neutral")])
    one, delimiter, two = ours.tokens(["one", "$", "two"])
    assert item["ids"] == one + delimiter + two + [tokenizer("gpt").eos_token_id]
    batch = ours.collate([Example("one", "two"), Example("a much longer text than that", "two")])
    hidden = torch.arange(batch["inputs"]["input_ids"].numel()).reshape(*batch["inputs"]["input_ids"].shape, 1).expand(-1, -1, 32)
    assert ours.summary(hidden, batch)[0, 0].item() == len(item["ids"]) - 1  # the last real token, not the padding


def test_gpt_reads_a_similar_pair_in_both_orders():
    few = replace(task("pair"), symmetric=True)
    ours, plain = learner("gpt", "pair", task=few), learner("gpt", "pair")
    pair, turned, other = Example("one", "a longer two", label="neutral"), Example("a longer two", "one", label="neutral"), Example("three", "four", label="neutral")
    batch = ours.collate([pair, other])
    with ours.resting(), plain.resting(), torch.no_grad():
        both = ours.summary(ours.hidden(batch), batch)[0]
        apart = [plain.summary(plain.hidden(b), b)[0] for b in (plain.collate([pair]), plain.collate([turned]))]
        torch.testing.assert_close(both, apart[0] + apart[1])
        torch.testing.assert_close(ours.scores(ours.collate([pair])), ours.scores(ours.collate([turned])))
    result = train_task(ours, few, "full", steps=60, lr=5e-3, batch_size=16, validations=0)
    assert result.score > 0.9 and result.truncated == 0


def test_entity_markers_stand_around_the_entities_and_survive_truncation():
    few = task("relation")
    for head, tail in (([10, 13], [24, 32]), ([24, 32], [10, 13])):
        example = Example("Yesterday Ada worked at Harp Ltd again and again and again .", label=few.labels[0], meta={"head": head, "tail": tail})
        ours = learner("bert", "relation")
        (item,) = ours.encode([example])
        text = tokenizer("bert").decode(item["ids"]).replace(" ", "")
        first, second = ("1", "2") if head[0] == 10 else ("2", "1")
        assert f"[E{first}]ada[/E{first}]workedat[E{second}]harpltd[/E{second}]again" in text
        marks = tokenizer("bert").convert_ids_to_tokens([item["ids"][place] for place, _ in item["spans"]])
        assert marks == ["[E1]", "[E2]"] and ours.truncated == 0
        ours = learner("bert", "relation", max_length=18)
        (item,) = ours.encode([example])
        text = tokenizer("bert").decode(item["ids"]).replace(" ", "")
        assert len(item["ids"]) <= 18 and ours.truncated == 1
        assert f"[E{first}]ada[/E{first}]" in text and f"[E{second}]harpltd[/E{second}]" in text


PAIR = Example("Yesterday Ada worked at Harp Ltd again.", meta={"head": [24, 32], "tail": [10, 13]})  # the head stands second


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_six_representations_of_an_entity_pair(representation):
    ours = learner("bert", "relation", representation=representation)
    batch = ours.collate([PAIR, Example("A long sentence before: Ada liked Eve", meta={"head": [24, 27], "tail": [34, 37]})])
    ids = batch["inputs"]["input_ids"]
    pieces = [tokenizer("bert").convert_ids_to_tokens(row.tolist()) for row in ids]
    spans = [[ours.tokenizer.decode(ids[row, batch["inside"][row, :, which]]).replace(" ", "") for which in (0, 1)] for row in (0, 1)]
    marked = [["[E1]harpltd[/E1]", "[E2]ada[/E2]"], ["[E1]ada[/E1]", "[E2]eve[/E2]"]]
    assert spans == (marked if ours.marks else [["harpltd", "ada"], ["ada", "eve"]])
    assert ("[E1]" in pieces[0]) == bool(ours.marks)

    # by hand, on one row, from any states
    hidden = torch.randn(*ids.shape, 32, generator=torch.Generator().manual_seed(0))
    (a, b), (c, d) = batch["items"][0]["spans"]
    expected = {
        "cls": hidden[0, 0], "mention-pooling": torch.cat([hidden[0, a:b].max(0).values, hidden[0, c:d].max(0).values]), "entity-start": torch.cat([hidden[0, a], hidden[0, c]]),
    }  # fmt: skip
    expected |= {"mention-types": expected["mention-pooling"], "markers-cls": expected["cls"], "markers-pooling": expected["mention-pooling"]}
    assert torch.equal(ours.summary(hidden, batch)[0], expected[representation])
    assert ours.head.weight.shape[1] == len(expected[representation])


@pytest.mark.parametrize("method", ["full", "head", "lora"])
def test_mention_types_move_the_embeddings_and_train_with_the_head(method):
    few, ours = task("relation"), learner("bert", "relation", representation="mention-types")
    plain = learner("bert", "relation", representation="mention-pooling")
    with ours.resting(), plain.resting(), torch.no_grad():
        states = [each.hidden(each.collate(few.test[:4])) for each in (ours, plain)]
    assert not torch.equal(*states)
    with torch.no_grad():
        before = ours.head.mentions.weight.clone()
        ours.head.mentions.weight.zero_()
        assert torch.equal(ours.hidden(ours.collate(few.test[:4])), states[1])
        ours.head.mentions.weight.copy_(before)
    delta = LoRA(rank=2).attach(ours.model) if method == "lora" else None
    result = train_task(ours, few, method, delta, steps=5, batch_size=16, validations=0)
    assert not torch.equal(ours.head.mentions.weight, before)
    own = sum(p.numel() for p in ours.parameters())
    assert result.trainable == {"full": result.total, "head": own, "lora": own + (delta.num_parameters() if delta else 0)}[method]
    assert delta is None or delta.audit().ok


def test_a_representation_that_cannot_be():
    with pytest.raises(ConfigError, match="Did you mean entity-start"):
        learner("bert", "relation", representation="entity-starts")
    with pytest.raises(ConfigError, match="Did you mean mean"):
        learner("bert", "classification", representation="means")
    with pytest.raises(TaskError, match="relations with a BERT"):
        learner("gpt", "relation", representation="cls")


def test_a_head_on_the_mean_of_all_tokens():
    few = task("classification")
    ours = learner("bert", "classification", representation="mean")
    batch = ours.collate([few.train[0], few.train[1]])
    hidden = ours.hidden(batch)
    for row, length in enumerate(batch["lengths"].tolist()):  # padding does not count
        assert torch.allclose(ours.summary(hidden, batch)[row], hidden[row, :length].mean(0), atol=1e-6)
    assert ours.settings()["representation"] == "mean"


def test_words_and_pieces_are_aligned():
    few = replace(task("tagging"), labels=("O", "B-PER", "I-PER"))
    example = Example("", meta={"tokens": ["Zyxwvut", "", "Quist", "sings"], "tags": ["B-PER", "O", "I-PER", "O"]})
    for family in ("bert", "gpt"):
        ours = learner_for(model(family), tokenizer(family), few)
        (item,) = ours.encode([example])
        lengths = [len(pieces) for pieces in ours.tokens(["Zyxwvut", "Quist"])]
        assert lengths[0] > 1  # a word of several pieces, or this test shows nothing
        first, third = (1, 1 + lengths[0]) if family == "bert" else (lengths[0] - 1, sum(lengths) - 1)
        assert item["places"][:3] == [first, None, third]  # a word without pieces has no place
        assert [item["labels"][place] for place in (first, third)] == [1, 2] and sum(label >= 0 for label in item["labels"]) == 3
        assert len(ours.predict([example])[0]) == 4
        cut = learner_for(model(family), tokenizer(family), few, max_length=4)
        assert len(cut.predict([example])[0]) == 4 and cut.truncated == 1
    with pytest.raises(DataError, match="3 tags for 4 words"):
        ours.encode([Example("", meta={"tokens": ["a", "b", "c", "d"], "tags": ["O", "O", "O"]})])


def test_span_is_read_from_the_original_text():
    text = "Rostin is old.  Signe ØRSTED works for Delphi Motors!"
    ours = learner("bert", "extraction")
    (item,) = ours.encode([Example(text, "Who?", meta={"answer": "Signe ØRSTED", "start": text.index("Signe")})])
    assert ours._read(item, *item["ends"]) == "Signe ØRSTED"
    (lost,) = learner("bert", "extraction", max_length=12).encode([Example(text, "Who?", meta={"answer": "Motors", "start": text.index("Motors")})])
    assert lost["ends"] == [0, 0]  # cut off: points to [CLS]


@pytest.mark.parametrize("kind", TASK_OF)
def test_formats_come_back(kind):
    few = task(kind, 200)
    for example in few.train:
        assert read_answer(few, example, target_text(few, example).upper()) == (target_text(few, example).upper() if kind in ("extraction", "generation") else example.target)
    if kind not in ("extraction", "generation"):
        assert read_answer(few, few.train[0], "complete nonsense") is None


def test_labels_that_differ_in_signs_alone():
    few = replace(task("classification"), labels=("1", "-1", "C", "C++", "e\u0301t\u00e9", "no"))
    for label in few.labels:
        assert read_answer(few, few.train[0], label.lower()) == label
    assert read_answer(few, few.train[0], "\u00e9t\u00e9") == "e\u0301t\u00e9" and read_answer(few, few.train[0], "No .") == "no"
    assert read_answer(few, few.train[0], "c#") is None, "two come equally near"


def test_unreadable_answers_are_wrong_and_counted():
    ours, few = learner("t5", "classification"), task("classification")
    assert evaluate(ours, few.test) == 0.0 and ours.unreadable == len(few.test)


def test_ragged_choices():
    few = Task("pick", "choice", (), "accuracy", [], [], [])
    examples = [Example("", "b or c?", label=1, meta={"choices": ["b", "c"]}), Example("a text", "which?", label=2, meta={"choices": ["b", "c", "d"]})]
    for family in ("bert", "gpt"):
        ours = learner_for(model(family), tokenizer(family), few)
        scores = ours.scores(ours.collate(examples))
        assert scores.shape == (2, 3) and scores[0, 2] == -torch.inf and torch.isfinite(ours.loss(ours.collate(examples)))


def test_unknown_label_and_unknown_kind():
    with pytest.raises(DataError, match="'so-so' is none of the task's: negative, positive"):
        learner("bert", "classification").encode([Example("x", label="so-so")])
    with pytest.raises(TaskError, match="Known kinds"):
        learner_for(model("gpt"), tokenizer("gpt"), replace(task("pair"), kind="poetry"))


def test_groups_for_every_method():
    ours = learner("bert", "classification")
    ours.model.requires_grad_(False)
    groups = parameter_groups(ours, "full")
    assert all(p.requires_grad for group in groups for p in group["params"]) and len(groups) == 2
    assert [len(group["params"]) for group in parameter_groups(ours, "head")] == [2]

    class Delta:  # anything with groups and a rate
        learning_rate = 0.5

        def groups(self, lr):
            return [{"params": ["d"], "lr": lr}]

    groups = parameter_groups(ours, "lora", Delta())
    assert groups[0] == {"params": ["d"], "lr": 0.5} and groups[1]["params"] == ours.parameters()
    with pytest.raises(Exception, match="none was given"):
        parameter_groups(ours, "lora")


@pytest.mark.parametrize(("shape", "d_model", "rate"), [("encoder", 64, 1), ("encoder", 192, 3**-1.5), ("encoder", 768, 3**-1.5 / 2), ("decoder", 768, 6**-1.5), ("encoder-decoder", 128, 1)])
def test_a_delta_slows_less_on_a_wide_bert(shape, d_model, rate):
    """Families that were measured on a real BERT say so; others keep the law of whole models, which begins where it began."""
    assert delta_rate(1.0, shape, d_model, slowing=0.5 if shape == "encoder" else 1.5) == pytest.approx(rate)
    assert delta_rate(1.0, shape, d_model) == pytest.approx(scaled(1.0, d_model, FOUND_AT[shape]))


@pytest.mark.parametrize(
    ("family", "other", "absent"),
    [
        ("bert", "gpt", "no cls_token and no sep_token for the inputs of this encoder"),
        ("bert", "t5", "no cls_token and no sep_token for the inputs of this encoder"),
        ("gpt", "bert", "no eos_token for the inputs of this decoder"),
        ("t5", "bert", "no eos_token for the inputs of this encoder-decoder"),
    ],
)
def test_the_tokenizer_of_another_family(family, other, absent):
    with pytest.raises(ConfigError, match=f"{absent}; use the tokenizer that belongs to this model"):
        learner_for(model(family), tokenizer(other), task("classification"))


def test_an_encoder_that_has_never_seen_cls():
    with pytest.raises(ConfigError, match="no cls_token and no sep_token.*take the whole T5"):
        learner_for(model("t5", shape="encoder", lm_head=None), tokenizer("t5"), task("classification"))
