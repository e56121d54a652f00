"""Tests and wrong answers of the exercises on in-context learning."""

import torch
import torch.nn.functional as F

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: few_shot_prompt --------------------------------------------------------------------------------------

PAIRS = (("cheese", "fromage"), ("the sea", "la mer"), ("an otter", "une loutre"), ("peppermint", "menthe"), ("the milk", "le lait"), ("a wolf", "un loup"), ("bread", "pain"))
WAYS = ((("Q:", "A:"), "\n\n"), (("Text:", "Label:"), "\n"), (("English:", "French:"), "\n###\n"))


def said(draw: Draw, shots: int, description: bool = True, blanks: bool = False) -> dict:
    """Pairs of words, of which the last gives the question and all give the answers."""
    pairs = draw.sample(PAIRS, shots + 3)
    if blanks:
        pairs = [(f"{text} ", f" {answer} ") for text, answer in pairs]
    cues, between = draw.choice(WAYS)
    task = draw.choice(("Translate English to French.", "Say it in French.", "These are words and their translations."))
    return {"description": task if description else "", "shown": pairs[:shots], "question": pairs[-1][0], "cues": cues, "between": between, "answers": [answer for _, answer in pairs[shots:]]}


def in_front(few_shot_prompt, description, shown, question, cues, between, answers):
    return few_shot_prompt(description, shown, question, cues, between, answers)[0].rpartition(question)[0]


ENDS = ("no demonstration", "blanks around the words")
SHOWN = ("description and demonstrations", "no description", "blanks around the words")
PROMPT = Task(
    "few_shot_prompt",
    tests=(
        Test("description and demonstrations", 1, lambda draw: said(draw, 3), use=in_front, hint="print the prompt: the pieces in their order, and between two of them what was given"),
        Test("no demonstration", 1, lambda draw: said(draw, 0), hint="zero-shot: the description, then the question; print the prompt with one answer behind it"),
        Test("no description", 1, lambda draw: said(draw, 2, description=False), use=in_front, hint="the prompt begins with the cue of the first demonstration"),
        Test("blanks around the words", 1, lambda draw: said(draw, 3, blanks=True), hidden=True),
    ),
    wrong=(
        Wrong("the prompt ends in a blank: the token of the answer brings its own, and after a blank that is used up the model hardly knows how to go on", ENDS, {"{question.strip()}\\n{tells}": "{question.strip()}\\n{tells} ", '[f" {answer.strip()}" for': "[answer.strip() for"}),
        Wrong("the blank between cue and answer is lost: prompt + answer has to read like a demonstration, so the answer begins with it", ENDS, {'[f" {answer.strip()}" for': "[answer.strip() for"}),
        Wrong("there are two blanks between cue and answer: one ends the prompt, one begins the answer", ENDS, {"{question.strip()}\\n{tells}": "{question.strip()}\\n{tells} "}),
        Wrong("the answer cue is missing behind the question: nothing tells the model that it is its turn", ENDS, {"{question.strip()}\\n{tells}": "{question.strip()}"}),
        Wrong("an empty description still stands there, as an empty piece in front", ("no description",), {"[description] if description else []": "[description]"}),
        Wrong("what stands between two pieces stands behind the last one too: the prompt ends with its answer cue", ENDS, {"between.join(pieces), [": "between.join(pieces) + between, ["}),
        Wrong("the description stands before every demonstration; it is said once, at the beginning", ("description and demonstrations", "blanks around the words"), {"        pieces.append(f\"{asks} {text.strip()}\\n{tells} {answer.strip()}\")": "        pieces += ([description] if description and len(pieces) > 1 else []) + [f\"{asks} {text.strip()}\\n{tells} {answer.strip()}\"]"}),
        Wrong("the demonstrations are in reverse order: they are read as they were given", SHOWN, {"in shown:": "in reversed(shown):"}),
        Wrong("the question stands before the demonstrations; a causal model answers where the text ends", SHOWN, {"    for text, answer in shown:": "    asked = len(pieces)\n    for text, answer in shown:", "pieces.append(f\"{asks} {question": "pieces.insert(asked, f\"{asks} {question"}),
        Wrong("blanks around a text or an answer were kept: a double blank is another token than a single one", ("blanks around the words",), {"{asks} {text.strip()}\\n{tells} {answer.strip()}": "{asks} {text}\\n{tells} {answer}", "{question.strip()}": "{question}", "{answer.strip()}\" for": "{answer}\" for"}),
    ),
)


