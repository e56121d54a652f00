"""Verbalizers on small numbers worked by hand, what they refuse, and that each learns."""

import math

import pytest
import torch

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.prompt.answers import AnswerLearner, Answers
from minidelta.prompt.decompose import DecomposedVerbalizer, combine
from minidelta.prompt.expand import accuracies, auto_label_words, likelihood_ratios, neighbours, petal, whole_words
from minidelta.prompt.knowledge import KnowledgeVerbalizer, cut, expand_words, keep_words, read_thesaurus, refine, relevance, word_priors, world_knowledge
from minidelta.prompt.label_vectors import LabelVectors
from minidelta.prompt.learner import PromptLearner
from minidelta.prompt.prototypes import TEMPERATURE, Prototypes, instance_loss
from minidelta.prompt.verbalizer import WordVerbalizer, in_order, join_words, read_label_words, score_words, words_from_names
from tests.prompt.tiny import FAMILIES, model, pieces, task, tokenizer

P = torch.tensor([[[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]])  # one example, two masks, four words
IDS, REAL = torch.tensor([[1, 2], [3, 0]]), torch.tensor([[True, True], [True, False]])  # a word of two tokens, a word of one
WORDS = {"negative": ["bad", "dull"], "positive": ["good"]}


def learner(family="bert", template="{text_a|shorten} it was {mask} .", verbalizer=None, **settings):
    return PromptLearner(model(family), tokenizer(family), task(), template, verbalizer, **settings)


# ---- words ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ("first", [0.2, 0.4]),
        ("mean", [math.sqrt(0.2 * 0.3), 0.4]),
        ("max", [0.3, 0.4]),
        ("product", [0.2 * 0.2, 0.4]),  # 0.2 at the first mask, 0.2 at the second
    ],
)
def test_what_counts_of_a_word_of_two_tokens(tokens, expected):
    torch.testing.assert_close(score_words(P.log(), IDS, REAL, tokens).exp(), torch.tensor([expected]))


@pytest.mark.parametrize(("words", "expected"), [("mean", [-2.0, -4.0]), ("max", [-1.0, -4.0]), ("sum", [math.log(math.exp(-1) + math.exp(-3)), -4.0])])
def test_what_counts_of_several_words(words, expected):
    torch.testing.assert_close(join_words(torch.tensor([[-1.0, -3.0, -4.0]]), torch.tensor([0, 0, 1]), 2, words), torch.tensor([expected]))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_learner_reads_the_words_where_the_family_says_them(family):
    """Against the model called by hand, with ids put together by hand."""
    ours = learner(family, verbalizer=WordVerbalizer(WORDS))
    words = ("_the", "_film", "_was", "_bad", "_it", "_was")
    if family == "bert":
        logits = ours.model(torch.tensor([pieces(family, "[CLS]", *words, "[MASK]", "_.", "[SEP]")]))[0, 7]
    elif family == "gpt":
        logits = ours.model(torch.tensor([pieces(family, *words)]))[0, -1]
    else:
        source, start = pieces(family, *words, "<extra_id_0>", "_.", "</s>"), pieces(family, "<pad>", "<extra_id_0>")
        logits = ours.model(torch.tensor([source]), decoder_input_ids=torch.tensor([start]))[0, -1]
    bad, dull, good = logits.log_softmax(-1)[pieces(family, "_bad", "_dull", "_good")]
    torch.testing.assert_close(ours.score([Example("the film was bad")])[0], torch.stack([(bad + dull) / 2, good]))


