"""Tests and wrong answers of the exercises on verbalizers."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: label_word_scores ------------------------------------------------------------------------------------


def words_at_a_mask(rule: str, *sizes: int):
    """Logits in which no label's first word is its likeliest."""

    def inputs(draw: Draw) -> dict:
        chosen, label_ids, start = draw.sample(range(14), sum(sizes)), [], 0
        for size in sizes:
            label_ids.append(chosen[start : start + size])
            start += size
        logits = draw.tensor(3, 14, low=-1, high=2)
        for ids in label_ids:
            if len(ids) > 1:
                logits[:, ids[0]] = -1.5
        return {"logits": logits, "label_ids": label_ids, "rule": rule}

    return inputs


ALL = ("mean of logarithms", "the best word", "any of the words", "lists of different length")
WORDS = Task(
    "label_word_scores",
    tests=(
        Test("mean of logarithms", 1, words_at_a_mask("mean", 3, 3), hint="normalise over the vocabulary, choose the label's columns, take their mean"),
        Test("the best word", 1, words_at_a_mask("max", 3, 2), hint="the largest log p among the label's words"),
        Test("any of the words", 1, words_at_a_mask("sum", 2, 3), hint="the probabilities are added, not the logarithms"),
        Test("lists of different length", 1, words_at_a_mask("sum", 1, 4, 2), hidden=True),
    ),
    wrong=(
        Wrong("these are raw logits: normalise over the vocabulary first, or scores of two texts cannot be compared", ALL, {"logits.log_softmax(-1)": "logits"}),
        Wrong("the softmax runs over the label words alone: p(v | x) is a share of the whole vocabulary", ALL, {"log_p = logits.log_softmax(-1)": "every = [word for ids in label_ids for word in ids]\n    log_p = logits - logits[:, every].logsumexp(-1, keepdim=True)"}),
        Wrong("logarithms are added: that is the log of a product, which punishes a label for every word it has", ("any of the words", "lists of different length"), {"own.logsumexp(-1)": "own.sum(-1)"}),
        Wrong("this is the mean of the probabilities; the rule takes the mean of their logarithms, in which one unlikely word drags the label down", ("mean of logarithms",), {"own.mean(-1)": "own.exp().mean(-1).log()"}),
        Wrong("the first word of the list is taken for the best one", ("the best word",), {"own.amax(-1)": "own[:, 0]"}),
        Wrong("the softmax runs over the texts of the batch: each text has a distribution of its own", ALL, {"log_softmax(-1)": "log_softmax(0)"}),
        Wrong("these are probabilities; a score here is a logarithm", ALL, {"return torch.stack(columns, dim=1)": "return torch.stack(columns, dim=1).exp()"}),
        Wrong("the result is [C,B]: a row is a text, a column a label", ALL, {"torch.stack(columns, dim=1)": "torch.stack(columns, dim=0)"}),
    ),
)


# -- 2: chunk_scores -----------------------------------------------------------------------------------------


def chunks(rule: str, lengths: tuple[int, ...], spare: int = 0):
    """Chunks of these lengths, no token of which is the 0 that fills up."""

    def inputs(draw: Draw) -> dict:
        longest = max(lengths)
        ids = draw.integers(len(lengths), longest, low=1, high=8)
        for row, length in enumerate(lengths):
            ids[row, length:] = 0
        return {"log_p": draw.tensor(2, longest + spare, 9, low=-5, high=-0.5), "ids": ids, "lengths": torch.tensor(lengths), "rule": rule}

    return inputs


