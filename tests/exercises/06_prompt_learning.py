"""Tests and wrong answers of the exercises on prompt-learning."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: label_word_p -----------------------------------------------------------------------------------------


def masked(draw: Draw, places: list[int], t: int, v: int, c: int) -> dict:
    """Rows in which the mask stands at these places, never first or last."""
    ids = draw.integers(len(places), t, low=1, high=v - 2)
    for row, place in enumerate(places):
        ids[row, place] = v - 1
    return {"logits": draw.tensor(len(places), t, v, low=-3, high=3), "ids": ids, "mask_id": v - 1, "words": torch.tensor(draw.sample(range(v - 1), c))}


AT_MASK = Task(
    "label_word_p",
    tests=(
        Test("one text", 1, lambda draw: masked(draw, [draw.integer(2, 3)], 5, 9, 2), hint="the softmax runs over the vocabulary, at the mask"),
        Test("masks at different places", 2, lambda draw: masked(draw, draw.sample((1, 2, 3, 4), 3), 6, 8, 3), hint="each row has its own place"),
        Test("more words, more classes", 1, lambda draw: masked(draw, draw.sample((1, 2, 3), 2), 5, 30, 6), hidden=True),
    ),
    wrong=(
        Wrong("these shares add up to one: the softmax was taken over the label words, not over all words", ("one text", "masks at different places", "more words, more classes"), {"at.softmax(-1)[:, words]": "at[:, words].softmax(-1)"}),
        Wrong("the place of the first row's mask is used for all rows", ("masks at different places", "more words, more classes"), {"logits[ids == mask_id]": "logits[:, (ids[0] == mask_id).int().argmax()]"}),
        Wrong("this is read at [CLS], where a head would read; a prompt reads at the mask", ("one text", "masks at different places", "more words, more classes"), {"logits[ids == mask_id]": "logits[:, 0]"}),
        Wrong("this is read at the last token, as with GPT; BERT answers at the mask", ("one text", "masks at different places", "more words, more classes"), {"logits[ids == mask_id]": "logits[:, -1]"}),
        Wrong("the softmax runs over the places of the row: it asks where a word stands, not which word stands here", ("one text", "masks at different places", "more words, more classes"), {"at = logits[ids == mask_id]": "at = logits.softmax(1)[ids == mask_id]", "at.softmax(-1)[:, words]": "at[:, words]"}),
        Wrong("these are logits: the exercise asks for probabilities", ("one text", "masks at different places", "more words, more classes"), {"at.softmax(-1)[:, words]": "at[:, words]"}),
        Wrong("these are logarithms: leave them out here, a p lies between 0 and 1", ("one text", "masks at different places", "more words, more classes"), {"at.softmax(-1)": "at.log_softmax(-1)"}),
    ),
)


# -- 2: words_to_labels --------------------------------------------------------------------------------------


def verbalized(draw: Draw, b: int, counts: tuple[int, ...], v: int = 14) -> dict:
    order, words = draw.sample(range(v), sum(counts)), []
    for count in counts:
        words.append(order[:count])
        order = order[count:]
    return {"logits": draw.tensor(b, v, low=-2.5, high=2.5), "words": words}


def far_apart(draw: Draw) -> dict:
    inputs = verbalized(draw, 2, (2, 3))
    for row, label in enumerate((0, 1)):
        inputs["logits"][row, inputs["words"][label]] += 120
        inputs["logits"][row, inputs["words"][1 - label]] -= 120
    return inputs


LABELS = Task(
    "words_to_labels",
    tests=(
        Test("one word a label", 1, lambda draw: verbalized(draw, 3, (1, 1, 1)), hint="with one word a label this is a softmax over the label words"),
        Test("several words", 2, lambda draw: verbalized(draw, 2, (3, 2, 4)), hint="probabilities are averaged over the words of a label, then shared out over the labels"),
        Test("words far apart", 1, far_apart, hint="stay in logarithms: a probability of e^-240 is 0 in float32, and its logarithm is lost"),
        Test("two labels, one word against five", 1, lambda draw: verbalized(draw, 3, (1, 5)), hidden=True),
    ),
    wrong=(
        Wrong("this is the mean of logits: one unlikely word drags its label down, while an \"or\" averages probabilities", ("several words", "words far apart", "two labels, one word against five"), {"logits[:, own].logsumexp(-1) - math.log(len(own))": "logits[:, own].mean(-1)"}),
        Wrong("this is the sum over the words: a label with more words wins by numbers, so divide by their count", ("several words", "words far apart", "two labels, one word against five"), {" - math.log(len(own))": ""}),
        Wrong("the logarithm was divided by the number of words; it is the probability that is divided", ("several words", "words far apart", "two labels, one word against five"), {" - math.log(len(own))": " / len(own)"}),
        Wrong("the best word alone speaks for its label; here all its words have a share", ("several words", "words far apart", "two labels, one word against five"), {"logits[:, own].logsumexp(-1) - math.log(len(own))": "logits[:, own].amax(-1)"}),
        Wrong("only the first word of a label is used", ("several words", "words far apart", "two labels, one word against five"), {"logits[:, own].logsumexp(-1) - math.log(len(own))": "logits[:, own[0]]"}),
        Wrong("a probability became 0 and its logarithm -inf: stay in logarithms all the way", ("words far apart",), {"logits[:, own].logsumexp(-1) - math.log(len(own))": "logits.softmax(-1)[:, own].mean(-1).log()"}),
        Wrong("the labels do not share the whole: at the end they are normalised among themselves", ("one word a label", "several words", "words far apart", "two labels, one word against five"), {"logits[:, own].logsumexp(-1) -": "logits.log_softmax(-1)[:, own].logsumexp(-1) -", "torch.stack(scores, -1).log_softmax(-1)": "torch.stack(scores, -1)"}),
        Wrong("these are probabilities; the exercise asks for log p", ("one word a label", "several words", "words far apart", "two labels, one word against five"), {"torch.stack(scores, -1).log_softmax(-1)": "torch.stack(scores, -1).softmax(-1)"}),
    ),
)


# -- 3: prompts_together -------------------------------------------------------------------------------------


def asked(draw: Draw, n: int, allowed: list[list[int]], equal: bool = False) -> dict:
    """Prompts that disagree, with weights that do not sum to one."""
    b, c = len(allowed), len(allowed[0])
    weights = torch.full((n,), 3.0) if equal else torch.tensor(draw.sample((0.5, 1.25, 2.0, 3.5, 5.0), n))
    return {"scores": draw.tensor(n, b, c, low=-3, high=3), "weights": weights, "allowed": torch.tensor(allowed, dtype=torch.bool)}


TOGETHER = Task(
    "prompts_together",
    tests=(
        Test("one prompt, not all answers", 1, lambda draw: asked(draw, 1, [[1, 1, 0, 1], [0, 1, 1, 0]]), hint="what is not allowed gets -inf before the softmax"),
        Test("two prompts alike, all answers", 1, lambda draw: asked(draw, 2, [[1, 1, 1], [1, 1, 1]], equal=True), hint="probabilities are added, not logarithms; and weights share out one"),
        Test("weights", 1, lambda draw: asked(draw, 3, [[1, 1, 1, 1]]), hint="3 and 1 mean three quarters and one quarter"),
        Test("weights and not all answers", 2, lambda draw: asked(draw, 3, [[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1]]), hidden=True),
    ),
    wrong=(
        Wrong("logarithms are averaged: that is a product of prompts, in which one that says \"never\" decides for all", ("two prompts alike, all answers", "weights", "weights and not all answers"), {"(each + share[:, None, None]).logsumexp(0)": "(each * share.exp()[:, None, None]).sum(0)"}),
        Wrong("scores are averaged before the softmax: a prompt that shouts counts for more than its weight", ("two prompts alike, all answers", "weights", "weights and not all answers"), {"return (each + share[:, None, None]).logsumexp(0)": "mean = (scores * share.exp()[:, None, None]).sum(0)\n    return mean.masked_fill(~allowed, -torch.inf).log_softmax(-1)"}),
        Wrong("a forbidden answer gets the score 0, and a score of 0 is a score like any other: it takes -inf", ("one prompt, not all answers", "weights and not all answers"), {"scores.masked_fill(~allowed, -torch.inf)": "scores.masked_fill(~allowed, 0.0)"}),
        Wrong("forbidden answers are struck out after the softmax: what they had is lost instead of shared by the others", ("one prompt, not all answers", "weights and not all answers"), {"scores.masked_fill(~allowed, -torch.inf).log_softmax(-1)": "scores.log_softmax(-1).masked_fill(~allowed, -torch.inf)"}),
        Wrong("the mask is turned round: True means allowed", ("one prompt, not all answers", "two prompts alike, all answers", "weights", "weights and not all answers"), {"scores.masked_fill(~allowed,": "scores.masked_fill(allowed,"}),
        Wrong("the weights do not sum to one, so neither do the probabilities: divide by their sum", ("one prompt, not all answers", "two prompts alike, all answers", "weights", "weights and not all answers"), {"(weights / weights.sum()).log()": "weights.log()"}),
        Wrong("weights were put through a softmax: they are shares already, only their sum is wrong", ("weights", "weights and not all answers"), {"(weights / weights.sum()).log()": "weights.log_softmax(0)"}),
        Wrong("all prompts count alike: the weights are not used", ("weights", "weights and not all answers"), {"(weights / weights.sum()).log()": "torch.full_like(weights, 1 / len(weights)).log()"}),
        Wrong("the softmax runs over the prompts; each prompt shares out one over its answers", ("one prompt, not all answers", "two prompts alike, all answers", "weights", "weights and not all answers"), {".log_softmax(-1)  # [N,B,C]": ".log_softmax(0)  # [N,B,C]"}),
    ),
)


# -- 4: family_input -----------------------------------------------------------------------------------------


def piece(draw: Draw, low: int = 2, high: int = 5) -> list[int]:
    return [draw.integer(1000, 9999) for _ in range(draw.integer(low, high))]


def cloze(family: str):
    def inputs(draw: Draw) -> dict:
        return {"parts": [("text", piece(draw)), ("words", piece(draw)), ("mask", []), ("words", piece(draw, 1, 2))], "family": family}

    return inputs


def in_front(draw: Draw) -> dict:
    return {"parts": [("mask", []), ("words", piece(draw)), ("text", piece(draw)), ("words", piece(draw, 1, 1)), ("text", piece(draw))], "families": ["bert", "t5"]}


def each_family(family_input, parts, families):
    return [family_input(parts, family) for family in families]


def refused(family_input, parts):
    try:
        return family_input(parts, "gpt")
    except ValueError:
        return "a ValueError"


def text_behind(draw: Draw) -> dict:
    return {"parts": [("words", piece(draw)), ("mask", []), ("words", piece(draw, 1, 2)), ("text", piece(draw))]}


def prefix(draw: Draw) -> dict:
    return {"parts": [("words", piece(draw)), ("text", piece(draw)), ("words", piece(draw)), ("text", piece(draw)), ("mask", [])], "families": ["gpt", "bert", "t5"]}


FAMILIES = Task(
    "family_input",
    tests=(
        Test("bert", 1, cloze("bert"), hint="[CLS] stands in front, so everything moves by one"),
        Test("gpt", 1, cloze("gpt"), hint="the text stops before the gap, and the last token says what comes next"),
        Test("t5", 1, cloze("t5"), hint="the decoder begins with the padding token, then the sentinel"),
        Test("the mask in front", 1, in_front, use=each_family, hint="a cloze may have its gap anywhere"),
        Test("gpt and a text behind the mask", 1, text_behind, use=refused, hint="it would be lost without a sound: raise a ValueError"),
        Test("two texts, the mask last", 1, prefix, use=each_family, hidden=True),
    ),
    wrong=(
        Wrong("the place of BERT's mask is off by one: [CLS] stands in front", ("bert", "the mask in front", "two texts, the mask last"), {'"place": len(before) + 1': '"place": len(before)'}),
        Wrong("BERT's frame is missing: [CLS] in front and [SEP] behind, as in pre-training", ("bert", "the mask in front", "two texts, the mask last"), {"[CLS, *before, MASK, *behind, SEP]": "[*before, MASK, *behind]", '"place": len(before) + 1': '"place": len(before)'}),
        Wrong("what stands behind the mask is left out for BERT: it reads on both sides, only GPT does not", ("bert", "the mask in front"), {"MASK, *behind, SEP]": "MASK, SEP]"}),
        Wrong("GPT reads words behind the mask: then it goes on from there, and the gap is no longer what comes next", ("gpt",), {'"ids": before, "decoder": [], "place": len(before) - 1': '"ids": before + behind, "decoder": [], "place": len(before + behind) - 1'}),
        Wrong("GPT has no place behind its last token: what the last token gives *is* the next word", ("gpt", "two texts, the mask last"), {'"place": len(before) - 1': '"place": len(before)'}),
        Wrong("GPT is given a mask token, which it has never seen: its text simply stops", ("gpt", "two texts, the mask last"), {'"ids": before, "decoder": [], "place": len(before) - 1': '"ids": [*before, MASK], "decoder": [], "place": len(before)'}),
        Wrong("a text behind the mask is lost for GPT without a word: refuse it", ("gpt and a text behind the mask",), {'raise ValueError("gpt would never see the text behind the mask")': "pass"}),
        Wrong("GPT refuses words of the template behind the mask too; only a text of the example would be a loss", ("gpt",), {'if any(kind == "text" for kind, _ in parts[gap:]):': "if behind:"}),
        Wrong("T5's decoder lacks its start token: it begins with padding, then the sentinel", ("t5", "the mask in front", "two texts, the mask last"), {'"decoder": [PAD, SENTINEL], "place": 1': '"decoder": [SENTINEL], "place": 0'}),
        Wrong("T5's answer is read behind the sentinel; behind the start token it would name the sentinel", ("t5", "the mask in front", "two texts, the mask last"), {'"place": 1}': '"place": 0}'}),
        Wrong("T5's answer is read in the decoder, not at the sentinel of the encoder", ("t5", "the mask in front", "two texts, the mask last"), {'"place": 1}': '"place": len(before)}'}),
        Wrong("T5's input ends with </s>, as every text in its pre-training did", ("t5", "the mask in front", "two texts, the mask last"), {"SENTINEL, *behind, EOS]": "SENTINEL, *behind]"}),
    ),
)


# -- 5: soft_prompt_step -------------------------------------------------------------------------------------


def tuning(draw: Draw, b: int = 3, t: int = 5, p: int = 2, d: int = 4, v: int = 9, c: int = 3) -> dict:
    ids = draw.integers(b, t, low=0, high=v - 2)
    for row in range(b):
        ids[row, draw.integer(1, t - 2)] = v - 1
    labels = torch.tensor([row % c for row in range(b)])
    return {"soft": draw.tensor(p, d), "table": draw.tensor(v, d, low=-2, high=2), "ids": ids, "mask_id": v - 1, "words": torch.tensor(draw.sample(range(v - 1), c)), "labels": labels, "lr": draw.choice((2.0, 3.0, 4.0))}


def loss_alone(soft_prompt_step, **inputs):
    return soft_prompt_step(**inputs)[0]


def soft_alone(soft_prompt_step, **inputs):
    return soft_prompt_step(**inputs)[1]


def what_else_moves(soft_prompt_step, soft, table, **inputs):
    leaf, vectors = soft.clone().requires_grad_(), table.clone().requires_grad_()
    loss, new = soft_prompt_step(leaf, vectors, **inputs)
    return {"a gradient on table": vectors.grad is not None, "table moved": not torch.equal(vectors, table), "soft moved": not torch.equal(leaf, soft), "a history": loss.requires_grad or new.requires_grad}


STEP = Task(
    "soft_prompt_step",
    tests=(
        Test("the loss", 1, tuning, use=loss_alone, hint="soft vectors in front, logits at the mask, label words, cross-entropy"),
        Test("the step", 2, tuning, use=soft_alone, hint="against the gradient of the mean loss"),
        Test("nothing else moves", 1, tuning, use=what_else_moves, hint="the backbone stays frozen, even where its tensors ask for gradients"),
        Test("longer prompts, more classes", 2, lambda draw: tuning(draw, 4, 6, 5, 3, 12, 4), hidden=True),
    ),
    wrong=(
        Wrong("the mask is looked for at its old place: P vectors in front move it by P", ("the loss", "the step", "longer prompts, more classes"), {".argmax(-1) + len(soft)": ".argmax(-1)"}),
        Wrong("the loss runs over the whole vocabulary; a prompt restricts it to the label words", ("the loss", "the step", "longer prompts, more classes"), {"[torch.arange(len(ids)), place][:, words]": "[torch.arange(len(ids)), place]", "F.cross_entropy(scores, labels)": "F.cross_entropy(scores, words[labels])"}),
        Wrong("the soft vectors stand behind the row: the contract puts them in front", ("the loss", "the step", "longer prompts, more classes"), {"torch.cat([leaf.expand(len(ids), -1, -1), table[ids]], dim=1)": "torch.cat([table[ids], leaf.expand(len(ids), -1, -1)], dim=1)"}),
        Wrong("the step goes up the gradient: the loss would grow", ("the step", "longer prompts, more classes"), {"leaf - lr * gradient": "leaf + lr * gradient"}),
        Wrong("the loss is summed over the texts: the step then grows with the batch, so take the mean", ("the loss", "the step", "longer prompts, more classes"), {"F.cross_entropy(scores, labels)": 'F.cross_entropy(scores, labels, reduction="sum")'}),
        Wrong("the learning rate is forgotten", ("the step", "longer prompts, more classes"), {"leaf - lr * gradient": "leaf - gradient"}),
        Wrong("backward leaves a gradient on the word vectors: the next optimizer step of anybody would move the backbone", ("nothing else moves",), {"(gradient,) = torch.autograd.grad(loss, leaf)": "loss.backward()\n    gradient = leaf.grad"}),
        Wrong("the results still hold their history: every step would keep the graphs of all steps before it", ("nothing else moves",), {"return loss.detach(), (leaf - lr * gradient).detach()": "return loss, leaf - lr * gradient"}),
        Wrong("the word vectors train along: prompt tuning moves the soft vectors alone", ("the loss", "the step", "nothing else moves", "longer prompts, more classes"), {"(gradient,) = torch.autograd.grad(loss, leaf)": "(gradient,) = torch.autograd.grad(loss, leaf)\n    table.data -= 0.1"}),
        Wrong("the given soft vectors are changed in place: give back new ones", ("the loss", "the step", "nothing else moves", "longer prompts, more classes"), {"soft.detach().clone().requires_grad_()": "soft.detach().requires_grad_()", "return loss.detach(), (leaf - lr * gradient).detach()": "leaf.data -= lr * gradient\n    return loss.detach(), leaf.detach()"}),
    ),
)

# -- 6: mended_answers ---------------------------------------------------------------------------------------


WORDS = ("good", "bad", "fine", "poor", "great", "awful", "nice", "dull")


def read(draw: Draw, lengths: list[int], counts: tuple[int, ...], alike: bool) -> dict:
    """A vocabulary with every word twice; if alike, with and without a space are equally likely."""
    names, words = draw.sample(WORDS, sum(counts)), {}
    numbers = draw.sample(range(2 * len(WORDS) + 2), 2 * len(WORDS))
    vocabulary = {word: numbers[place] for place, word in enumerate(WORDS)} | {f" {word}": numbers[len(WORDS) + place] for place, word in enumerate(WORDS)}
    for label, count in zip(("negative", "positive", "neither"), counts):
        words[label] = names[:count]
        names = names[count:]
    logits = draw.tensor(len(lengths), max(lengths), 2 * len(WORDS) + 2, low=-2, high=2)
    if alike:
        logits[:, :, numbers[: len(WORDS)]] = logits[:, :, numbers[len(WORDS) :]]
    attention = torch.tensor([[int(place < length) for place in range(max(lengths))] for length in lengths])
    return {"logits": logits, "attention": attention, "vocabulary": vocabulary, "label_words": words}


ANSWERS = Task(
    "mended_answers",
    tests=(
        Test("texts of different lengths", 1, lambda draw: read(draw, [draw.integer(2, 4), 6, draw.integer(1, 3)], (1, 1), alike=True), hint="the last real token of a row is where its attention ends"),
        Test("a word with its space", 1, lambda draw: read(draw, [4, 4], (1, 1, 1), alike=False), hint="within a text a word is the token that brings its space"),
        Test("one label with more words", 1, lambda draw: read(draw, [3, 3], (1, 4), alike=True), hint="the mean over the words of a label, not their sum"),
        Test("everything together", 1, lambda draw: read(draw, [2, 5, 4], (2, 1, 3), alike=False), hidden=True),
    ),
    wrong=(
        Wrong("the last place of a padded row is padding: read at the last real token", ("texts of different lengths", "everything together"), {"last = attention.sum(-1) - 1": "last = -1"}),
        Wrong("the place is one too far: lengths count from 1, places from 0", ("texts of different lengths", "everything together"), {"attention.sum(-1) - 1": "attention.sum(-1).clamp(max=attention.shape[1] - 1)"}),
        Wrong("the words are looked up without their space: that is the token inside a longer word", ("a word with its space", "everything together"), {'vocabulary[" " + word]': "vocabulary[word]"}),
        Wrong("the words of a label are summed: a second word makes a label stronger, whatever it is", ("one label with more words", "everything together"), {"p[:, own].mean(-1)": "p[:, own].sum(-1)"}),
        Wrong("only the first word of a label is read", ("one label with more words", "everything together"), {"p[:, own].mean(-1)": "p[:, own[0]]"}),
        Wrong("logits are averaged; the contract asks for probabilities among all words", ("texts of different lengths", "a word with its space", "one label with more words", "everything together"), {"last].softmax(-1)": "last]"}),
        Wrong("the labels are sorted by name, while the scores stand in the order that was given", ("texts of different lengths", "a word with its space", "one label with more words", "everything together"), {"for words in label_words.values():": "for words in [label_words[label] for label in sorted(label_words, reverse=True)]:"}),
    ),
)

TASKS = (AT_MASK, LABELS, TOGETHER, FAMILIES, STEP, ANSWERS)
