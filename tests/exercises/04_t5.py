"""Tests and wrong answers of the exercises on T5 and full fine-tuning."""

import math

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: corrupt_spans ----------------------------------------------------------------------------------------


def text(draw: Draw, count: int) -> dict:
    return {"ids": draw.sample(range(10, 900), count), "sentinels": [999 - number for number in range(6)]}


def one_span(draw: Draw) -> dict:
    return text(draw, 9) | {"spans": [(draw.integer(3, 4), 2)]}


def two_spans(draw: Draw) -> dict:
    return text(draw, 12) | {"spans": [(draw.integer(1, 2), 1), (draw.integer(5, 6), 3)]}


def at_both_ends(draw: Draw) -> dict:
    length = draw.integer(2, 3)
    return text(draw, 11) | {"spans": [(0, length), (11 - length, length)]}


def four_spans(draw: Draw) -> dict:
    return text(draw, 20) | {"spans": [(draw.integer(1, 2), 2), (draw.integer(5, 6), 1), (draw.integer(9, 10), 3), (draw.integer(14, 15), 2)]}


def source_alone(corrupt_spans, ids, spans, sentinels):
    return corrupt_spans(ids, spans, sentinels)[0]


def target_alone(corrupt_spans, ids, spans, sentinels):
    return corrupt_spans(ids, spans, sentinels)[1]


SPANS = Task(
    "corrupt_spans",
    tests=(
        Test("one span", 1, one_span, hint="source: before, sentinel, behind; target: sentinel, span, next sentinel"),
        Test("two spans", 1, two_spans, hint="each span has a sentinel of its own"),
        Test("the source with spans at both ends", 1, at_both_ends, use=source_alone, hint="nothing stands in front of the first sentinel, or behind the last"),
        Test("the target of four spans", 1, four_spans, use=target_alone, hidden=True),
    ),
    wrong=(
        Wrong("the sentinel that closes the target is missing: without it the decoder never learns where the last span ends", ("one span", "two spans", "the target of four spans"), {"[*target, sentinels[len(spans)]]": "target"}),
        Wrong("the closing sentinel is the next one, not the last of the list", ("one span", "two spans", "the target of four spans"), {"sentinels[len(spans)]": "sentinels[-1]"}),
        Wrong("what stands behind the last span is lost from the source", ("one span", "two spans"), {"return source + ids[at:],": "return source,"}),
        Wrong("all spans leave the same sentinel: then the decoder cannot say which of them it fills", ("two spans", "the source with spans at both ends", "the target of four spans"), {"zip(spans, sentinels):": "zip(spans, sentinels[:1] * len(spans)):"}),
        Wrong("each dropped token leaves a sentinel in the source; a span leaves one, whatever its length", ("one span", "two spans", "the source with spans at both ends"), {"source += [*ids[at:start], sentinel]": "source += [*ids[at:start], *[sentinel] * length]"}),
        Wrong("the pairs are read as (start, end); they are (start, length)", ("one span", "two spans", "the source with spans at both ends", "the target of four spans"), {"ids[start : start + length]": "ids[start:length]", "at = start + length": "at = length"}),
        Wrong("the words that stay are written again: the target holds what is missing, which is what saves work", ("one span", "two spans", "the target of four spans"), {"target += [sentinel, *ids[start : start + length]]": "target += [*ids[at:start], sentinel, *ids[start : start + length]]"}),
        Wrong("a span stands in front of its sentinel: the sentinel comes first and says which gap is being filled", ("one span", "two spans", "the target of four spans"), {"[sentinel, *ids[start : start + length]]": "[*ids[start : start + length], sentinel]"}),
    ),
)


# -- 2: t5_buckets -------------------------------------------------------------------------------------------


def clear(distances: list[int], buckets: int, limit: int) -> list[int]:
    """Without distances at the border of a bucket, where a rounding error decides."""
    exact, kept = buckets // 2, []
    for distance in distances:
        place = math.log(max(abs(distance), 1) / exact) / math.log(limit / exact) * (buckets - exact)
        if abs(distance) < exact or abs(place - round(place)) > 0.02:
            kept.append(distance)
    return kept


def near(draw: Draw) -> dict:
    return {"distance": torch.tensor([-2, 3, *draw.sample(range(-15, 16), 8)]), "bidirectional": False, "buckets": 32, "max_distance": 128}


def far(draw: Draw) -> dict:
    return {"distance": torch.tensor([-26, -100, *draw.sample(clear(list(range(-120, -17)), 32, 128), 8)]).reshape(2, 5), "bidirectional": False, "buckets": 32, "max_distance": 128}