# -- 2: answer_log_p -----------------------------------------------------------------------------------------


def continued(start: int, *lengths: int):
    """One prompt and answers of these lengths, no token of which is the 0 that fills up."""

    def inputs(draw: Draw) -> dict:
        ids = draw.integers(len(lengths), start + max(lengths), low=1, high=8)
        ids[:, :start] = ids[0, :start]
        for row, length in enumerate(lengths):
            ids[row, start + length :] = 0
        return {"logits": draw.tensor(*ids.shape, 9, low=-2, high=2), "ids": ids, "start": start, "lengths": torch.tensor(lengths)}

    return inputs


SCORED = ("answers of one token", "answers of one length", "answers of several lengths", "four answers")
SCORE = Task(
    "answer_log_p",
    tests=(
        Test("answers of one token", 1, continued(3, 1, 1, 1), hint="the last token of the prompt says what comes next"),
        Test("answers of one length", 1, continued(2, 3, 3), hint="each token is predicted by the one before it, the first by the prompt"),
        Test("answers of several lengths", 1, continued(3, 2, 1, 4), hint="what fills up a row belongs to no answer"),
        Test("four answers", 2, continued(4, 3, 1, 5, 2), hidden=True),
    ),
    wrong=(
        Wrong("the logits are read at the place of the token itself; what stands there is about the next one", SCORED, {"logits[:, :-1].log_softmax(-1)": "logits[:, 1:].log_softmax(-1)"}),
        Wrong("the first token of the answer is left out: the last token of the prompt is what predicts it", SCORED, {"place >= start": "place > start"}),
        Wrong("the shifted rows are read one place too late: column 0 is about token 1 there", SCORED, {"torch.arange(1, ids.size(1))": "torch.arange(ids.size(1) - 1)"}),
        Wrong("these are raw logits: normalise over the vocabulary first", SCORED, {"logits[:, :-1].log_softmax(-1)": "logits[:, :-1]"}),
        Wrong("the prompt is scored as well: it is the same for all answers, and is not what was asked", SCORED, {"(place >= start) & ": ""}),
        Wrong("what fills up a short answer is counted: 0 is an ordinary token and has a probability", SCORED[2:], {" & (place < start + lengths[:, None])": ""}),
        Wrong("this is the mean over the tokens; log p of the whole answer is their sum", SCORED[1:], {".sum(-1)": ".sum(-1) / lengths"}),
        Wrong("this is a probability; its logarithm is asked for, which does not run out of digits", SCORED, {".sum(-1)": ".sum(-1).exp()"}),
        Wrong("the softmax runs over the places of the text: each place has its own distribution, over the vocabulary", SCORED, {"log_softmax(-1)": "log_softmax(1)"}),
        Wrong("the probabilities of the tokens are added; they multiply, so add their logarithms", SCORED[1:], {"each.masked_fill(~real, 0.0).sum(-1)": "each.exp().masked_fill(~real, 0.0).sum(-1).log()"}),
    ),
)


# -- 3: normalised_scores ------------------------------------------------------------------------------------


def several(rule: str, *lengths: list[int]):
    """Log-probabilities everywhere, also where no token is."""

    def inputs(draw: Draw) -> dict:
        shape = len(lengths), len(lengths[0]), max(map(max, lengths))
        return {"log_p": draw.tensor(*shape, low=-4, high=-0.5), "bare": draw.tensor(*shape, low=-6, high=-1), "lengths": torch.tensor(lengths), "rule": rule}

    return inputs


def rivals(draw: Draw) -> dict:
    """A short answer, a long one, a rare one, and one that is not there; each of the rules chooses another one."""
    log_p, bare = torch.full((1, 4, 3), -3.0), torch.full((1, 4, 3), -2.0)
    log_p[0, 0, 0], bare[0, 0, 0] = -1.0 + draw.number(-0.1, 0.1), -0.5
    log_p[0, 1], bare[0, 1] = -0.5 + draw.number(-0.05, 0.05), -0.4
    log_p[0, 2, :2], bare[0, 2, :2] = -1.2 + draw.number(-0.1, 0.1), -4.0
    order = torch.tensor(draw.sample(range(4), 4))
    return {"log_p": log_p[:, order], "bare": bare[:, order], "lengths": torch.tensor([[1, 3, 2, 0]])[:, order]}