CHUNKS = Task(
    "chunk_scores",
    tests=(
        Test("the first token", 1, chunks("first", (2, 3, 2)), hint="one token, one mask"),
        Test("chunks of one length", 1, chunks("product", (2, 2, 2)), hint="token j is read at mask j, and logarithms are added"),
        Test("chunks of several lengths", 1, chunks("product", (1, 3, 2)), hint="what fills up a short chunk is no token of it"),
        Test("divided by the length", 1, chunks("normalised", (3, 1, 2)), hint="each chunk has a length of its own"),
        Test("more masks than tokens", 1, chunks("normalised", (2, 1, 3, 2), 2), hidden=True),
    ),
    wrong=(
        Wrong("what fills up a short chunk is counted: token 0 has a probability as well, so leave out what is not real", ("chunks of several lengths", "divided by the length", "more masks than tokens"), {".masked_fill(~real, 0.0)": ""}),
        Wrong("all tokens are read at the first mask: token j stands at mask j", ("chunks of one length", "chunks of several lengths", "divided by the length", "more masks than tokens"), {"log_p[:, places, ids]": "log_p[:, 0, ids]"}),
        Wrong("only the first piece of each word is read, so that all words that begin alike are one word", ("chunks of one length", "chunks of several lengths", "divided by the length", "more masks than tokens"), {'if rule == "first":': "if True:"}),
        Wrong("it is divided by the longest chunk's length; each chunk has its own", ("divided by the length", "more masks than tokens"), {"total / lengths": "total / ids.shape[1]"}),
        Wrong("the product is divided by the length too: only the rule 'normalised' asks for that", ("chunks of one length", "chunks of several lengths"), {'total / lengths if rule == "normalised" else total': "total / lengths"}),
        Wrong("logarithms are multiplied: a product of probabilities is a sum of logarithms", ("chunks of one length", "chunks of several lengths", "divided by the length", "more masks than tokens"), {".masked_fill(~real, 0.0).sum(-1)": ".masked_fill(~real, 1.0).prod(-1)"}),
        Wrong("this is the mean of all pieces at one mask; the rule 'first' looks at the first piece alone", ("the first token",), {"log_p[:, 0, ids[:, 0]]": "log_p[:, 0, ids].mean(-1)"}),
    ),
)


# -- 3: petal_ratios -----------------------------------------------------------------------------------------


def examples(*counts: int, everywhere: bool = False):
    """So many examples of each label, in a drawn order; `everywhere`: word 0 is as likely in all of them."""

    def inputs(draw: Draw) -> dict:
        labels = [label for label, count in enumerate(counts) for _ in range(count)]
        log_p = draw.tensor(len(labels), 5, low=-4, high=-0.2)
        if everywhere:
            log_p[:, 0] = draw.number(-0.6, -0.2)
        return {"log_p": log_p, "labels": torch.tensor(draw.sample(labels, len(labels))), "n_labels": len(counts)}

    return inputs


EACH = ("one example each", "several examples each", "a word that is likely everywhere", "three labels", "four labels")
PETAL = Task(
    "petal_ratios",
    tests=(
        Test("one example each", 1, examples(1, 1), hint="a difference of two log-odds"),
        Test("several examples each", 1, examples(3, 2), hint="a mean inside, a mean outside"),
        Test("a word that is likely everywhere", 1, examples(2, 2, everywhere=True), hint="a word that is the same under all labels tells nothing, so its ratio is 0"),
        Test("three labels", 1, examples(1, 4, 2), hint="outside are the examples of all other labels, each with the same weight"),
        Test("four labels", 1, examples(2, 1, 3, 2), hidden=True),
    ),
    wrong=(
        Wrong("this compares log p; the ratio is of odds, p / (1 - p), which still tell likely words apart", EACH, {"log_p - torch.log1p(-log_p.exp())": "log_p"}),
        Wrong("sums instead of means: then the label with more examples outweighs the others", EACH[1:], {"odds[own].mean(0) - odds[~own].mean(0)": "odds[own].sum(0) - odds[~own].sum(0)"}),
        Wrong("nothing is subtracted: then a word that is likely everywhere wins for every label", EACH, {" - odds[~own].mean(0)": ""}),
        Wrong("the label's own examples stand on both sides: subtract the mean of the others, not of all", EACH, {"odds[~own].mean(0)": "odds.mean(0)"}),
        Wrong("the sign is reversed: the word that the label's examples expect more gets the larger number", EACH, {"odds[own].mean(0) - odds[~own].mean(0)": "odds[~own].mean(0) - odds[own].mean(0)"}),
        Wrong("this is the mean over the other labels of their means: outside, each example counts alike", EACH[3:], {"odds[~own].mean(0)": "torch.stack([odds[labels == other].mean(0) for other in range(n_labels) if other != label]).mean(0)"}),
        Wrong("p / (1 - p) is formed, but its logarithm is not taken: means of odds are ruled by the largest of them", EACH, {"log_p - torch.log1p(-log_p.exp())": "log_p.exp() / (1 - log_p.exp())"}),
    ),
)