def both_sides(draw: Draw) -> dict:
    return {"distance": torch.tensor([0, -14, 14, 25, *draw.sample(clear(list(range(-60, 61)), 16, 128), 8)]).reshape(3, 4), "bidirectional": True, "buckets": 32, "max_distance": 128}


def both_ways(t5_buckets, distance, buckets, max_distance):
    return [t5_buckets(distance, way, buckets, max_distance) for way in (False, True)]


def beyond(draw: Draw) -> dict:
    kept = clear(clear(list(range(-38, 39)), 16, 40), 8, 40)
    return {"distance": torch.tensor([-3, 3, -200, 300, -19, 19, *draw.sample(kept, 6)]), "buckets": 16, "max_distance": 40}


BUCKETS = Task(
    "t5_buckets",
    tests=(
        Test("near keys in the decoder", 1, near, hint="keys behind count exactly, keys ahead count as distance 0"),
        Test("far keys in the decoder", 2, far, hint="from E on, the logarithm shares out the other half"),
        Test("both sides in the encoder", 2, both_sides, hint="each side has half of the buckets, and keys ahead come after those behind"),
        Test("beyond the largest distance", 1, beyond, use=both_ways, hidden=True),
    ),
    wrong=(
        Wrong("the sign is turned: distance is key minus query, so keys behind are negative", ("near keys in the decoder", "far keys in the decoder", "beyond the largest distance"), {"far = (-distance).clamp(min=0)": "far = distance.clamp(min=0)"}),
        Wrong("keys ahead get the buckets of keys behind; in the decoder they count as distance 0", ("near keys in the decoder", "beyond the largest distance"), {"far = (-distance).clamp(min=0)": "far = distance.abs()"}),
        Wrong("all distances count exactly until the buckets run out: from E on they share by the logarithm", ("far keys in the decoder", "both sides in the encoder", "beyond the largest distance"), {"torch.where(far < exact, far, shared)": "far.clamp(max=buckets - 1)"}),
        Wrong("the encoder's two sides share all buckets: half of them serves each side", ("both sides in the encoder", "beyond the largest distance"), {"buckets = buckets // 2\n": "buckets = buckets\n"}),
        Wrong("the sides are exchanged: keys ahead (positive) take the upper half", ("both sides in the encoder", "beyond the largest distance"), {"(distance > 0).long()": "(distance < 0).long()"}),
        Wrong("the sides are not told apart: the encoder would not know what stands in front and what behind", ("both sides in the encoder", "beyond the largest distance"), {"(distance > 0).long() * buckets": "ahead"}),
        Wrong("very far keys fall out of the table: all beyond max_distance share the last bucket", ("beyond the largest distance",), {".long()).clamp(max=buckets - 1)": ".long())"}),
        Wrong("the bucket is rounded to the nearest; the formula takes the floor", ("far keys in the decoder", "both sides in the encoder", "beyond the largest distance"), {"(growth * (buckets - exact)).long()": "(growth * (buckets - exact)).round().long()"}),
        Wrong("the logarithm grows up to max_distance / E, not up to max_distance: at n = max_distance the share is to be 1", ("far keys in the decoder", "both sides in the encoder", "beyond the largest distance"), {"math.log(max_distance / exact)": "math.log(max_distance)"}),
    ),
)


# -- 3: teacher_forcing --------------------------------------------------------------------------------------


def answers(draw: Draw, lengths: list[int], v: int = 9) -> dict:
    t = max(lengths)
    labels = draw.integers(len(lengths), t, low=3, high=v - 1)
    for row, length in enumerate(lengths):
        labels[row, length:] = -100
    logits, short = draw.tensor(len(lengths), t, v, low=-2, high=2), lengths.index(min(lengths))
    logits[short, range(lengths[short]), labels[short, : lengths[short]]] = -4.0  # said badly, so that it shows whether it counts like a long one
    return {"labels": labels, "logits": logits, "start": 2, "pad": 0}


def loss_alone(teacher_forcing, labels, logits, start, pad):
    return teacher_forcing(labels, logits, start, pad)[1]


def read_alone(teacher_forcing, labels, logits, start, pad):
    return teacher_forcing(labels, logits, start, pad)[0]


