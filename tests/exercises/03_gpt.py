"""Tests and wrong answers of the exercises on fine-tuning GPT."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong


def mask(rows: list[tuple[int, int, int]]) -> torch.Tensor:
    """A mask from (padding in front, tokens, padding behind) of each text."""
    return torch.tensor([[0] * front + [1] * tokens + [0] * behind for front, tokens, behind in rows])


def behind(draw: Draw, t: int = 6, texts: int = 2) -> torch.Tensor:
    return mask([(0, n, t - n) for n in draw.sample(range(2, t), texts)])


def in_front(draw: Draw, t: int = 6, texts: int = 2) -> torch.Tensor:
    return mask([(t - n, n, 0) for n in draw.sample(range(2, t), texts)])


def both_sides(draw: Draw) -> torch.Tensor:
    """One text with padding in front, one with padding behind, one with both; of different lengths."""
    a, b, c = draw.sample(range(2, 6), 3)
    return mask([(7 - a, a, 0), (0, b, 7 - b), (1, c, 6 - c)])


# -- 1: last_real_state --------------------------------------------------------------------------------------


def states(table: torch.Tensor, draw: Draw) -> dict:
    return {"hidden": draw.tensor(*table.shape, 3, low=-3, high=3), "attention_mask": table}


LAST = Task(
    "last_real_state",
    tests=(
        Test("no padding", 1, lambda draw: states(mask([(0, 4, 0), (0, 4, 0)]), draw), hint="the last place of each row"),
        Test("padding behind", 1, lambda draw: states(behind(draw, 7, 3), draw), hint="each text ends at a place of its own"),
        Test("padding in front", 1, lambda draw: states(in_front(draw, 7, 3), draw), hint="all texts end at the last place, however short they are"),
        Test("padding on both sides", 1, lambda draw: states(both_sides(draw), draw), hidden=True, hint="the mask tells where the last real token is"),
    ),
    wrong=(
        Wrong("the last place is read, and with padding behind that is padding, which nobody has trained to say anything", ("padding behind", "padding on both sides"), {"hidden[torch.arange(len(hidden)), place]": "hidden[:, -1]"}),
        Wrong("the number of tokens minus one is the last place only if no padding stands in front", ("padding in front", "padding on both sides"), {"(attention_mask * torch.arange(1, attention_mask.size(1) + 1)).argmax(1)": "attention_mask.sum(1) - 1"}),
        Wrong("the first real token is read, as with BERT's [CLS]; under a causal mask it has seen nothing but itself", ("no padding", "padding behind", "padding in front", "padding on both sides"), {"(attention_mask * torch.arange(1, attention_mask.size(1) + 1)).argmax(1)": "attention_mask.argmax(1)"}),
        Wrong("all texts are read where the longest one ends", ("padding behind", "padding on both sides"), {"hidden[torch.arange(len(hidden)), place]": "hidden[:, place.max()]"}),
        Wrong("every text is read at every text's place: [B,B,D]; index rows and places together", ("no padding", "padding behind", "padding in front", "padding on both sides"), {"hidden[torch.arange(len(hidden)), place]": "hidden[:, place]"}),
        Wrong("one too early: the token before the last one has not read the last", ("no padding", "padding behind", "padding in front", "padding on both sides"), {"len(hidden)), place]": "len(hidden)), place - 1]"}),
    ),
)

# -- 2: causal_lm_loss ---------------------------------------------------------------------------------------


def language(table: torch.Tensor, draw: Draw) -> dict:
    """Logits for five tokens; no token stands twice in a row, so that a missing shift shows."""
    ids = [[draw.integer(0, 4)] for _ in table]
    for row in ids:
        while len(row) < table.size(1):
            row.append((row[-1] + draw.integer(1, 4)) % 5)
    return {"logits": draw.tensor(*table.shape, 5, low=-3, high=3), "ids": torch.tensor(ids), "attention_mask": table}


def gradient(causal_lm_loss, logits, ids, attention_mask):
    leaf = logits.clone().requires_grad_()
    causal_lm_loss(leaf, ids, attention_mask).backward()
    return leaf.grad


EVERY = ("one text", "padding behind", "padding in front", "the gradient", "all kinds of padding")
LOSS = Task(
    "causal_lm_loss",
    tests=(
        Test("one text", 1, lambda draw: language(mask([(0, 5, 0)]), draw), hint="four predictions for five tokens: the logits at t are about token t + 1"),
        Test("padding behind", 1, lambda draw: language(behind(draw), draw), hint="neither padding nor the prediction of padding counts"),
        Test("padding in front", 1, lambda draw: language(in_front(draw), draw), hint="the first real token has no real token before it"),
        Test("the gradient", 1, lambda draw: language(behind(draw, 5), draw), use=gradient, hint="no gradient where nothing counts; and all tokens weigh the same"),
        Test("all kinds of padding", 2, lambda draw: language(both_sides(draw), draw), hidden=True),
    ),
    wrong=(
        Wrong("the labels are not shifted: the model is asked for the token that it has just read, and copying is easy", EVERY, {"(attention_mask[:, 1:] * attention_mask[:, :-1]).bool()": "attention_mask.bool()", "logits[:, :-1].transpose(1, 2), ids[:, 1:]": "logits.transpose(1, 2), ids"}),
        Wrong("shifted the wrong way: the logits at t are compared with the token before", EVERY, {"logits[:, :-1].transpose(1, 2), ids[:, 1:]": "logits[:, 1:].transpose(1, 2), ids[:, :-1]"}),
        Wrong("padding is counted: most of such a loss is about predicting padding", ("padding behind", "padding in front", "the gradient", "all kinds of padding"), {"losses[real].mean()": "losses.mean()"}),
        Wrong("the prediction of the first padding behind a text is counted: it is the *next* token that has to be real", ("padding behind", "the gradient", "all kinds of padding"), {"(attention_mask[:, 1:] * attention_mask[:, :-1]).bool()": "attention_mask[:, :-1].bool()"}),
        Wrong("the first real token after padding is counted, though it was predicted from padding", ("padding in front", "all kinds of padding"), {"(attention_mask[:, 1:] * attention_mask[:, :-1]).bool()": "attention_mask[:, 1:].bool()"}),
        Wrong("each text has its own mean, and the mean is taken of those: then a token of a short text weighs more", ("padding behind", "padding in front", "the gradient", "all kinds of padding"), {"losses[real].mean()": "((losses * real).sum(1) / real.sum(1)).mean()"}),
        Wrong("the sum is divided by all places, padding too: the loss falls when a batch has more padding", ("padding behind", "padding in front", "the gradient", "all kinds of padding"), {"losses[real].mean()": "(losses * real).mean()"}),
        Wrong("this is the sum; a mean is asked for, so that batches of different sizes can be compared", EVERY, {"losses[real].mean()": "losses[real].sum()"}),
        Wrong("the softmax is taken twice: cross_entropy wants logits and takes the softmax itself", EVERY, {"logits[:, :-1].transpose(1, 2)": "logits[:, :-1].softmax(-1).transpose(1, 2)"}),
    ),
)

# -- 3: answer_batch -----------------------------------------------------------------------------------------


def questions(draw: Draw, texts: int = 2, pad_id: int = 0) -> dict:
    """Prompts and answers of two tokens or more, such that all rows have different lengths."""
    lengths = draw.sample(range(2, 6), texts)
    extra = draw.sample(range(2, 4), 1)[0]
    prompts = [[draw.integer(10, 99) for _ in range(length)] for length in lengths]
    return {"prompts": prompts, "answers": [[draw.integer(10, 99) for _ in range(extra)] for _ in lengths], "pad_id": pad_id, "eos_id": 1}


def what_is_read(answer_batch, **inputs):
    batch = answer_batch(**inputs)
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


def what_is_learnt(answer_batch, **inputs):
    return answer_batch(**inputs)["labels"]


ALL = ("what is read", "what is learnt", "padding is the end token", "three texts")
ANSWERS = Task(
    "answer_batch",
    tests=(
        Test("what is read", 1, questions, use=what_is_read, hint="prompt, answer, end, padding behind; the mask is 1 up to the end token"),
        Test("what is learnt", 2, questions, use=what_is_learnt, hint="the answer and its end, each at its own place, and -100 everywhere else"),
        Test("padding is the end token", 1, lambda draw: questions(draw, pad_id=1), hint="pad_id equals eos_id here: the end is real, the padding is not"),
        Test("three texts", 1, lambda draw: questions(draw, texts=3), hidden=True),
    ),
    wrong=(
        Wrong("the prompt is learnt as well: most of the loss is then about writing questions", ALL[1:], {"[-100] * len(prompt) + row[len(prompt) :]": "row"}),
        Wrong("labels were removed wherever the id is that of padding; when padding is the end token, the end is lost too", ("padding is the end token",), {'"labels": torch.tensor(labels)': '"labels": torch.tensor(labels).masked_fill(torch.tensor(ids) == pad_id, -100)'}),
        Wrong("the end is not learnt: such a model never stops", ALL[1:], {"row[len(prompt) :]": "row[len(prompt) : -1] + [-100]"}),
        Wrong("the end token is missing from the rows", ALL, {"[*prompt, *answer, eos_id]": "[*prompt, *answer]"}),
        Wrong("the labels are shifted here and will be shifted again in the loss: the model would learn to skip every other token", ALL[1:], {"[-100] * len(prompt) + row[len(prompt) :] + [-100] * filling": "[-100] * (len(prompt) - 1) + row[len(prompt) :] + [-100] * (filling + 1)"}),
        Wrong("padding is learnt: where nothing was written the label is -100", ALL[1:], {"+ [-100] * filling": "+ [pad_id] * filling"}),
        Wrong("the mask was made by looking for the id of padding; when padding is the end token, the end is hidden too", ("padding is the end token",), {'"attention_mask": torch.tensor(mask)': '"attention_mask": (torch.tensor(ids) != pad_id).long()'}),
        Wrong(
            "padding stands in front; that is for writing, here it stands behind",
            ALL,
            {"row + [pad_id] * filling": "[pad_id] * filling + row", "[1] * len(row) + [0] * filling": "[0] * filling + [1] * len(row)", "[-100] * len(prompt) + row[len(prompt) :] + [-100] * filling": "[-100] * (filling + len(prompt)) + row[len(prompt) :]"},
        ),
    ),
)

# -- 4: next_probabilities -----------------------------------------------------------------------------------


def scores(draw: Draw, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0) -> dict:
    """Two rows of six logits, -1.5 to 1.5, no two equal."""
    rows = [[number / 10 for number in draw.sample(range(-15, 16), 6)] for _ in range(2)]
    return {"logits": torch.tensor(rows), "temperature": temperature, "top_k": top_k, "top_p": top_p}


def shuffled(draw: Draw) -> dict:
    """After the temperature the shares are these, in any order.  Three tokens should stay; if top p came before top k, four would, and if the temperature came last, two."""
    temperature = draw.choice([2.0, 2.5, 3.0])
    rows = [draw.sample([0.30, 0.22, 0.18, 0.14, 0.10, 0.06], 6) for _ in range(3)]
    return {"logits": torch.tensor(rows).log() * temperature + draw.number(), "temperature": temperature, "top_k": 4, "top_p": 0.715}


SHAPED = ("temperature", "top k", "top p", "all three")
PROBABILITIES = Task(
    "next_probabilities",
    tests=(
        Test("temperature", 1, lambda draw: scores(draw, draw.choice([0.5, 0.7, 1.5, 2.0])), hint="softmax(logits / temperature): below 1 sharper, above 1 flatter"),
        Test("top k", 1, lambda draw: scores(draw, top_k=draw.integer(2, 4)), hint="k tokens stay and share out one; all others have exactly 0"),
        Test("top p", 1, lambda draw: scores(draw, top_p=draw.number(0.45, 0.75)), hint="the best tokens, until they have reached p together; then they share out one"),
        Test("temperature 0", 1, lambda draw: scores(draw, 0.0, top_p=0.9), hint="all probability on the best token, and no division by zero"),
        Test("all three", 2, shuffled, hidden=True, hint="temperature first, then top k, then top p of what is left"),
    ),
    wrong=(
        Wrong(
            "top p looks at shares from before top k: first k stay and share out one, then p is counted among them",
            ("all three",),
            {"better = shares.cumsum(-1) - shares": "better = (logits / temperature).sort(-1, descending=True).values.softmax(-1).cumsum(-1) - (logits / temperature).sort(-1, descending=True).values.softmax(-1)"},
        ),
        Wrong("the temperature comes last: it belongs in front, since it decides what top p keeps", ("all three",), {"(logits / temperature).sort": "logits.sort", "    shares = shares.masked_fill(better >= top_p, 0.0)\n": "    shares = (scores / temperature).softmax(-1).masked_fill(better >= top_p, 0.0)\n"}),
        Wrong("the token that crosses p is left out: the set has then not reached p, and with a sure model it is empty", ("top p", "all three"), {"better >= top_p": "(better + shares > top_p) & (top_p < 1)"}),
        Wrong("the logits are multiplied by the temperature; divide, so that a high one flattens", ("temperature", "all three"), {"logits / temperature": "logits * temperature"}),
        Wrong("the probabilities are still sorted: each belongs at its own token's place", SHAPED, {"torch.zeros_like(shares).scatter(-1, order, shares)": "shares"}),
        Wrong("after top p the rest does not sum to one", ("top p", "all three"), {"shares / shares.sum(-1, keepdim=True)": "shares"}),
        Wrong("the scores of dropped tokens are set to 0, an ordinary score; they need -inf", ("top k", "all three"), {"-torch.inf": "0.0"}),
        Wrong("k + 1 tokens stay", ("top k",), {"top_k:]": "top_k + 1 :]"}),
        Wrong("the worst tokens are kept, not the best: sort in falling order", ("top k", "top p", "all three"), {"descending=True": "descending=False"}),
        Wrong("temperature 0 divides by zero and gives NaN: it means greedy", ("temperature 0",), {"temperature == 0": "temperature < 0"}),
    ),
)

# -- 5: bpe_step ---------------------------------------------------------------------------------------------


def letters(draw: Draw, count: int = 6) -> list[str]:
    return draw.sample("abcdefghijklm", count)


def frequent(draw: Draw) -> dict:
    """The pair of one frequent word, and another pair that stands in more words."""
    a, b, c, d, e, f = letters(draw)
    return {"words": [[c, d, e], [a, b], [f, c, d], [c, d, c, d]], "counts": [2, draw.integer(9, 12), 1, 1]}


def tie(draw: Draw) -> dict:
    a, b, c, d, _, _ = sorted(letters(draw))
    count = draw.integer(2, 6)
    return {"words": [[b, a], [c, d], [a, b]], "counts": [count, count, count]}


def twice(draw: Draw) -> dict:
    a, b, c, d, _, _ = letters(draw)
    return {"words": [[a, b, c, a, b], [d, a, b], [b, a], [c]], "counts": [draw.integer(3, 5), draw.integer(2, 3), 1, 1]}


def three_in_a_row(draw: Draw) -> dict:
    a, b, c, _, _, _ = letters(draw)
    return {"words": [[a, a, a], [b, c], [b, a, a, a, a]], "counts": [3, 8, 1]}


def longer_pieces(draw: Draw) -> dict:
    """The best pair is a, b; another piece ends in a, another begins with b."""
    a, b, c, d, _, _ = letters(draw)
    return {"words": [[a, b], [c + a, b, d], [a, b + c], [d, a, b]], "counts": [draw.integer(7, 9), 2, 3, 1]}


def the_pair(bpe_step, words, counts):
    return bpe_step(words, counts)[0]


BY_TEXT = """def bpe_step(words: list[list[str]], counts: list[int]) -> tuple[tuple[str, str], list[list[str]]]:
    pairs = {}
    for word, count in zip(words, counts):
        for pair in zip(word, word[1:]):
            pairs[pair] = pairs.get(pair, 0) + count
    best = min(pairs, key=lambda pair: (-pairs[pair], pair))
    return best, [" ".join(word).replace(" ".join(best), "".join(best)).split(" ") for word in words]