def winners(normalised_scores, log_p, bare, lengths):
    return {rule: normalised_scores(log_p, bare, lengths, rule).argmax(-1) for rule in ("sum", "mean", "unconditional")}


NORMALISE = Task(
    "normalised_scores",
    tests=(
        Test("the sum", 1, several("sum", [1, 3, 2], [2, 2, 1]), hint="what stands behind an answer's tokens is filling"),
        Test("the mean", 1, several("mean", [3, 1, 2], [1, 2, 4]), hint="each answer has its own length"),
        Test("what the context adds", 1, several("unconditional", [2, 1, 3], [3, 2, 2]), hint="log of a quotient: a difference of two sums"),
        Test("an answer that is not there", 1, several("mean", [2, 0, 1], [3, 1, 0]), hint="-inf, whatever the rule: it must never be chosen"),
        Test("who wins", 1, rivals, use=winners, hidden=True),
    ),
    wrong=(
        Wrong("an answer of no tokens gives 0 / 0, which is no number, and argmax takes it for the largest", ("an answer that is not there", "who wins"), {"scores.masked_fill(lengths == 0, -torch.inf)": "scores"}),
        Wrong("the filling is counted: only as many places as the answer has tokens belong to it", ("the sum", "the mean", "what the context adds", "an answer that is not there", "who wins"), {"log_p.masked_fill(~real, 0.0)": "log_p"}),
        Wrong("the mean divides by the length of the longest answer; each has its own", ("the mean", "an answer that is not there", "who wins"), {"scores / lengths": "scores / log_p.size(-1)"}),
        Wrong("the logarithms are divided by one another: the logarithm of a quotient is a difference", ("what the context adds", "who wins"), {"scores - bare.masked_fill(~real, 0.0).sum(-1)": "scores / bare.masked_fill(~real, 0.0).sum(-1)"}),
        Wrong("what the answer has anyway is added; it has to be taken off", ("what the context adds", "who wins"), {"scores - bare": "scores + bare"}),
        Wrong("the filling of `bare` is counted", ("what the context adds",), {"bare.masked_fill(~real, 0.0)": "bare"}),
        Wrong("the rule 'unconditional' divides by the length as well: the length is already in both terms", ("what the context adds",), {"scores - bare.masked_fill(~real, 0.0).sum(-1)": "(scores - bare.masked_fill(~real, 0.0).sum(-1)) / lengths"}),
        Wrong("an answer that is not there has the score 0, and beats all real ones, whose logarithms are negative", ("an answer that is not there", "who wins"), {"scores / lengths": "scores / lengths.clamp(min=1)", "scores.masked_fill(lengths == 0, -torch.inf)": "scores"}),
        Wrong("this is the mean of the probabilities; the rule takes the mean of their logarithms", ("the mean", "an answer that is not there"), {"scores = scores / lengths": "scores = (log_p.exp().masked_fill(~real, 0.0).sum(-1) / lengths).log()"}),
    ),
)


# -- 4: nearest_that_fit -------------------------------------------------------------------------------------


def around(draw: Draw, tokens: list[int]) -> dict:
    """Examples at growing angles to a query, with so many tokens; the farther, the longer their vectors, so that a product prefers them."""
    query, noise = torch.tensor([0.6, 0.0, -0.8, 0.0]), draw.tensor(len(tokens), 4, low=0.2, high=1)
    aside = F.normalize(noise - (noise @ query)[:, None] * query, dim=-1)
    angle = torch.tensor([0.2 + 0.25 * rank + draw.number(0, 0.1) for rank in range(len(tokens))])[:, None]
    size = torch.tensor([0.4, 0.8, 1.4, 2.4, 4.2, 9.0, 14.0])[: len(tokens), None]
    states = size * (angle.cos() * query + angle.sin() * aside)
    order = draw.sample(range(len(tokens)), len(tokens))
    return {"query": query, "states": states[order], "lengths": [tokens[rank] for rank in order]}