# -- 4: refined_scores ---------------------------------------------------------------------------------------


def knowledge(draw: Draw, labels: int, kinds: tuple[str, ...]) -> dict:
    """Words of a knowledge base over texts of which two are about each label and two about none.

    kinds of words, the same for each label: "good" goes with it; "rare" does, and is hardly expected; "stray" goes with the
    next label; "mixed" with both, and more with the next.
    """
    texts, columns, owner = 2 * labels + 2, [], []
    for label in range(labels):
        for kind in kinds:
            share, level = {"good": ((1.5, 0.0), -2), "rare": ((1.5, 0.0), -7), "stray": ((0.0, 1.5), -2), "mixed": ((1.0, 1.5), -2)}[kind]
            column = level + draw.tensor(texts, low=-0.1, high=0.1) + draw.number(-0.5, 0.0)
            column[2 * label : 2 * label + 2] += share[0]
            after = (label + 1) % labels
            column[2 * after : 2 * after + 2] += share[1]
            columns.append(column)
            owner.append(label)
    return {"log_p": draw.tensor(3, len(owner), low=-5, high=-1), "support": torch.stack(columns, dim=1), "owner": torch.tensor(owner), "anchors": [len(kinds) * label for label in range(labels)], "rare": draw.number(-4.5, -3.5)}


KPT = Task(
    "refined_scores",
    tests=(
        Test("calibration alone", 2, lambda draw: knowledge(draw, 3, ("good", "good")), hint="no word has to go here: the mean of log p(v | x) - log p(v)"),
        Test("rare words go", 1, lambda draw: knowledge(draw, 3, ("good", "rare", "good")), hint="compare log p(v) with the threshold"),
        Test("words of another label go", 1, lambda draw: knowledge(draw, 2, ("good", "good", "mixed", "stray")), hint="R(v) takes off how the word goes with the other labels"),
        Test("an anchor stays", 1, lambda draw: knowledge(draw, 3, ("rare", "good")), hint="the anchor is kept, however rare it is"),
        Test("four labels", 2, lambda draw: knowledge(draw, 4, ("good", "rare", "stray", "good")), hidden=True),
    ),
    wrong=(
        Wrong("the calibration is missing: take log p(v) off each word", ("calibration alone", "rare words go", "words of another label go", "an anchor stays", "four labels"), {"calibrated = log_p - prior": "calibrated = log_p"}),
        Wrong("the prior is a mean of logarithms; it is the logarithm of a mean of probabilities", ("calibration alone", "rare words go", "words of another label go", "an anchor stays", "four labels"), {"support.logsumexp(0) - math.log(len(support))": "support.mean(0)"}),
        Wrong("the prior is a sum over the texts: divide by their number", ("calibration alone", "rare words go", "words of another label go", "an anchor stays", "four labels"), {" - math.log(len(support))": ""}),
        Wrong("rare words stay: what the model hardly ever expects is noise, so compare log p(v) with the threshold", ("rare words go", "four labels"), {"(prior > rare) & ": ""}),
        Wrong("words of another label stay: R(v) is missing", ("words of another label go", "four labels"), {" & (own - others > 0)": ""}),
        Wrong("it is not enough that a word goes with its own label: it may go with another even more, so take the others off", ("words of another label go",), {"(own - others > 0)": "(own > 0)"}),
        Wrong("an anchor is dropped: it names its label, and stays whatever its prior", ("an anchor stays",), {"    keep[anchors] = True\n": ""}),
        Wrong("the words that went still count in the mean, as zeros: divide by the number of those that stay", ("rare words go", "words of another label go", "four labels"), {"calibrated[:, keep & (owner == label)].mean(-1)": "(calibrated * keep)[:, owner == label].mean(-1)"}),
        Wrong("the prior is added: what a word is expected anyway has to be taken off", ("calibration alone", "rare words go", "words of another label go", "an anchor stays", "four labels"), {"log_p - prior": "log_p + prior"}),
    ),
)