def test_label_words_are_checked():
    with pytest.raises(PromptError, match="'negative' has no label word"):
        WordVerbalizer({"negative": [" "], "positive": ["good"]})
    with pytest.raises(PromptError, match="'Good' stands twice, for 'negative' and for 'positive'"):
        WordVerbalizer({"negative": ["good"], "positive": ["Good"]})
    with pytest.raises(PromptError, match="at least two labels"):
        WordVerbalizer({"positive": ["good"]})
    with pytest.raises(PromptError, match="no tokens='frist'. Did you mean first"):
        WordVerbalizer(WORDS, tokens="frist")
    with pytest.raises(PromptError, match=r"cut into several tokens \(unforgettable = .*tokens = first, mean, max, product"):
        learner(verbalizer=WordVerbalizer({"negative": ["bad"], "positive": ["unforgettable"]}))
    with pytest.raises(PromptError, match=r"has \d+ tokens \(unforgettable\), and the template has 1 masks; write {mask:"):
        learner(verbalizer=WordVerbalizer({"negative": ["bad"], "positive": ["unforgettable"]}, tokens="product"))
    with pytest.raises(PromptError, match="'a film' and 'a  film' are the same"):
        learner(verbalizer=WordVerbalizer({"negative": ["a film"], "positive": ["a  film"]}, tokens="mean"))
    with pytest.raises(PromptError, match="'a film' and 'a book' are the same.*more than the first"):
        learner(verbalizer=WordVerbalizer({"negative": ["a film"], "positive": ["a book"]}, tokens="first"))
    with pytest.raises(PromptError, match="has the labels no, yes, and the task negative, positive"):
        learner(verbalizer=WordVerbalizer({"no": ["bad"], "yes": ["good"]}))


def test_label_words_from_the_command_line_and_from_files(tmp_path):
    labels = ("negative", "positive")
    assert read_label_words("positive=good;negative=bad,dull", labels) == WORDS
    (tmp_path / "w.json").write_text('{"negative": ["bad", "dull"], "positive": "good"}', encoding="utf-8")
    (tmp_path / "w.txt").write_text("# mine\nnegative: bad, dull\npositive: good\n", encoding="utf-8")
    assert read_label_words(str(tmp_path / "w.json"), labels) == read_label_words(str(tmp_path / "w.txt"), labels) == WORDS
    for source, complaint in (("negativ=bad", "Did you mean negative"), ("negative=bad", "for 'positive'"), ("bad", "cannot be read at 'bad'"), (str(tmp_path / "none.json"), "cannot be read")):
        with pytest.raises(PromptError, match=complaint):
            read_label_words(source, labels)
    for content in ("[1]", "{", '{"negative": 3}'):
        (tmp_path / "w.json").write_text(content, encoding="utf-8")
        with pytest.raises(PromptError, match="w.json"):
            read_label_words(str(tmp_path / "w.json"), labels)
    (tmp_path / "w.json").write_text('{"negative": "bad", "positive": "good", "negative": "dull"}', encoding="utf-8")
    with pytest.raises(PromptError, match="'negative' is given words twice"):
        read_label_words(str(tmp_path / "w.json"), labels)
    assert words_from_names(["born_in", "no relation", "-1"]) == {"born_in": ["born in"], "no relation": ["no relation"], "-1": ["-1"]}
    assert list(in_order({"b": ["x"], "a": ["y"]}, ["a", "b"])) == ["a", "b"]


# ---- answers of any length ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("normalise", ["sum", "mean"])
def test_an_answer_of_two_tokens_by_hand(family, normalise):
    ours = AnswerLearner(model(family), tokenizer(family), task(), "{text_a} it was {mask} .", Answers({"negative": ["bad"], "positive": ["good film"]}, normalise=normalise))
    words = ("_the", "_book", "_it", "_was")
    good, film = pieces(family, "_good", "_film")
    if family == "bert":
        log_p = ours.model(torch.tensor([pieces(family, "[CLS]", *words, "[MASK]", "[MASK]", "_.", "[SEP]")])).log_softmax(-1)[0, 5:7]
    elif family == "gpt":
        log_p = ours.model(torch.tensor([pieces(family, *words, "_good")])).log_softmax(-1)[0, 3:5]
    else:
        log_p = ours.model(torch.tensor([pieces(family, *words, "<extra_id_0>", "_.", "</s>")]), decoder_input_ids=torch.tensor([pieces(family, "<pad>", "<extra_id_0>", "_good")])).log_softmax(-1)[0, 1:3]
    expected = log_p[0, good] + log_p[1, film]
    torch.testing.assert_close(ours.score([Example("the book")])[0, 1], expected / (2 if normalise == "mean" else 1))


@pytest.mark.parametrize("family", FAMILIES)
def test_choices_differ_from_example_to_example(family):
    from minidelta.data import Task

    examples = [Example("", "the film is", 1, {"choices": ["a book", "good"]}), Example("", "it was", 0, {"choices": ["bad", "fine film", "dull"]})]
    ours = AnswerLearner(model(family), tokenizer(family), Task("c", "choice", (), "accuracy", examples, examples, examples), "{text_b|shorten} {mask}")
    scores = ours.score(examples)
    assert scores.shape == (2, 3) and scores[0, 2] == -torch.inf and scores[1].isfinite().all()
    torch.testing.assert_close(scores[0, :2], ours.score(examples[:1])[0])
    assert ours.predict(examples) == scores.argmax(-1).tolist()