def roomy(draw: Draw) -> dict:
    return around(draw, [draw.integer(4, 9) for _ in range(6)]) | {"count": 3, "question": draw.integer(8, 15), "room": 100}


def long_one(draw: Draw, near: int = 2) -> dict:
    """After some that fit comes one that does not, and then a short one that would."""
    tokens, short, question = [draw.integer(6, 9) for _ in range(near)], draw.integer(3, 5), draw.integer(18, 22)
    return around(draw, [*tokens, draw.integer(13, 16), short, short, short]) | {"count": near + 2, "question": question, "room": question + sum(tokens) + short + draw.integer(0, 2)}


def full(draw: Draw) -> dict:
    """The three nearest take exactly what is there."""
    tokens, question = [draw.integer(5, 9) for _ in range(5)], draw.integer(10, 15)
    return around(draw, tokens) | {"count": 3, "question": question, "room": question + sum(tokens[:3])}


def which(nearest_that_fit, query, states, lengths, count, question, room):
    return sorted(nearest_that_fit(query, states, lengths, count, question, room))


def alone(nearest_that_fit, query, states, lengths, count, question, room):
    try:
        nearest_that_fit(query, states, lengths, count, question, room)
    except ValueError:
        return "a ValueError"
    return "no error"


def too_much(draw: Draw) -> dict:
    found = roomy(draw)
    return found | {"room": found["question"] - draw.integer(1, 3)}


READ = ("room for all", "exactly full", "other numbers")
CHOSEN = (READ[0], "a long one in between", *READ[1:])
NEAREST = Task(
    "nearest_that_fit",
    tests=(
        Test("room for all", 1, roomy, hint="K of them, the largest cosine last"),
        Test("a long one in between", 2, long_one, use=which, hint="the farthest go first; the question needs its room too"),
        Test("exactly full", 1, full, hint="all of the room may be used"),
        Test("the question alone does not fit", 1, too_much, use=alone, hint="say so with a ValueError: a prompt whose question is cut has no answer"),
        Test("other numbers", 1, lambda draw: long_one(draw, 3), hidden=True),
    ),
    wrong=(
        Wrong("the nearest stands first here; it is wanted last, beside the question", READ, {"return kept[::-1]": "return kept"}),
        Wrong("this is a product and no cosine: long vectors win, whatever their direction", CHOSEN, {"F.cosine_similarity(states, query[None], dim=-1)": "states @ query"}),
        Wrong("this is a distance and no cosine: a vector in the same direction is far away if it is short or long", READ, {"F.cosine_similarity(states, query[None], dim=-1)": "-(states - query).norm(dim=-1)"}),
        Wrong("these are the farthest examples: the cosine is large where things are alike", CHOSEN, {"descending=True": "descending=False"}),
        Wrong("the room was filled from the far end, so that the nearest had to go", ("a long one in between", "other numbers"), {"[:count].tolist()": "[:count].flip(0).tolist()", "return kept[::-1]": "return kept"}),
        Wrong("the question needs its room as well, and was not counted", ("a long one in between", "other numbers"), {"kept, used = [], question": "kept, used = [], 0"}),
        Wrong("one that is too long was skipped for a farther one: the farthest go first, until the rest fits", ("a long one in between", "other numbers"), {"            break": "            used -= lengths[place]\n            continue"}),
        Wrong("the last token of the room was left empty: what fits exactly fits", ("exactly full",), {"if used > room:": "if used >= room:"}),
        Wrong("more than K are shown: K is the most, even where there is room", ("room for all",), {"[:count]": ""}),
        Wrong("a question that does not fit passes in silence: without a ValueError somebody will cut it", ("the question alone does not fit",), {"    if question > room:\n        raise ValueError(f\"the question takes {question} tokens, and there is room for {room}\")\n": ""}),
    ),
)


# -- 5: induction_scores -------------------------------------------------------------------------------------


def looks(draw: Draw, ids: list[int], heads: int = 2) -> dict:
    """Heads that look anywhere, under a causal mask."""
    weights = draw.tensor(heads, len(ids), len(ids), low=0.1, high=1).tril()
    return {"attention": weights / weights.sum(-1, keepdim=True), "ids": torch.tensor(ids)}