# -- 5: prototype_loss ---------------------------------------------------------------------------------------


def points(*labels: int):
    def inputs(draw: Draw) -> dict:
        return {"states": draw.tensor(len(labels), 5, low=-3, high=3), "project": draw.tensor(4, 5, low=-2, high=2), "points": draw.tensor(max(labels) + 1, 4, low=0.3, high=2.5) * torch.tensor([1.0, -1.0, 1.0, 1.0]), "labels": torch.tensor(draw.sample(labels, len(labels))), "temperature": draw.number(0.3, 0.6)}

    return inputs


def gradients_of_points(prototype_loss, states, project, points, labels, temperature):
    project, points = project.clone().requires_grad_(), points.clone().requires_grad_()
    prototype_loss(states, project, points, labels, temperature).backward()
    return {"project": project.grad, "points": points.grad}


PLACES = ("no two share a label", "two pairs", "gradients", "six examples")
PROTOTYPES = Task(
    "prototype_loss",
    tests=(
        Test("no two share a label", 2, points(0, 1, 2), hint="what is left when there are no pairs? A mean over nothing is no number"),
        Test("two pairs", 1, points(0, 0, 1, 1), hint="each example is compared with all others, and not with itself"),
        Test("gradients", 1, points(0, 0, 1), use=gradients_of_points, hint="W and the points both learn"),
        Test("six examples", 2, points(0, 0, 0, 1, 1, 2), hidden=True),
    ),
    wrong=(
        Wrong("W h is not brought to length one: S is a cosine, and long states must not shout", PLACES, {"F.normalize(states @ project.T, dim=-1)": "states @ project.T"}),
        Wrong("the points are not brought to length one: S is a cosine on both sides", PLACES, {"F.normalize(points, dim=-1).T": "points.T"}),
        Wrong("each example is compared with itself: the sum below runs over k ≠ i, so shut the diagonal before the softmax", PLACES[1:], {".masked_fill(itself, -torch.inf)": ""}),
        Wrong("a mean over no pairs is not a number: without pairs the loss is L_proto alone", PLACES[:1], {"    if not pairs.any():\n        return proto\n": ""}),
        Wrong("L_instance is missing: examples of one label attract each other as well", PLACES[1:], {"proto - similar.log_softmax(-1)[pairs].mean()": "proto"}),
        Wrong("L_instance is divided by the number of examples; it is a mean over the pairs", ("gradients", "six examples"), {"[pairs].mean()": "[pairs].sum() / len(labels)"}),
        Wrong("the temperature multiplies: a small τ is meant to sharpen, so divide", PLACES, {"F.normalize(points, dim=-1).T / temperature": "F.normalize(points, dim=-1).T * temperature", "(placed @ placed.T / temperature)": "(placed @ placed.T * temperature)"}),
        Wrong("L_instance is subtracted: both losses are added, and each is minus a mean of logarithms", PLACES[1:], {"proto - similar": "proto + similar"}),
        Wrong("pairs of different labels count as well: only examples of one label attract each other", PLACES, {"(labels[:, None] == labels) & ~itself": "~itself"}),
        Wrong("the points do not learn: do not cut off their gradient", ("gradients",), {"F.normalize(points, dim=-1)": "F.normalize(points.detach(), dim=-1)"}),
    ),
)