FORCING = Task(
    "teacher_forcing",
    tests=(
        Test("what the decoder reads", 1, lambda draw: answers(draw, [4, 4]), use=read_alone, hint="one step late, and the start token first"),
        Test("what it reads with padding", 1, lambda draw: answers(draw, [draw.integer(1, 2), 5, 3]), use=read_alone, hint="-100 is no token: where nothing comes before, pad is read"),
        Test("the loss", 1, lambda draw: answers(draw, [4, 4]), use=loss_alone, hint="logits and labels line up already"),
        Test("the loss with padding", 1, lambda draw: answers(draw, [draw.integer(1, 2), 5]), use=loss_alone, hint="the mean over real tokens, all of the batch together"),
        Test("reading and loss", 1, lambda draw: answers(draw, [6, draw.integer(2, 4), 1], 12), hidden=True),
    ),
    wrong=(
        Wrong("the decoder reads the very token that it is to say: shift by one, with the start token first", ("what the decoder reads", "what it reads with padding", "reading and loss"), {"torch.cat([begin, labels[:, :-1]], dim=1)": "labels.clone()"}),
        Wrong("the shift goes the wrong way: the decoder would read the future", ("what the decoder reads", "what it reads with padding", "reading and loss"), {"torch.cat([begin, labels[:, :-1]], dim=1)": "torch.cat([labels[:, 1:], begin], dim=1)"}),
        Wrong("the padding token starts the decoder; here the start token is given", ("what the decoder reads", "what it reads with padding", "reading and loss"), {"torch.full_like(labels[:, :1], start)": "torch.full_like(labels[:, :1], pad)"}),
        Wrong("-100 is left in what the decoder reads: it is a sign for the loss, no row of the embedding table", ("what it reads with padding", "reading and loss"), {"read.masked_fill(read == -100, pad)": "read"}),
        Wrong("logits and labels are shifted once more, as GPT needs it: here the decoder's input is shifted already", ("the loss", "the loss with padding", "reading and loss"), {"F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)": "F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)"}),
        Wrong("padding is learnt as if it were an answer: -100 has to stay out of the loss", ("the loss with padding", "reading and loss"), {"labels.flatten(), ignore_index=-100)": "labels.masked_fill(labels == -100, pad).flatten())"}),
        Wrong("the loss is divided by all places, padding included: then it falls when a batch has more padding", ("the loss with padding", "reading and loss"), {"ignore_index=-100)": 'ignore_index=-100, reduction="sum") / labels.numel()'}),
        Wrong("each answer counts alike, however short: the contract takes the mean over all tokens of the batch", ("the loss with padding", "reading and loss"), {"loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)": "loss = torch.stack([F.cross_entropy(one, other, ignore_index=-100) for one, other in zip(logits, labels)]).mean()"}),
        Wrong("this is the sum over the tokens; take the mean", ("the loss", "the loss with padding", "reading and loss"), {"ignore_index=-100)": 'ignore_index=-100, reduction="sum")'}),
    ),
)


# -- 4: mixing_shares ----------------------------------------------------------------------------------------


def tasks(draw: Draw, limit: int, temperature: float) -> dict:
    """One task above a limit of 50,000, three below it, one so small that its passes show whether its rows were rounded."""
    sizes = {"translation": 1000 * draw.integer(200, 900), "topic": 1000 * draw.integer(10, 20), "sentiment": 1000 * draw.integer(25, 45), "tagging": 10 * draw.integer(5, 20)}
    return {"sizes": sizes, "limit": limit, "temperature": temperature, "rows": uneven(sizes, limit, temperature, draw.sample(range(5000, 10_000), 500))}


def uneven(sizes: dict[str, int], limit: int, temperature: float, offered: list[int]) -> int:
    """The first number of rows with which the smallest task has no whole number of them; int() and round() then agree."""
    weights = [min(size, limit) ** (1 / temperature) for size in sizes.values()]
    return next(rows for rows in offered if 0.2 < rows * min(weights) / sum(weights) % 1 < 0.45)


def shares_alone(mixing_shares, **inputs):
    return {name: pair[0] for name, pair in mixing_shares(**inputs).items()}


def both_numbers(mixing_shares, **inputs):
    return {name: list(pair) for name, pair in mixing_shares(**inputs).items()}