def kinds(draw: Draw) -> dict:
    """A text said twice, read by a head that looks one place back, one that looks at the same token, and one that looks behind it."""
    length = draw.integer(3, 5)
    said = draw.sample(range(20), length) * 2
    found = looks(draw, said, 3)
    for head, back in enumerate((1, length, length - 1)):
        sure = torch.zeros(2 * length, 2 * length)
        for place in range(2 * length):
            sure[place, max(0, place - back)] = 1.0
        found["attention"][head] = 0.2 * found["attention"][head] + 0.8 * sure
    return found


def thrice(draw: Draw) -> dict:
    said = draw.sample(range(20), 3)
    return looks(draw, [*said, *said, draw.integer(20, 29), *said])


def stuttering(draw: Draw) -> dict:
    one, two, three = draw.sample(range(20), 3)
    return looks(draw, [one, two, two, three, three, two, one])


def never_twice(draw: Draw) -> dict:
    return looks(draw, draw.sample(range(20), 6), 3)


def mixture(draw: Draw) -> dict:
    one, two, three, four, five = draw.sample(range(20), 5)
    return looks(draw, [one, two, three, three, one, four, two, three, one, five, two], 4)


HEARD = ("three kinds of heads", "several earlier places", "a token twice in a row", "a longer text")
INDUCTION = Task(
    "induction_scores",
    tests=(
        Test("three kinds of heads", 1, kinds, hint="the last of them looks at the token after the earlier occurrence, and has by far the largest score"),
        Test("several earlier places", 1, thrice, hint="the weights on all places to look for are added up, and then the mean is taken over the places t"),
        Test("a token twice in a row", 1, stuttering, hint="strictly left of the diagonal: s + 1 < t"),
        Test("nothing is said twice", 1, never_twice, hint="a mean over no places is no number"),
        Test("a longer text", 2, mixture, hidden=True),
    ),
    wrong=(
        Wrong("this looks at the earlier occurrence itself; an induction head looks at the token after it", HEARD, {"wanted[:, 1:] = same[:, :-1]": "wanted[:] = same"}),
        Wrong("places that have nothing to look for are counted as zeros: the mean is over those that have", HEARD, {"[:, rows].mean(-1)": ".mean(-1)", "    if not rows.any():\n        return torch.zeros(len(attention))\n": ""}),
        Wrong("the rows are the places that look, the columns those that are looked at; this has them exchanged", HEARD, {"(attention * wanted)": "(attention.transpose(1, 2) * wanted)"}),
        Wrong("this looks at the token before the earlier occurrence, not at the one after it", HEARD, {"wanted[:, 1:] = same[:, :-1]": "wanted[:, :-1] = same.tril(-1)[:, 1:]"}),
        Wrong("with several earlier occurrences the weights are averaged: a head that shares its attention among them would look worse than it is", ("several earlier places", "a token twice in a row", "a longer text"), {"(attention * wanted).sum(-1)[:, rows]": "((attention * wanted).sum(-1) / wanted.sum(-1))[:, rows]"}),
        Wrong("only the last earlier occurrence is counted; all of them are places to look for", ("several earlier places", "a token twice in a row", "a longer text"), {"    rows = wanted": "    wanted &= wanted.flip(-1).cumsum(-1).flip(-1) == 1\n    rows = wanted"}),
        Wrong("looking at oneself is counted: of a token that stands twice in a row, the place after the first is t itself", ("a token twice in a row", "a longer text"), {"place < place[:, None]": "place <= place[:, None]"}),
        Wrong("later occurrences count as well: then a token that is said for the first time is expected to look into the future", HEARD, {"    wanted &= place < place[:, None]\n": ""}),
        Wrong("the mean over no places is no number: return 0 there", ("nothing is said twice",), {"    if not rows.any():\n        return torch.zeros(len(attention))\n": ""}),
        Wrong("these are sums; the score is the mean over the places that have something to look for", HEARD, {"[:, rows].mean(-1)": "[:, rows].sum(-1)"}),
    ),
)


