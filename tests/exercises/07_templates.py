"""Tests and wrong answers of the exercises on templates."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

WORDS = ("It", "was", "so", "about", "news", "topic", "the", "what", "we", "read", "here", "overall", "film", "says")


def said(draw: Draw, count: int) -> str:
    return " ".join(draw.sample(WORDS, count))


# -- 1: template_parts ---------------------------------------------------------------------------------------


def where_it_complains(template_parts, sources):
    places = []
    for source in sources:
        try:
            template_parts(source)
            places.append("read without a complaint")
        except ValueError as problem:
            places.append(str(problem).split(":")[0])
    return places


def never_closed(draw: Draw) -> dict:
    return {"sources": [f"{said(draw, 2)} {{text_a {said(draw, 1)}", f"{{text_a}} {said(draw, draw.integer(1, 4))} {{mask"]}


def unknown(draw: Draw) -> dict:
    return {"sources": [f"{{text_a}} {said(draw, draw.integer(1, 4))} {{msk}}", f"{said(draw, 2)} {{eval}} {{mask}}"]}


def surplus(draw: Draw) -> dict:
    return {"sources": [f"{{text_a}} {said(draw, draw.integer(1, 4))}}} {{mask}}", f"{said(draw, 3)} }}"]}


PARTS = Task(
    "template_parts",
    tests=(
        Test("words and parts", 1, lambda draw: {"source": f"{{text_a}} {said(draw, 2)} {{mask}} {said(draw, 1)}."}, hint="collect words until a brace opens; what is collected when the text ends counts as well"),
        Test("parts side by side", 1, lambda draw: {"source": f"{{text_a}}{{sep}}{said(draw, 2)}{{mask}}"}, hint="a stretch of words is never empty"),
        Test("a doubled brace", 1, lambda draw: {"source": f"{{{{{said(draw, 1)}}}}} {said(draw, 2)} {{mask}}"}, hint="two braces are one brace of the words"),
        Test("a brace that is never closed", 1, never_closed, use=where_it_complains, hint="the position is that of the brace that opens"),
        Test("a name that does not exist, a brace too many", 1, lambda draw: {"sources": unknown(draw)["sources"] + surplus(draw)["sources"]}, use=where_it_complains, hidden=True),
    ),
    wrong=(
        Wrong("the words behind the last part are lost: what is collected when the text ends belongs to the parts", ("words and parts",), {'return parts + [("words", words)] * bool(words)': "return parts"}),
        Wrong("empty words are listed between neighbouring parts: a stretch of words is never empty", ("words and parts", "parts side by side", "a doubled brace"), {'parts += [("words", words)] * bool(words) +': 'parts += [("words", words)] +', 'return parts + [("words", words)] * bool(words)': 'return parts + [("words", words)]'}),
        Wrong("the words are stripped of their spaces: a space before the mask decides which token fits there", ("words and parts", "a doubled brace"), {'parts += [("words", words)] * bool(words) +': 'parts += [("words", words.strip())] * bool(words.strip()) +', 'return parts + [("words", words)] * bool(words)': 'return parts + [("words", words.strip())] * bool(words.strip())'}),
        Wrong("a doubled brace is taken for a part: look for two braces before you look for one", ("a doubled brace",), {'in ("{{", "}}"):': "in ():"}),
        Wrong("a doubled brace stays doubled: {{ stands for one brace", ("a doubled brace",), {"words, place = words + here, place + 2": "words, place = words + here + here, place + 2"}),
        Wrong("the positions count from 1: Python and the contract count from 0", ("a brace that is never closed", "a name that does not exist, a brace too many"), {'f"{place}: this brace is never closed"': 'f"{place + 1}: this brace is never closed"', 'f"{place}: there is no part {name!r}"': 'f"{place + 1}: there is no part {name!r}"', 'f"{place}: this brace closes nothing"': 'f"{place + 1}: this brace closes nothing"'}),
        Wrong("a brace that is never closed passes as words: then a typing mistake loses the mask without a sound", ("a brace that is never closed",), {'raise ValueError(f"{place}: this brace is never closed")': 'return parts + [("words", words + source[place:])]'}),
        Wrong("any name is taken for a part: {msk} has to be refused, or the prompt has no mask", ("a name that does not exist, a brace too many",), {"if name not in KNOWN:": 'if name == "":'}),
        Wrong("a } that closes nothing passes as words: refuse it, and say where", ("a name that does not exist, a brace too many",), {'raise ValueError(f"{place}: this brace closes nothing")': "words, place = words + here, place + 1"}),
        Wrong("the complaint points behind the brace: the position is that of the { before the unknown name", ("a name that does not exist, a brace too many",), {'f"{place}: there is no part {name!r}"': 'f"{place + 1}: there is no part {name!r}"'}),
    ),
)


# -- 2: shorten_pieces ---------------------------------------------------------------------------------------


def ids(draw: Draw, count: int) -> list[int]:
    return draw.sample(range(100, 999), count)


def one_text(draw: Draw) -> dict:
    pieces = [ids(draw, 2), ids(draw, draw.integer(12, 14)), ids(draw, 3), [103], ids(draw, 1)]
    return {"pieces": pieces, "shorten": [False, True, False, False, False], "room": sum(map(len, pieces)) + 2 - draw.integer(4, 6)}


def two_texts(draw: Draw) -> dict:
    pieces = [ids(draw, draw.integer(3, 4)), ids(draw, 2), ids(draw, draw.integer(10, 12)), [103]]
    return {"pieces": pieces, "shorten": [True, False, True, False], "room": 16 - draw.integer(1, 2)}


def equal_texts(draw: Draw) -> dict:
    pieces = [ids(draw, 6), ids(draw, 1), ids(draw, 6), [103], ids(draw, 2)]
    return {"pieces": pieces, "shorten": [True, False, True, False, False], "room": 17 - draw.choice((3, 5)), "frame": 1}


def too_little(draw: Draw) -> dict:
    return {"pieces": [ids(draw, 3), ids(draw, draw.integer(5, 7)), [103]], "shorten": [True, False, False], "room": 5}


def refused(shorten_pieces, pieces, shorten, room):
    try:
        return shorten_pieces(pieces, shorten, room)
    except ValueError:
        return "a ValueError"


def what_the_caller_has(shorten_pieces, pieces, shorten, room):
    shorten_pieces(pieces, shorten, room)
    return pieces


SHORTEN = Task(
    "shorten_pieces",
    tests=(
        Test("one text", 1, one_text, hint="tokens go at the end of the text, and the frame takes its place too"),
        Test("two texts", 1, two_texts, hint="the longest gives first, one token at a time"),
        Test("the template does not fit", 1, too_little, use=refused, hint="if nothing is left to cut, a ValueError is better than half a question"),
        Test("what the caller has", 1, one_text, use=what_the_caller_has, hint="the inner lists belong to the caller: copy them"),
        Test("equally long texts, another frame", 1, equal_texts, hidden=True),
    ),
    wrong=(
        Wrong("the whole is cut at its end, and the mask goes with it: only parts marked shorten may lose tokens", ("one text", "two texts", "the template does not fit", "equally long texts, another frame"), {"if shorten[place] and kept[place])": "if kept[place])", "key=lambda place: (len(kept[place]), place)": "key=lambda place: place"}),
        Wrong("the longest part is cut, whether or not it may be: words of the template must stay", ("the template does not fit",), {"if shorten[place] and kept[place])": "if kept[place])"}),
        Wrong("the frame is forgotten: [CLS] and [SEP] take their room as well", ("one text", "two texts", "equally long texts, another frame"), {"sum(map(len, kept)) + frame > room": "sum(map(len, kept)) > room"}),
        Wrong("the first text loses everything before the second loses anything: take from the longest", ("two texts", "equally long texts, another frame"), {"key=lambda place: (len(kept[place]), place)": "key=lambda place: -place"}),
        Wrong("the second text loses everything before the first loses anything: take from the longest", ("equally long texts, another frame",), {"key=lambda place: (len(kept[place]), place)": "key=lambda place: place"}),
        Wrong("of equally long texts the earlier one gives first; the contract says the later one", ("equally long texts, another frame",), {"(len(kept[place]), place)": "(len(kept[place]), -place)"}),
        Wrong("the beginning of the text is cut; here the tokens go at its end", ("one text", "two texts", "equally long texts, another frame"), {"kept[longest].pop()": "kept[longest].pop(0)"}),
        Wrong("a template that does not fit is let through: the model would cut it somewhere, so raise a ValueError", ("the template does not fit",), {'raise ValueError(f"the template alone is longer than {room} tokens")': "return kept"}),
        Wrong("the caller's own lists are cut: copying the outer list is not enough", ("one text", "two texts", "the template does not fit", "what the caller has", "equally long texts, another frame"), {"[list(piece) for piece in pieces]": "list(pieces)"}),
    ),
)


# -- 3: trigger_candidates -----------------------------------------------------------------------------------


def triggers(draw: Draw, size: int = 12, d: int = 5) -> dict:
    """The banned word is the best of all, one word is worst of all, one good by direction alone; four are fair, the old one is not."""
    gradient, table = draw.tensor(d, low=0.3), draw.tensor(size, d)
    banned, worst, thin, old, *fair = draw.sample(range(size), 8)
    table[fair] = draw.tensor(4, d, low=-0.9, high=-0.3)
    table[banned], table[worst], table[thin], table[old] = -4 * gradient, 5 * gradient, -0.01 * gradient, 0.5 * gradient
    return {"gradient": gradient, "table": table, "old": old, "banned": [banned], "k": 4}


def two_banned(draw: Draw) -> dict:
    inputs = triggers(draw, 20, 4)
    second = next(place for place in range(20) if place not in (*inputs["banned"], inputs["old"]))
    inputs["table"][second] = -5 * inputs["gradient"]
    return inputs | {"banned": [*inputs["banned"], second], "k": 6}


def numbers_alone(trigger_candidates, gradient, table, old, banned, k):
    return trigger_candidates(gradient, table, old, banned, k)[0]


def promise_of_the_old(trigger_candidates, gradient, table, old, k):
    numbers, scores = trigger_candidates(gradient, table, old, [], k)
    return scores[numbers == old]


def every_word(draw: Draw) -> dict:
    return {"gradient": draw.tensor(4, low=0.3), "table": draw.tensor(7, 4), "old": draw.integer(0, 6), "k": 7}


TRIGGERS = Task(
    "trigger_candidates",
    tests=(
        Test("which words", 1, triggers, use=numbers_alone, hint="what has the largest score is tried first, label words never"),
        Test("their scores", 2, triggers, hint="-g · (e_w - e_old), for all words at once"),
        Test("the old word", 1, every_word, use=promise_of_the_old, hint="what does a swap of a word for itself promise?"),
        Test("two banned words", 1, two_banned, hidden=True),
    ),
    wrong=(
        Wrong("the sign is wrong: g points to where the loss grows, and we want it to fall", ("which words", "their scores", "two banned words"), {"scores = -(table - table[old])": "scores = (table - table[old])"}),
        Wrong("e_old is forgotten: the order stays the same, but a score above zero no longer means a lower loss", ("their scores", "the old word", "two banned words"), {"-(table - table[old])": "-table"}),
        Wrong("label words are not banned: the search would write the answer into the question", ("which words", "their scores", "two banned words"), {"    scores[banned] = -torch.inf\n": ""}),
        Wrong("banned words are struck out after the choice, so fewer than k are left: rule them out before topk", ("which words", "their scores", "two banned words"), {"    scores[banned] = -torch.inf\n": "", "return best.indices, best.values": "allowed = ~torch.isin(best.indices, torch.tensor(banned, dtype=torch.int64))\n    return best.indices[allowed], best.values[allowed]"}),
        Wrong("the size of the score decides and not its sign: a large negative score makes the loss grow", ("which words", "their scores", "two banned words"), {"best = scores.topk(k)": "best = scores.abs().masked_fill(scores.isinf(), 0).topk(k)"}),
        Wrong("this is a cosine: a first-order step needs the product itself, lengths included", ("which words", "their scores", "two banned words"), {"scores = -(table - table[old]) @ gradient": "scores = -torch.cosine_similarity(table, gradient[None], -1) + torch.cosine_similarity(table[old], gradient, 0)"}),
    ),
)


# -- 4: rule_log_p -------------------------------------------------------------------------------------------

# Rules of four labels at three masks: (0, 1, 3), (0, 2, 3), (0, 2, 4), (5, 1, 4)


def ruled(draw: Draw) -> dict:
    return {"logits": draw.tensor(3, 3, 8, low=-2, high=2), "rules": torch.tensor([[0, 1, 3], [0, 2, 3], [0, 2, 4], [5, 1, 4]])}


def picked(draw: Draw) -> dict:
    """In the first text the masks pick a label, in the second words of no label; in the third the answer of another mask is likeliest, in the fourth a word that no rule knows."""
    inputs = ruled(draw) | {"logits": draw.tensor(4, 3, 8, low=-2, high=2)}
    logits = inputs["logits"]
    for text, words in enumerate(((0, 2, 4), (5, 2, 3), (5, 1, 4), (0, 1, 3))):
        for mask, word in enumerate(words):
            logits[text, mask, word] = 2.5 + draw.number(0, 0.5)
    logits[2, 0, 1] = 4.0
    logits[3, :, 6] = 5.0
    return inputs


def labels_alone(rule_log_p, logits, rules):
    return rule_log_p(logits, rules)[1]


def distributions(rule_log_p, logits, rules):
    return rule_log_p(logits, rules)[0].exp().sum(-1)


def log_p_alone(rule_log_p, logits, rules):
    return rule_log_p(logits, rules)[0]


def two_masks(draw: Draw) -> dict:
    logits = draw.tensor(2, 2, 6, low=-1, high=1)
    logits[0, 0, 4], logits[0, 1, 3] = 2.0 + draw.number(0, 0.5), 2.0 + draw.number(0, 0.5)  # picked: 4 and 3, which is no label
    logits[1, 0, 1], logits[1, 1, 3], logits[1, 1, 5] = 2.0 + draw.number(0, 0.5), 2.0 + draw.number(0, 0.5), 4.0  # picked: 1 and 3, the third label
    return {"logits": logits, "rules": torch.tensor([[1, 0], [4, 2], [1, 3]])}


RULES = Task(
    "rule_log_p",
    tests=(
        Test("log p", 2, ruled, use=log_p_alone, hint="add up what the rule of a label wants at each mask, then a softmax over the labels"),
        Test("a distribution over labels", 1, ruled, use=distributions, hint="combinations that are no label are forbidden by logic, so the labels share the whole"),
        Test("what the masks say alone", 2, picked, use=labels_alone, hint="each mask picks among its own answers; then look for a rule with exactly these words"),
        Test("two masks", 1, two_masks, hidden=True),
    ),
    wrong=(
        Wrong("this is a mean over the masks: an \"and\" multiplies probabilities, so logarithms are added", ("log p", "two masks"), {"at.sum(0).log_softmax(-1)": "at.mean(0).log_softmax(-1)"}),
        Wrong("probabilities are added, which is an \"or\": one condition that holds would be enough", ("log p", "two masks"), {"return at.sum(0).log_softmax(-1), alone": "p = logits.softmax(-1)\n    total = sum(p[:, j, rules[:, j]] for j in range(rules.shape[1]))\n    return (total / total.sum(-1, keepdim=True)).log(), alone"}),
        Wrong("only the weakest condition counts: that is another logic (a minimum), PTR multiplies", ("log p", "two masks"), {"at.sum(0).log_softmax(-1)": "at.amin(0).log_softmax(-1)"}),
        Wrong("the softmax over labels is missing: the probabilities of the labels do not add up to one", ("log p", "a distribution over labels", "two masks"), {"return at.sum(0).log_softmax(-1), alone": "log_p = logits.log_softmax(-1)\n    return sum(log_p[:, j, rules[:, j]] for j in range(rules.shape[1])), alone"}),
        Wrong("a mask picks among all words of the vocabulary; it should pick among those that some rule wants at this mask", ("what the masks say alone", "two masks"), {"rules[:, j][each.argmax(-1)] for j, each in enumerate(at)": "logits[:, j].argmax(-1) for j, each in enumerate(at)"}),
        Wrong("a mask picks among the words of all masks; the answers of another mask are none of its own", ("what the masks say alone",), {"rules[:, j][each.argmax(-1)] for j, each in enumerate(at)": "rules.flatten()[logits[:, j][:, rules.flatten()].argmax(-1)] for j, each in enumerate(at)"}),
        Wrong("one word in common is not enough: the masks name a label only if all of them agree with its rule", ("what the masks say alone", "two masks"), {".all(-1)  # [B,C]": ".any(-1)  # [B,C]"}),
        Wrong("where the masks name no label the answer should be -1, and not the first label", ("what the masks say alone", "two masks"), {"torch.where(same.any(-1), same.int().argmax(-1), -1)": "same.int().argmax(-1)"}),
        Wrong("this is the best label of the product; alone the masks do not know of one another", ("what the masks say alone", "two masks"), {"torch.where(same.any(-1), same.int().argmax(-1), -1)": "at.sum(0).argmax(-1)"}),
    ),
)


# -- 5: template_beam ----------------------------------------------------------------------------------------


def writing(draw: Draw, n: int, size: int, beams: int, longest: int) -> dict:
    """A path of `longest` tokens is good, and a first token that is likelier still leads nowhere."""
    first, after, end = draw.tensor(n, size), draw.tensor(n, size, size), size - 1
    lure, *path = draw.sample(range(end), longest + 1)
    first[:, end] -= 4
    after[:, :, end] -= 4
    for before, token in zip((None, *path), (*path, end)):
        if before is None:
            first[:, token] += 6
        else:
            after[:, before, token] += 6
    first[:, lure] += 7
    after[:, lure, path] -= 4
    return {"first": first, "after": after, "end": end, "beams": beams, "longest": longest}


def empty_alone(draw: Draw) -> dict:
    return {"first": draw.tensor(3, 5, low=-2, high=2), "after": draw.tensor(3, 5, 5), "end": 4, "beams": 1, "longest": 0}


def two_opinions(draw: Draw) -> dict:
    """One example loves token 0 and another loathes it; token 1 is fair for both."""
    inputs = {"after": draw.tensor(2, 5, 5), "end": 4, "beams": 2, "longest": 1}
    inputs["first"] = torch.tensor([[9.0, 2.0, 0.0, 0.0, -1.0], [-9.0, 2.0, 0.0, 0.0, -1.0]]) + draw.tensor(2, 5, low=-0.4, high=0.4)
    inputs["after"][:, :, 4] += 3
    return {"first": inputs.pop("first")} | inputs


BEAM = Task(
    "template_beam",
    tests=(
        Test("nothing to write", 1, empty_alone, hint="with no tokens allowed there is one template, the empty one, and its score is that of the end"),
        Test("one token, two opinions", 1, two_opinions, hint="one template for all: the logarithms are summed over the examples"),
        Test("up to three tokens", 2, lambda draw: writing(draw, 3, 6, beams=4, longest=3), hint="open ones grow, done ones wait; the best of all that are done win"),
        Test("a narrow beam and long templates", 1, lambda draw: writing(draw, 2, 7, beams=2, longest=5), hidden=True),
        Test("one example", 1, lambda draw: writing(draw, 1, 5, beams=5, longest=2), hidden=True),
    ),
    wrong=(
        Wrong("logits are added up without log_softmax: those of different examples and places cannot be compared", ("nothing to write", "one token, two opinions", "up to three tokens", "a narrow beam and long templates", "one example"), {"first.log_softmax(-1).sum(0)": "first.sum(0)", "after.log_softmax(-1).sum(0)": "after.sum(0)"}),
        Wrong("the first example decides alone: one template has to suit all of them", ("nothing to write", "one token, two opinions", "up to three tokens", "a narrow beam and long templates"), {"first.log_softmax(-1).sum(0)": "first.log_softmax(-1)[0]", "after.log_softmax(-1).sum(0)": "after.log_softmax(-1)[0]"}),
        Wrong("probabilities are added over the examples: then one example that loves a word outvotes one that loathes it", ("nothing to write", "one token, two opinions", "up to three tokens", "a narrow beam and long templates"), {"first.log_softmax(-1).sum(0)": "first.softmax(-1).sum(0).log()", "after.log_softmax(-1).sum(0)": "after.softmax(-1).sum(0).log()"}),
        Wrong("the end of the gap is not counted: a template that cannot stop here is no good one", ("nothing to write", "one token, two opinions", "up to three tokens", "a narrow beam and long templates", "one example"), {"done.append((score + row[end], tokens))": "done.append((score, tokens))"}),
        Wrong("the scores are divided by the number of tokens: LM-BFF takes the sum as it is", ("one token, two opinions", "up to three tokens", "a narrow beam and long templates", "one example"), {"done.append((score + row[end], tokens))": "done.append(((score + row[end]) / (length + 1), tokens))"}),
        Wrong("the end stands among the tokens: it closes the gap and is no word of the template", ("nothing to write", "one token, two opinions", "up to three tokens", "a narrow beam and long templates", "one example"), {"done.append((score + row[end], tokens))": "done.append((score + row[end], [*tokens, end]))"}),
        Wrong("a template of `longest` tokens never ends: after the last token one more round is needed", ("nothing to write", "one token, two opinions", "up to three tokens", "a narrow beam and long templates", "one example"), {"range(longest + 1)": "range(longest)"}),
        Wrong("the search is greedy: keep `beams` open hypotheses, not the best one", ("one token, two opinions", "up to three tokens", "a narrow beam and long templates", "one example"), {"still = sorted(grown, reverse=True)[:beams]": "still = sorted(grown, reverse=True)[:1]"}),
        Wrong("the list is the wrong way round: the best comes first", ("one token, two opinions", "up to three tokens", "a narrow beam and long templates", "one example"), {"return sorted(done, reverse=True)[:beams]": "return sorted(done, reverse=True)[:beams][::-1]"}),
    ),
)

# -- 6: mended_rows ------------------------------------------------------------------------------------------


def wordy(draw: Draw, count: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(count))


TEMPLATES = ("{text_a} It was {mask} .", "{text_a} so we read {mask} .", "{text_a} topic : {mask} !")


def short_texts(draw: Draw) -> dict:
    return {"template": draw.choice(TEMPLATES), "texts": [wordy(draw, draw.integer(1, 3)), wordy(draw, draw.integer(4, 5))], "length": 16}


def long_texts(draw: Draw) -> dict:
    return {"template": draw.choice(TEMPLATES), "texts": [wordy(draw, 12), wordy(draw, draw.integer(13, 16))], "length": 12}


def strange_texts(draw: Draw) -> dict:
    return {"template": draw.choice(TEMPLATES), "texts": [f"{wordy(draw, 1)} {{mask}} {wordy(draw, 1)}", f"[MASK] {wordy(draw, 2)}", f"{wordy(draw, 1)} {{text_a}}"], "length": 12}


def mask_first(draw: Draw) -> dict:
    return {"template": draw.choice(("{mask} news : {text_a} !", "about {mask} : {text_a} !")), "texts": [wordy(draw, 14), f"{wordy(draw, 2)} {{mask}} {{text_a}}"], "length": 12}


MENDED = Task(
    "mended_rows",
    tests=(
        Test("short texts", 1, short_texts, hint="count the place in the finished row, with [CLS] and the padding in front"),
        Test("long texts", 1, long_texts, hint="the text loses words, the template none"),
        Test("texts that look like templates", 1, strange_texts, hint="read the template alone, and put the text in where it belongs; do not read the text again"),
        Test("the mask in front", 1, mask_first, hidden=True),
    ),
    wrong=(
        Wrong("the padding is not counted: what is put in front of a row moves its mask", ("short texts", "texts that look like templates", "the mask in front"), {"places.append(pads + place)": "places.append(place)"}),
        Wrong("the place is off by one: [CLS] stands in front of the first word", ("short texts", "long texts", "texts that look like templates", "the mask in front"), {"place = len(row)": "place = len(row) - 1"}),
        Wrong("the whole is cut at its end, and the template's words and mask go with the text: only the text may lose words", ("long texts", "the mask in front"), {"text.split()[: length - 2 - (len(parts) - 1)]": "text.split()", 'row += ["[SEP]"]': 'row = row[: length - 1] + ["[SEP]"]'}),
        Wrong("the frame is forgotten when the text is cut: the rows come out longer than `length`", ("long texts", "the mask in front"), {"length - 2 - (len(parts) - 1)": "length - (len(parts) - 1)"}),
        Wrong("one word of the text too many is cut: {text_a} itself takes no place", ("long texts", "the mask in front"), {"(len(parts) - 1)]": "len(parts)]"}),
        Wrong("the text is cut at its beginning; here it loses words at its end", ("long texts", "the mask in front"), {"kept = text.split()[: length - 2 - (len(parts) - 1)]": "kept = text.split()[-(length - 2 - (len(parts) - 1)) :]"}),
        Wrong("a {mask} in the text becomes a mask: the text is read as if it were a template", ("texts that look like templates", "the mask in front"), {"row += kept if": 'row += ["[MASK]" if word == "{mask}" else word for word in kept] if'}),
        Wrong("the first [MASK] of the row is taken, even where the text has one of its own: note the place while the template is read", ("texts that look like templates",), {"places.append(pads + place)": 'places.append(rows[-1].index("[MASK]"))'}),
        Wrong("the padding is put behind; the contract has it in front", ("short texts", "texts that look like templates", "the mask in front"), {'rows.append(["[PAD]"] * pads + row)': 'rows.append(row + ["[PAD]"] * pads)', "places.append(pads + place)": "places.append(place)"}),
    ),
)

TASKS = (PARTS, SHORTEN, TRIGGERS, RULES, BEAM, MENDED)