MIXING = Task(
    "mixing_shares",
    tests=(
        Test("a limit", 1, lambda draw: tasks(draw, 50_000, 1.0), use=shares_alone, hint="a large task counts as K, the others as they are"),
        Test("a temperature", 1, lambda draw: tasks(draw, 10_000_000, draw.choice((2.0, 4.0))), use=shares_alone, hint="shares to the power 1/T, then divided by their sum"),
        Test("shares and passes", 1, lambda draw: tasks(draw, 50_000, 1.0), hint="a tuple for each task; passes are its rows, not rounded, divided by all of its examples"),
        Test("limit and temperature", 2, lambda draw: tasks(draw, 15_000, 1.25), use=both_numbers, hidden=True),
    ),
    wrong=(
        Wrong("the limit is not used: the largest task drowns the others", ("a limit", "shares and passes", "limit and temperature"), {"min(size, limit)": "size"}),
        Wrong("the limit comes before the temperature: sizes are cut, not what the power has made of them", ("limit and temperature",), {"min(size, limit)": "size", "(size / sum(cut.values())) ** (1 / temperature)": "min(size ** (1 / temperature), limit)"}),
        Wrong("the temperature is not used", ("a temperature", "limit and temperature"), {" ** (1 / temperature)": ""}),
        Wrong("the power is T and not 1/T: large tasks grow larger still", ("a temperature", "limit and temperature"), {"** (1 / temperature)": "** temperature"}),
        Wrong("after the temperature the shares no longer sum to one: divide by their sum again", ("a temperature", "limit and temperature"), {"name: value / sum(warm.values())": "name: value"}),
        Wrong("all tasks get the same share, which is what a very high temperature would do", ("a limit", "a temperature", "shares and passes", "limit and temperature"), {"name: value / sum(warm.values())": "name: 1 / len(warm)"}),
        Wrong("the passes are counted over the cut size: the limit makes a share smaller, it takes no examples away", ("shares and passes", "limit and temperature"), {"share / sizes[name]": "share / cut[name]"}),
        Wrong("these are the rows of a task, not the passes through its examples: divide by its size", ("shares and passes", "limit and temperature"), {"rows * share / sizes[name]": "rows * share"}),
        Wrong("the rows of a task were rounded: they are a share of all rows, on average, and need not be whole", ("shares and passes", "limit and temperature"), {"rows * share / sizes[name]": "round(rows * share) / sizes[name]"}),
        Wrong("the pair is a tuple, (share, passes), and not a list", ("shares and passes",), {"(share, rows * share / sizes[name])": "[share, rows * share / sizes[name]]"}),
    ),
)


# -- 5: training_bytes ---------------------------------------------------------------------------------------


def sized(draw: Draw, mixed: bool, everything: bool) -> dict:
    parameters = draw.integer(10_000, 99_999)
    return {"parameters": parameters, "trainable": parameters if everything else draw.integer(100, 999), "mixed": mixed, "tasks": draw.integer(3, 40)}


COSTS = Task(
    "training_bytes",
    tests=(
        Test("everything trains, 32 bits", 1, lambda draw: sized(draw, False, True), hint="16 bytes a parameter, and a copy for each task"),
        Test("a small part trains, 32 bits", 1, lambda draw: sized(draw, False, False), hint="gradients and moments belong to what trains alone"),
        Test("mixed precision", 1, lambda draw: sized(draw, True, True), hint="2 + 2 bytes, and three times 4 for the optimizer: two moments and the copy"),
        Test("mixed precision, a small part", 1, lambda draw: sized(draw, True, False), hidden=True),
    ),
    wrong=(
        Wrong("the moments keep their 4 bytes in mixed precision", ("mixed precision", "mixed precision, a small part"), {'"moments": 2 * 4 * trainable': '"moments": 2 * width * trainable'}),
        Wrong("Adam keeps two moments for each parameter that trains, not one", ("everything trains, 32 bits", "a small part trains, 32 bits", "mixed precision", "mixed precision, a small part"), {'"moments": 2 * 4 * trainable': '"moments": 4 * trainable'}),
        Wrong("frozen parameters have no gradient: count what trains", ("a small part trains, 32 bits", "mixed precision, a small part"), {'"gradients": width * trainable': '"gradients": width * parameters'}),
        Wrong("the moments of frozen parameters do not exist either", ("a small part trains, 32 bits", "mixed precision, a small part"), {'"moments": 2 * 4 * trainable': '"moments": 2 * 4 * parameters'}),
        Wrong("only what trains is counted among the weights: the frozen ones are needed for the forward pass all the same", ("a small part trains, 32 bits", "mixed precision, a small part"), {'"weights": width * parameters': '"weights": width * trainable'}),
        Wrong("the copy of 32 bits is forgotten: steps are too small for 16-bit weights, so the optimizer keeps exact ones", ("mixed precision", "mixed precision, a small part"), {'"copy": 4 * trainable if mixed else 0': '"copy": 0'}),
        Wrong("the copy holds the whole model; the optimizer moves only what trains, and copies only that", ("mixed precision, a small part",), {'"copy": 4 * trainable if mixed else 0': '"copy": 4 * parameters if mixed else 0'}),
        Wrong("a full copy of the model for each task: frozen parameters are the same for all, and stored once", ("a small part trains, 32 bits", "mixed precision, a small part"), {"width * (parameters - trainable + tasks * trainable)": "width * parameters * tasks"}),
        Wrong("the disk holds what trains for every task, and the frozen rest is missing", ("a small part trains, 32 bits", "mixed precision, a small part"), {"(parameters - trainable + tasks * trainable)": "tasks * trainable"}),
        Wrong("the disk holds the whole model once and what trains for each task on top: with everything training that is one copy too many", ("everything trains, 32 bits", "a small part trains, 32 bits", "mixed precision", "mixed precision, a small part"), {"(parameters - trainable + tasks * trainable)": "(parameters + tasks * trainable)"}),
    ),
)