def test_answers_are_not_scored_at_the_masks_of_one_row():
    """Neither by a learner that was made by hand for words, nor by the verbalizer alone: one line says who does it."""
    ours = learner(verbalizer=Answers(WORDS))
    for ask in (lambda: ours.score([Example("the film")]), lambda: ours.loss(ours.collate([Example("the film", label="positive")]))):
        with pytest.raises(PromptError, match="by AnswerLearner or prompt_learner") as told:
            ask()
        assert "\n" not in str(told.value)


def test_answers_need_one_gap():
    with pytest.raises(PromptError, match="has 2 gaps"):
        AnswerLearner(model("bert"), tokenizer("bert"), task(), "{mask} {text_a} {mask}", Answers(WORDS))


# ---- decomposition --------------------------------------------------------------------------------------------------
def test_a_product_over_masks():
    first, second = torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[0.5, 0.5]]).log()
    torch.testing.assert_close(combine([first, second], [torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1])]).exp(), torch.tensor([[0.125, 0.375, 0.375]]))


def test_decomposed_labels_are_scored_over_the_words_of_each_mask():
    ours = learner(template="{text_a} {mask} was {mask}", verbalizer=DecomposedVerbalizer({"negative": ["film", "bad"], "positive": ["book", "bad"]}))
    at = ours.model(torch.tensor([pieces("bert", "[CLS]", "_it", "[MASK]", "_was", "[MASK]", "[SEP]")]))[0, 2]
    torch.testing.assert_close(ours.score([Example("it")])[0], at[pieces("bert", "_film", "_book")].log_softmax(-1))  # the second mask is the same for both
    for words, complaint in (
        ({"negative": ["film", "bad"], "positive": ["film", "bad"]}, "same words"),
        ({"negative": ["film"], "positive": ["film", "bad"]}, "has 2 words and 'negative' has 1"),
        ({"negative": ["film"], "positive": ["book"]}, "have 1 words each, and the model fills 2 masks"),
        ({"negative": ["film", "bad"], "positive": ["unforgettable", "bad"]}, "'unforgettable' at mask 1 are several tokens"),
    ):
        with pytest.raises(PromptError, match=complaint):
            learner(template="{text_a} {mask} was {mask}", verbalizer=DecomposedVerbalizer(words))


# ---- found by the model ---------------------------------------------------------------------------------------------
def test_likelihood_ratios_by_hand():
    p = torch.tensor([[0.9, 0.5, 1e-9], [0.5, 0.5, 1e-9], [0.1, 0.5, 1e-9]])
    first = (math.log(9) + math.log(1)) / 2 - math.log(1 / 9)  # log odds of the first word under each label
    expected = torch.tensor([[first, 0.0, 0.0], [-first, 0.0, 0.0]])
    torch.testing.assert_close(likelihood_ratios(p.log(), torch.tensor([0, 0, 1]), 2), expected)
    assert likelihood_ratios(torch.zeros(2, 1), torch.tensor([0, 1]), 2).isfinite().all(), "a word that is certain"
    with pytest.raises(PromptError, match="every label has an example"):
        likelihood_ratios(p.log(), torch.tensor([0, 0, 0]), 2)


def test_accuracies_by_hand():
    log_p, labels = torch.tensor([[-1.0, -2.0, -3.0], [-3.0, -2.0, -1.0]]), torch.tensor([0, 1])
    assert accuracies(log_p, labels, torch.tensor([[0, 2], [1, 2], [2, 0]])).tolist() == [1.0, 1.0, 0.0]