# -- 6: mended_verbalizer ------------------------------------------------------------------------------------


def lists(*sizes: int, calibrated: bool = False):
    def inputs(draw: Draw) -> dict:
        longest, chosen, start = max(sizes), draw.sample(range(1, 15), sum(sizes)), 0
        ids = torch.zeros(len(sizes), longest, dtype=torch.int64)
        for row, size in enumerate(sizes):
            ids[row, :size] = torch.tensor(chosen[start : start + size])
            start += size
        real = torch.arange(longest) < torch.tensor(sizes)[:, None]
        found = {"logits": draw.tensor(3, 15, low=-2, high=3), "ids": ids, "real": real}
        return found | ({"prior": draw.tensor(15, low=0.02, high=0.12)} if calibrated else {})

    return inputs


EVERY = ("one word each", "two words each", "lists of different length", "calibrated", "calibrated, other lists")
ZOO = Task(
    "mended_verbalizer",
    tests=(
        Test("one word each", 1, lists(1, 1, 1), hint="p(v | x) is a share of the whole vocabulary, not of a label's own words"),
        Test("two words each", 1, lists(2, 2), hint="the logarithm of a share, and no second softmax"),
        Test("lists of different length", 1, lists(1, 3, 2), hint="divide by the number of the label's own words"),
        Test("calibrated", 1, lists(2, 2, calibrated=True), hint="each word by its own prior, before the mean"),
        Test("calibrated, other lists", 1, lists(3, 1, 2, calibrated=True), hidden=True),
    ),
    wrong=(
        Wrong("the softmax still runs over the label's own words: a label of one word then has all of p, whatever the text says", EVERY, {"weighed[:, ids]": "logits[:, ids].softmax(-1) / (1.0 if prior is None else prior[ids])"}),
        Wrong("it is still divided by the longest list: a label is marked down for having fewer words", ("lists of different length", "calibrated, other lists"), {"/ real.sum(-1)": "/ real.shape[-1]"}),
        Wrong("a softmax of probabilities is still there: numbers between 0 and 1 can never become sharp, so take shares and their logarithm", EVERY, {"score.log() - score.sum(-1, keepdim=True).log()": "score.log_softmax(-1)"}),
        Wrong("the words that only fill up are counted in the mean", ("lists of different length", "calibrated, other lists"), {"words.masked_fill(~real, 0.0).sum(-1) / real.sum(-1)": "words.mean(-1)"}),
        Wrong("this is the geometric mean (a mean of logarithms); the contract asks for the arithmetic one", EVERY[1:], {"words.masked_fill(~real, 0.0).sum(-1) / real.sum(-1)": "(words.log().masked_fill(~real, 0.0).sum(-1) / real.sum(-1)).exp()"}),
        Wrong("the prior multiplies: it has to be taken off, so divide", ("calibrated", "calibrated, other lists"), {"p / prior": "p * prior"}),
        Wrong("the scores are not made into shares: the probabilities of the labels add up to 1", EVERY, {"score.log() - score.sum(-1, keepdim=True).log()": "score.log()"}),
        Wrong(
            "the prior is averaged over a label's words before it is taken off: each word has its own",
            ("calibrated", "calibrated, other lists"),
            {"weighed = p if prior is None else p / prior": "weighed = p", "/ real.sum(-1)  # [B,C]": "/ real.sum(-1)\n    if prior is not None:\n        score = score / (prior[ids].masked_fill(~real, 0.0).sum(-1) / real.sum(-1))"},
        ),
    ),
)

TASKS = (WORDS, CHUNKS, PETAL, KPT, PROTOTYPES, ZOO)