"""
BPE = Task(
    "bpe_step",
    tests=(
        Test("the most frequent pair", 1, frequent, use=the_pair, hint="a word that occurs ten times gives its pairs ten times"),
        Test("a tie", 1, tie, use=the_pair, hint="among equally frequent pairs the first in alphabetical order"),
        Test("a pair twice in a word", 1, twice, hint="it is merged at every place, and counts at every place"),
        Test("the same piece again and again", 1, three_in_a_row, hint="a a a holds the pair twice, and is merged once: aa a"),
        Test("longer pieces", 1, longer_pieces, hidden=True, hint="pieces are compared whole"),
    ),
    wrong=(
        Wrong("the counts of the words are not used: each word counts once", ("the most frequent pair",), {"pairs.get(pair, 0) + count": "pairs.get(pair, 0) + 1"}),
        Wrong("the pieces were joined and replaced as text: then the pair also matches the end of one piece and the beginning of the next", ("longer pieces",), code=BY_TEXT),
        Wrong("only the first place in each word is merged", ("a pair twice in a word", "the same piece again and again"), {"place : place + 2]) == best": 'place : place + 2]) == best and "".join(best) not in pieces'}),
        Wrong("a piece takes part in two merges: after a merge go on by two", ("a pair twice in a word", "the same piece again and again", "longer pieces"), {"place += 2 if joined else 1": "place += 1"}),
        Wrong("a pair counts once a word; it counts at every place", ("the same piece again and again",), {"in zip(word, word[1:]):": "in set(zip(word, word[1:])):"}),
        Wrong("among equals the pair that was met first is taken; here it is the first in alphabetical order", ("a tie",), {"(-pairs[pair], pair)": "-pairs[pair]"}),
        Wrong("among equals the last in alphabetical order is taken: max of (count, pair) does that", ("a tie",), {"min(pairs, key=lambda pair: (-pairs[pair], pair))": "max(pairs, key=lambda pair: (pairs[pair], pair))"}),
        Wrong("the rarest pair is merged", ("the most frequent pair", "a pair twice in a word", "the same piece again and again", "longer pieces"), {"(-pairs[pair], pair)": "(pairs[pair], pair)"}),
    ),
)

# -- 6: MendedWriter -----------------------------------------------------------------------------------------


def ask(MendedWriter, tokens, positions, ids, attention_mask, what):
    model = MendedWriter(tokens.shape[0], tokens.shape[1], positions.shape[0])
    with torch.no_grad():
        model.tokens.weight.copy_(tokens)
        model.head.weight.copy_(tokens)
        model.positions.weight.copy_(positions)
    if what == "parameters":
        return sum(parameter.numel() for parameter in model.parameters())
    if what == "logits":
        return model(ids, attention_mask)[attention_mask.bool()]
    loss = model.loss(ids, attention_mask)
    if what == "loss":
        return loss
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.5 * parameter.grad
    return model.tokens.weight


def written(what: str, table):
    def inputs(draw: Draw) -> dict:
        language_of = language(table(draw), draw)
        return {"tokens": draw.tensor(5, 4, low=-2, high=2), "positions": draw.tensor(9, 4, low=-2, high=2), "ids": language_of["ids"], "attention_mask": language_of["attention_mask"], "what": what}

    return inputs


WRITER = Task(
    "MendedWriter",
    tests=(
        Test("one matrix for both", 1, written("parameters", behind), use=ask, hint="two embeddings and nothing else: the head brings no numbers of its own"),
        Test("texts without padding", 1, written("logits", lambda draw: mask([(0, 5, 0), (0, 5, 0)])), use=ask, hint="positions 0, 1, 2, ...; the rest of forward was right"),
        Test("padding in front", 1, written("logits", in_front), use=ask, hint="the first real token has position 0 wherever it stands"),
        Test("the loss", 1, written("loss", behind), use=ask, hint="from place t to token t + 1, and real tokens only"),
        Test("a step of training", 1, written("step", both_sides), use=ask, hidden=True, hint="the embedding learns from both of its tasks"),
    ),
    wrong=(
        Wrong("the two share their memory but are still two parameters: the optimizer moves the same numbers twice; make them one parameter", ("one matrix for both",), {"self.head.weight = self.tokens.weight": "self.head.weight.data = self.tokens.weight.data"}),
        Wrong("the head is still a copy: equal at the start, and from the first step on two matrices that drift apart", ("one matrix for both", "a step of training"), {"self.head.weight = self.tokens.weight": "self.head.weight.data.copy_(self.tokens.weight.data)"}),
        Wrong("positions still count the places of the row: a text with padding in front begins at a late position", ("padding in front", "a step of training"), {"self.positions(place)": "self.positions(torch.arange(ids.size(1)))"}),
        Wrong("positions begin at 1: the running sum of the mask is already 1 at the first real token", ("texts without padding", "padding in front", "the loss", "a step of training"), {"(attention_mask.cumsum(1) - 1).clamp(min=0)": "attention_mask.cumsum(1)"}),
        Wrong("the running sum minus one is -1 at padding in front, and an embedding has no row -1", ("padding in front", "a step of training"), {".clamp(min=0)": ""}),
        Wrong(
            "the labels are still not shifted: at place t the model has just read token t, and copies it",
            ("the loss", "a step of training"),
            {"attention_mask[:, 1:] * attention_mask[:, :-1] == 1": "attention_mask == 1", "ids[:, 1:].masked_fill": "ids.masked_fill", "self(ids, attention_mask)[:, :-1]": "self(ids, attention_mask)"},
        ),
        Wrong("the labels are shifted the wrong way: the model is asked for the token before", ("the loss", "a step of training"), {"ids[:, 1:].masked_fill": "ids[:, :-1].masked_fill", "self(ids, attention_mask)[:, :-1]": "self(ids, attention_mask)[:, 1:]"}),
        Wrong("padding is counted in the loss now; that part was right", ("the loss", "a step of training"), {".masked_fill(~counts, -100)": ""}),
        Wrong("the first real token after padding is counted, though nothing real stands before it", ("a step of training",), {"attention_mask[:, 1:] * attention_mask[:, :-1] == 1": "attention_mask[:, 1:] == 1"}),
    ),
)

TASKS = (LAST, LOSS, ANSWERS, PROBABILITIES, BPE, WRITER)