def test_a_model_that_says_what_it_read_proposes_those_words():
    """Once the loss has made the model say bad and good, PETAL and auto-L find these two among all words."""
    from minidelta.train import fit

    ours = learner(verbalizer=WordVerbalizer({"negative": ["bad"], "positive": ["good"]}))
    items = ours.encode(ours.task.train)
    targets = torch.tensor([pieces("bert", "_bad", "_good")[item["label"]] for item in items])
    fit(lambda batch: torch.nn.functional.cross_entropy(ours.model.lm_logits(ours.at_masks(batch)[:, 0]), targets), lambda step: ours.pad(items), ours.model.parameters(), steps=60, lr=1e-2, progress=False)
    assert {label: words[0] for label, words in petal(ours, ours.task.train, k=3, among=5).items()} == {"negative": "bad", "positive": "good"}
    ranked = auto_label_words(ours, ours.task.train, ours.task.validation, k=3, n=2)
    assert ranked[0] == (1.0, {"negative": ["bad"], "positive": ["good"]}) and len(ranked) == 2
    assert petal(ours, ours.task.train, candidates=["fine", "good", "bad"], among=2)["positive"][0] == "good"
    with pytest.raises(PromptError, match="None of the candidates"):
        petal(ours, ours.task.train, candidates=["unforgettable"])


def test_whole_words_and_neighbours():
    known = tokenizer("bert").convert_ids_to_tokens(whole_words(tokenizer("bert")))
    assert "Ġgood" in known and "[MASK]" not in known and not any(len(piece) < 4 for piece in known)
    near = neighbours(model("bert"), tokenizer("bert"), "good", 4)
    assert near[0] == "good" and len(near) == 4 == len(set(near))


# ---- knowledge ------------------------------------------------------------------------------------------------------
LOG_P = torch.tensor([[0.4, 0.1, 0.2, 0.3], [0.2, 0.1, 0.6, 0.1]]).log()  # two texts, four words


def test_frequency_relevance_and_calibration_by_hand():
    torch.testing.assert_close(word_priors(LOG_P).exp(), torch.tensor([0.3, 0.1, 0.4, 0.2]))
    log_p = torch.tensor([[3.0, 2.0, 0.0, 0.0, 1.0], [0.0, 0.0, 2.0, 3.0, 1.0], [0.0, 1.0, 1.0, 0.0, 4.0]])  # three texts, five words, three labels
    found = relevance(log_p, torch.tensor([0, 0, 1, 1, 2]), [0, 2, 4])

    def cosine(i, j):
        a, b = (log_p[:, k] - log_p[:, k].mean() for k in (i, j))
        return float(a @ b / (a.norm() * b.norm()))

    assert found[1].item() == pytest.approx(cosine(1, 0) - (cosine(1, 2) + cosine(1, 4)) / 2, rel=1e-5)
    assert found[3].item() == pytest.approx(cosine(3, 2) - (cosine(3, 0) + cosine(3, 4)) / 2, rel=1e-5)
    assert found[1] > 0 > relevance(log_p, torch.tensor([0, 1, 1, 1, 2]), [0, 2, 4])[1], "the second word goes with the first"
    assert keep_words({"a": ["x", "y"], "b": ["z", "w"]}, [False, True, False, False]) == {"a": ["x", "y"], "b": ["z"]}


def test_every_label_is_cut_at_one_rate():
    found, owner = torch.tensor([0.9, 0.5, 0.4, 0.1, 0.3, -0.2]), torch.tensor([0, 0, 0, 0, 1, 1])
    assert cut(found, owner) == [True, True, True, False, True, False], "three quarters and a half: 0.1 and -0.2 are at the edge"
    assert cut(torch.tensor([0.9, -0.1, -0.5, 0.8, 0.1, -0.7]), torch.tensor([0, 0, 0, 1, 1, 1])) == [True, False, False, True, False, False]


def test_expansion_leaves_out_shared_and_split_words():
    words = expand_words({"negative": ["bad"], "positive": ["good"]}, {"bad": ["dull", "film", "unforgettable"], "good": ["fine", "film", "good"]}, tokenizer("bert"))
    assert words == {"negative": ["bad", "dull"], "positive": ["good", "fine"]}


def test_calibration_takes_the_prior_off_and_weights_start_equal():
    plain, weighted = KnowledgeVerbalizer(WORDS, prior=[-1.0, -2.0, -3.0]), KnowledgeVerbalizer(WORDS, weighted=True)
    ours = learner(verbalizer=plain)
    bare = learner(verbalizer=WordVerbalizer(WORDS)).score(ours.task.test)
    torch.testing.assert_close(ours.score(ours.task.test), bare - torch.tensor([-1.5, -3.0]))
    ours.use(weighted)
    torch.testing.assert_close(ours.score(ours.task.test), bare)
    with torch.no_grad():
        weighted.alpha.copy_(torch.tensor([math.log(3.0), 0.0, 5.0]))  # 3/4 and 1/4; a single word has weight 1
    torch.testing.assert_close(weighted.label_scores(torch.tensor([[-1.0, -2.0, -3.0]])), torch.tensor([[-1.25, -3.0]]))