# -- 6: mended_marks -----------------------------------------------------------------------------------------

WORDS = ["</s>", "good", "bad", "enough", "not", "at", "all", "film", "the", "so"]
LABELS = ["good", "bad", "good enough", "not good"]  # tokens 1 | 2 | 1 3 | 4 1


def written(rows: list[tuple[list[int], str]], draw: Draw) -> dict:
    rows = draw.sample(rows, len(rows))
    return {"written": [ids for ids, _ in rows], "words": WORDS, "labels": LABELS, "truth": [label for _, label in rows], "end": 0}


def noise(draw: Draw) -> list[int]:
    return [draw.integer(1, 9) for _ in range(draw.integer(1, 3))]


def behind(draw: Draw) -> dict:
    return written([([1, 0, *noise(draw), 0], "good"), ([2, 0, *noise(draw)], "bad"), ([4, 1, 0, 0, 0], "not good"), ([2, 0, 0, 0], "good"), ([1, 3], "good enough")], draw)


def more_words(draw: Draw) -> dict:
    return written([([1, draw.choice((7, 8, 9)), 0], "good"), ([2, 1, 0], "bad"), ([draw.choice((7, 8, 9)), 1, 0], "good"), ([2, 0], "bad"), ([5, 6, 0], "bad")], draw)


def alike(draw: Draw) -> dict:
    return written([([1, 3, 0], "good enough"), ([4, 1, 0], "not good"), ([1, 0], "good enough"), ([1, 0], "good"), ([1, 3, 0], "good")], draw)


def nonsense(draw: Draw) -> dict:
    return written([([draw.integer(5, 9), 0], "good"), ([draw.integer(7, 9), draw.choice((1, 2)), 0], "bad"), ([0, 1], "good"), ([2, 0], "bad"), ([1, 0], "bad"), ([1, 0, *noise(draw)], "good")], draw)


MARKS = Task(
    "mended_marks",
    tests=(
        Test("what stands behind the end", 1, behind, hint="an answer is over at its first end token"),
        Test("answers that say more", 1, more_words, hint="word for word, no more and no less"),
        Test("labels that begin alike", 1, alike, hint="good enough is not good"),
        Test("nonsense counts as wrong", 1, nonsense, hidden=True),
    ),
    wrong=(
        Wrong("the answer goes on behind its end: what a batch writes after the first end token is noise", ("what stands behind the end", "nonsense counts as wrong"), {"ids[: ids.index(end)] if end in ids else ids": "[token for token in ids if token != end]"}),
        Wrong("an answer that was cut off, without an end token, loses its last word", ("what stands behind the end",), {"ids[: ids.index(end)] if end in ids else ids": "ids[: ids.index(end)] if end in ids else ids[:-1]"}),
        Wrong("any text that begins with a label is taken for it: word for word, no more", ("what stands behind the end", "answers that say more", "labels that begin alike"), {"text if text in labels else None": "next((label for label in labels if text.startswith(label)), None)"}),
        Wrong("labels may have several words: the first word alone is not the answer", ("what stands behind the end", "answers that say more", "labels that begin alike"), {'" ".join(words[token] for token in answer)': 'words[answer[0]] if answer else ""'}),
        Wrong("any text in which a label stands somewhere is taken for it: then \"not good\" is good", ("what stands behind the end", "answers that say more", "labels that begin alike", "nonsense counts as wrong"), {"text if text in labels else None": "next((label for label in labels if label in text), None)"}),
        Wrong("unreadable answers are left out of the count: a model that mostly writes nonsense would look good", ("answers that say more", "nonsense counts as wrong"), {"/ len(truth)": "/ max(1, len(answers) - answers.count(None))"}),
        Wrong("unreadable answers become the first label: guessing for the model is not marking it", ("answers that say more", "nonsense counts as wrong"), {"text if text in labels else None": "text if text in labels else labels[0]"}),
        Wrong("unreadable words are handed on as an answer; where they mean nothing, the answer is None", ("answers that say more", "nonsense counts as wrong"), {"text if text in labels else None": "text"}),
    ),
)

TASKS = (SPANS, BUCKETS, FORCING, MIXING, COSTS, MARKS)