# -- 6: mended_calibration -----------------------------------------------------------------------------------


def leaning(draw: Draw, texts: int, low: float = -6.0) -> dict:
    """Scores with a favourite, and texts that say nothing and do not agree how strongly."""
    lean = torch.tensor([2.0, 0.0, -1.0])
    content_free = draw.tensor(texts, 3, low=low, high=low + 1) + lean
    content_free[0] += torch.tensor([0.5, 0.0, 1.0])
    if texts > 1:
        content_free[1] += torch.tensor([0.0, 2.0, -3.0])
    return {"scores": draw.tensor(3, 3, low=low, high=low + 2) + lean, "content_free": content_free}


def even(mended_calibration, scores, content_free):
    return mended_calibration(content_free.clone(), content_free)


STAY = ("scores", "content_free")
EACH = ("one text that says nothing", "the mean of three texts", "nothing said, nothing preferred", "both stay as they were", "very small scores")
CALIBRATION = Task(
    "mended_calibration",
    tests=(
        Test("one text that says nothing", 1, lambda draw: leaning(draw, 1), changes=STAY, hint="the favourite loses, so its share is divided by what it has anyway"),
        Test("the mean of three texts", 1, lambda draw: leaning(draw, 3), changes=STAY, hint="first each text's own shares, then their mean, then the logarithm"),
        Test("nothing said, nothing preferred", 1, lambda draw: leaning(draw, 1), use=even, changes=STAY, hint="the content-free text itself comes out at 1/C for each label"),
        Test("both stay as they were", 1, lambda draw: leaning(draw, 2), hint="scores = scores - ..., and not -="),
        Test("very small scores", 1, lambda draw: leaning(draw, 3, -150.0), changes=STAY, hidden=True),
    ),
    wrong=(
        Wrong("the logarithms of the content-free texts are still averaged: that is a geometric mean, in which one extreme text rules", ("the mean of three texts", "both stay as they were", "very small scores"), {"content_free.softmax(-1).mean(0)": "content_free.mean(0).softmax(-1)"}),
        Wrong("the lean is still added: what a label has anyway must be taken off, or the favourite gains", EACH, {"scores - p_cf.log()": "scores + p_cf.log()"}),
        Wrong("the scores are still changed in place: whoever calls twice calibrates twice", ("both stay as they were",), {"    return (scores - p_cf.log()).softmax(-1)": "    scores -= p_cf.log()\n    return scores.softmax(-1)"}),
        Wrong("p_cf is taken off the probabilities instead of dividing them: W is a diagonal of 1 / p_cf", EACH, {"(scores - p_cf.log()).softmax(-1)": "(scores.softmax(-1) - p_cf)"}),
        Wrong("W p does not add up to 1: share it out among the labels", EACH, {"(scores - p_cf.log()).softmax(-1)": "scores.softmax(-1) / p_cf"}),
        Wrong("a softmax of W p: the numbers are no logarithms, so all shares come out too even; divide them by their sum", ("one text that says nothing", "the mean of three texts", "both stay as they were", "very small scores"), {"(scores - p_cf.log()).softmax(-1)": "(scores.softmax(-1) / p_cf).softmax(-1)"}),
        Wrong("the content-free texts are not shared out among the labels first: a text that gives the labels more probability counts more, and small scores become 0", ("the mean of three texts", "both stay as they were", "very small scores"), {"content_free.softmax(-1).mean(0)": "content_free.exp().mean(0)"}),
        Wrong("only the first content-free text is used; the lean is a mean over all of them", ("the mean of three texts", "both stay as they were", "very small scores"), {"content_free.softmax(-1).mean(0)": "content_free.softmax(-1)[0]"}),
        Wrong("the lean was measured on the texts to be judged, not on those that say nothing", ("one text that says nothing", "the mean of three texts", "both stay as they were", "very small scores"), {"content_free.softmax(-1)": "scores.softmax(-1)"}),
        Wrong("these are logarithms; probabilities are asked for", EACH, {"(scores - p_cf.log()).softmax(-1)": "(scores - p_cf.log()).log_softmax(-1)"}),
    ),
)

TASKS = (PROMPT, SCORE, NORMALISE, NEAREST, INDUCTION, CALIBRATION)