def test_refining_keeps_the_anchors_and_binds_the_result():
    ours = learner(verbalizer=WordVerbalizer(WORDS))
    words = expand_words({"negative": ["bad"], "positive": ["good"]}, {"bad": ["dull", "terrible"], "good": ["fine", "great"]}, tokenizer("bert"))
    made = refine(ours, words, ours.task.train, frequency=0.4, weighted=True)
    assert ours.verbalizer is made and made.label_words["negative"][0] == "bad" and made.label_words["positive"][0] == "good"
    assert len(made.flat) < 6 and len(made.prior) == len(made.flat) and ours.parameters() == [made.alpha]
    whole = refine(ours, words, ours.task.train, frequency=0, relevant=False, calibrated=False)
    assert whole.label_words == words and whole.prior is None and ours.parameters() == []
    with pytest.raises(PromptError, match="without labels"):
        refine(ours, words, [])


def test_knowledge_bases(tmp_path):
    base = world_knowledge()
    assert "wonderful" in base["good"] and "dog" in base["animal"] and base["sick"] == ["ill"] and "election" in base["politics"]
    file = tmp_path / "words.txt"
    file.write_text("# mine\ngood: fine, great\ngood: lovely,\n", encoding="utf-8")
    assert read_thesaurus(file) == {"good": ["fine", "great", "lovely"]}
    file.write_text("good fine\n", encoding="utf-8")
    with pytest.raises(PromptError, match="words.txt:1: expected"):
        read_thesaurus(file)
    with pytest.raises(PromptError, match="cannot be read"):
        read_thesaurus(tmp_path / "none.txt")


# ---- vectors and prototypes -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("family", FAMILIES)
def test_label_vectors_start_as_their_words(family):
    ours, words = learner(family, verbalizer=LabelVectors({"negative": ["bad"], "positive": ["good"]})), learner(family, verbalizer=WordVerbalizer({"negative": ["bad"], "positive": ["good"]}))
    bias = words.model.lm_head.bias
    gap = 0.0 if bias is None else (bias[pieces(family, "_good")[0]] - bias[pieces(family, "_bad")[0]]).item()
    one, other = ours.score(ours.task.test), words.score(words.task.test)
    torch.testing.assert_close(one[:, 1] - one[:, 0] + gap, other[:, 1] - other[:, 0], atol=1e-4, rtol=1e-4)
    assert [tuple(p.shape) for p in ours.parameters()] == [(2, 32)]


def test_prototypes_by_hand():
    points = Prototypes(["a", "b"], width=2).bind(model("bert"), tokenizer("bert"), True, 1)
    with torch.no_grad():
        points.project.zero_()
        points.project[0, 0] = points.project[1, 1] = 1.0
        points.points.copy_(torch.tensor([[2.0, 0.0], [0.0, 5.0]]))
    hidden = torch.zeros(1, 1, 32)
    hidden[0, 0, :2] = torch.tensor([3.0, 4.0])  # of length 5
    torch.testing.assert_close(points(hidden, None), torch.tensor([[0.6, 0.8]]) / TEMPERATURE)
    placed = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), dim=-1)
    near, far = math.sqrt(0.5) / TEMPERATURE, 0.0
    expected = (math.log(math.exp(near) + math.exp(far)) - near + math.log(2 * math.exp(near)) - near) / 2  # seen from the first, and from the second
    assert instance_loss(placed, torch.tensor([0, 0, 1])).item() == pytest.approx(expected, rel=1e-5)
    assert instance_loss(placed, torch.tensor([0, -100, 1])).item() == 0.0


def test_prototypes_start_at_the_mean_of_their_examples():
    ours = learner(verbalizer=Prototypes(("negative", "positive"), width=16))
    ours.verbalizer.start(ours, ours.task.train)
    placed = ours.verbalizer.place(ours.at_masks(ours.collate(ours.task.train)))
    labels = torch.tensor([ours.label_number(example) for example in ours.task.train])
    torch.testing.assert_close(ours.verbalizer.points[1], placed[labels == 1].mean(0))
