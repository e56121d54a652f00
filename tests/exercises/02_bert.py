"""Tests and wrong answers of the exercises on fine-tuning BERT."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: mean_of_real -----------------------------------------------------------------------------------------


def texts(draw: Draw, lengths: list[int], t: int = 6, left: bool = False) -> dict:
    rows = [[1] * length + [0] * (t - length) for length in lengths]
    return {"hidden": draw.tensor(len(lengths), t, 3, low=0.2, high=3), "attention_mask": torch.tensor([row[::-1] if left else row for row in rows])}


MEAN = Task(
    "mean_of_real",
    tests=(
        Test("no padding", 1, lambda draw: texts(draw, [4, 4], 4), hint="without padding it is the plain mean over the tokens"),
        Test("texts of different lengths", 1, lambda draw: texts(draw, draw.sample([2, 3, 4, 5], 3)), hint="neither the sum nor the divisor may notice the padding"),
        Test("a text without a token", 1, lambda draw: texts(draw, [0, *draw.sample([2, 3, 4, 5], 2)]), hint="zeros, not NaN; and the other texts as before"),
        Test("padding in front", 1, lambda draw: texts(draw, draw.sample([2, 3, 4], 2), left=True), hidden=True, hint="the mask says where the tokens stand, not only how many there are"),
    ),
    wrong=(
        Wrong("padding is averaged as well: the answer now depends on the longest text of the batch", ("texts of different lengths", "a text without a token", "padding in front"), {"(hidden * real).sum(1) / real.sum(1).clamp(min=1)": "hidden.mean(1)"}),
        Wrong("the sum leaves the padding out, but the divisor counts it: divide by the number of real tokens", ("texts of different lengths", "a text without a token", "padding in front"), {"real.sum(1).clamp(min=1)": "hidden.size(1)"}),
        Wrong("a text without a token gives 0/0, which is NaN, and one NaN spoils the whole batch's loss", ("a text without a token",), {".clamp(min=1)": ""}),
        Wrong("this is the sum; a mean divides, or long texts have longer vectors", ("no padding", "texts of different lengths", "a text without a token", "padding in front"), {" / real.sum(1).clamp(min=1)": ""}),
        Wrong("all texts are divided by the number of tokens of the whole batch; each has its own", ("no padding", "texts of different lengths", "a text without a token", "padding in front"), {"real.sum(1).clamp(min=1)": "real.sum().clamp(min=1)"}),
        Wrong("the first n states are taken, as if padding always stood behind", ("padding in front",), {"attention_mask[..., None].to(hidden.dtype)": "(torch.arange(hidden.size(1)) < attention_mask.sum(1, keepdim=True))[..., None].to(hidden.dtype)"}),
        Wrong("one dimension too many: [B,1,D] came back, [B,D] is asked for", ("no padding", "texts of different lengths", "a text without a token", "padding in front"), {"(hidden * real).sum(1) / real.sum(1)": "(hidden * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)"}),
    ),
)

# -- 2: mlm_corrupt ------------------------------------------------------------------------------------------


def page(draw: Draw, rows: int = 2, rate: float = 0.3, everywhere: bool = False) -> dict:
    """Tokens of all kinds in each row: special or not, chosen or not, and with each of the three fates."""
    kinds = [(special, chosen, fate) for special in (False, True) for chosen in (False, True) for fate in ((0, 79), (80, 89), (90, 99))]
    table = [draw.sample(kinds, len(kinds)) for _ in range(rows)]
    below, above = (0, round(100 * rate) - 1), (round(100 * rate), 99)
    ids = [[draw.integer(0, 2) if special else draw.integer(10, 99) for special, _, _ in row] for row in table]
    chance = [[draw.integer(*(below if chosen or everywhere else above)) / 100 + 0.005 for _, chosen, _ in row] for row in table]
    fate = [[draw.integer(*bounds) / 100 + 0.005 for _, _, bounds in row] for row in table]
    return {"ids": torch.tensor(ids), "special_ids": torch.tensor([0, 1, 2]), "chance": torch.tensor(chance), "fate": torch.tensor(fate), "random_ids": draw.integers(rows, len(kinds), low=100, high=199), "mask_id": 3, "rate": rate}


def what_is_read(mlm_corrupt, **inputs):
    return mlm_corrupt(**inputs)[0]


def what_is_asked(mlm_corrupt, **inputs):
    return mlm_corrupt(**inputs)[1]


CORRUPT = Task(
    "mlm_corrupt",
    tests=(
        Test("what BERT reads", 2, page, use=what_is_read, hint="of the chosen tokens: a mask, the random token, or the token itself, as its fate says; all others stay"),
        Test("what BERT has to name", 1, page, use=what_is_asked, hint="the original id of every chosen token, -100 everywhere else"),
        Test("all but the special ones chosen", 1, lambda draw: page(draw, everywhere=True), hint="every chance is below the rate here; which tokens are spared?"),
        Test("another rate", 2, lambda draw: page(draw, rows=3, rate=0.15), hidden=True),
    ),
    wrong=(
        Wrong("only the tokens that became [MASK] have to be named; but all chosen ones do, the random and the unchanged as well", ("what BERT has to name", "all but the special ones chosen", "another rate"), {"torch.where(chosen, ids, -100)": "torch.where(chosen & (fate < 0.8), ids, -100)"}),
        Wrong("every token has to be named: then most of the loss is copying; put -100 where nothing was chosen", ("what BERT has to name", "all but the special ones chosen", "another rate"), {"torch.where(chosen, ids, -100)": "ids.clone()"}),
        Wrong(
            "the labels were taken after the tokens had been hidden: they hold [MASK], not the original",
            ("what BERT has to name", "all but the special ones chosen", "another rate"),
            {"    labels = torch.where(chosen, ids, -100)\n": "", "    return inputs, labels": "    return inputs, torch.where(chosen, inputs, -100)"},
        ),
        Wrong("special tokens are chosen: nobody can know which one stood there by its meaning, and [CLS] and padding must stay", ("what BERT reads", "what BERT has to name", "all but the special ones chosen", "another rate"), {" & ~torch.isin(ids, special_ids)": ""}),
        Wrong("the random tokens are written over the masks: a fate below 0.8 is below 0.9 as well", ("what BERT reads", "all but the special ones chosen", "another rate"), {"(fate >= 0.8) & (fate < 0.9)": "(fate < 0.9)"}),
        Wrong("tokens that were not chosen are hidden too: 80 % is a share of the chosen ones", ("what BERT reads", "all but the special ones chosen", "another rate"), {"chosen & (fate < 0.8)": "(fate < 0.8)"}),
        Wrong(
            "one draw decides both things: whoever is chosen has a chance below the rate, so every fate would be [MASK]; that is why there are two draws",
            ("what BERT reads", "all but the special ones chosen", "another rate"),
            {"chosen & (fate < 0.8)": "chosen & (chance < 0.8)", "(fate >= 0.8) & (fate < 0.9)": "(chance >= 0.8) & (chance < 0.9)"},
        ),
        Wrong("the last tenth became [MASK]; from 0.9 on a chosen token stays as it is", ("what BERT reads", "all but the special ones chosen", "another rate"), {"chosen & (fate < 0.8)": "chosen & ((fate < 0.8) | (fate >= 0.9))"}),
        Wrong("where nothing is to be named stands 0, which is a token; the loss ignores -100", ("what BERT has to name", "all but the special ones chosen", "another rate"), {"torch.where(chosen, ids, -100)": "torch.where(chosen, ids, 0)"}),
        Wrong("ids was changed in place: the next epoch would hide tokens of an already hidden text", ("what BERT reads", "what BERT has to name", "all but the special ones chosen", "another rate"), {"torch.where(chosen & (fate < 0.8), mask_id, ids)": "ids.masked_fill_(chosen & (fate < 0.8), mask_id)"}),
    ),
)

# -- 3: next_sentence_row ------------------------------------------------------------------------------------


def pair(first: tuple[int, int], second: tuple[int, int], max_length: int | None = 10):
    def inputs(draw: Draw) -> dict:
        a, b = draw.sample(range(10, 50), draw.integer(*first)), draw.sample(range(50, 90), draw.integer(*second))
        return {"first": a, "second": b, "max_length": max_length or len(a) + len(b) + 3, "cls_id": 1, "sep_id": 2}

    return inputs


ROW = Task(
    "next_sentence_row",
    tests=(
        Test("both fit", 1, pair((3, 5), (2, 6), 20), hint="[CLS] first [SEP] second [SEP]; the types change after the first [SEP]"),
        Test("exactly full", 1, pair((3, 5), (2, 6), None), hint="nothing has to go: is every special token counted, and none twice?"),
        Test("the first is much longer", 1, pair((9, 12), (2, 3)), hint="only the first is cut, and at its end"),
        Test("both are too long", 1, pair((8, 9), (8, 9)), hint="cut the longer one, token by token; at equal length the second"),
        Test("the second is much longer", 1, pair((2, 3), (9, 12)), hidden=True, hint="only the second is cut, and at its end"),
    ),
    wrong=(
        Wrong("the texts are cut at their beginning: the words nearest to [CLS] go first, and those are often the question", ("the first is much longer", "both are too long", "the second is much longer"), {".pop()": ".pop(0)"}),
        Wrong(
            "the finished row is cut at its end: the last [SEP] is gone, and a long first text leaves nothing of the second",
            ("the first is much longer", "both are too long", "the second is much longer"),
            {"> max_length - 3:": "> 10**6:", "return head + tail, [0] * len(head) + [1] * len(tail)": "return (head + tail)[:max_length], ([0] * len(head) + [1] * len(tail))[:max_length]"},
        ),
        Wrong("the special tokens are not counted: max_length is the length of the whole row", ("the first is much longer", "both are too long", "the second is much longer"), {"max_length - 3": "max_length"}),
        Wrong("one special token is not counted: there are two [SEP] and one [CLS]", ("the first is much longer", "both are too long", "the second is much longer"), {"max_length - 3": "max_length - 2"}),
        Wrong("one token too many is cut: a row that fits exactly needs no cut", ("exactly full", "the first is much longer", "both are too long", "the second is much longer"), {"> max_length - 3": ">= max_length - 3"}),
        Wrong("always the second text is cut, even when the first is the long one", ("the first is much longer", "both are too long"), {"(first if len(first) > len(second) else second).pop()": "(second or first).pop()"}),
        Wrong("at equal length the first text is cut; here the second is", ("both are too long",), {"len(first) > len(second) else": "len(first) >= len(second) else"}),
        Wrong("the first [SEP] has type 1; it closes the first text and has type 0", ("both fit", "exactly full", "the first is much longer", "both are too long", "the second is much longer"), {"[0] * len(head) + [1] * len(tail)": "[0] * (len(head) - 1) + [1] * (len(tail) + 1)"}),
        Wrong("the last [SEP] is missing: each text is closed by one", ("both fit", "exactly full", "the first is much longer", "both are too long", "the second is much longer"), {"[*second, sep_id]": "second"}),
        Wrong("the caller's lists were cut: pop works on a list itself, so copy it first", ("the first is much longer", "both are too long", "the second is much longer"), {"    first, second = list(first), list(second)\n": ""}),
    ),
)

# -- 4: entity_pair ------------------------------------------------------------------------------------------


def sentences(draw: Draw, low: float = -2, high: float = 2, swapped: bool = False) -> dict:
    """Three texts of nine tokens; entities of two tokens or more at places of their own in each."""
    starts = draw.sample([(a, b) for a in (1, 2) for b in (5, 6)], 3)
    spans = torch.tensor([[[a, a + draw.integer(2, 3)], [b, b + 2]] for a, b in starts])
    return {"hidden": draw.tensor(3, 9, 4, low=low, high=high), "spans": spans.flip(1) if swapped else spans}


def each_way(entity_pair, hidden, spans, ways):
    return {way: entity_pair(hidden, spans, way) for way in ways}


def unknown(entity_pair, hidden, spans, way):
    try:
        entity_pair(hidden, spans, way)
    except ValueError:
        return "ValueError"
    return "nothing was raised"


POOLING = ["mention-pooling", "mention-types", "markers-pooling"]
PAIR = Task(
    "entity_pair",
    tests=(
        Test("the first token", 1, lambda draw: sentences(draw) | {"ways": ["cls", "markers-cls"]}, use=each_way, hint="both ways of [CLS] read one hidden state"),
        Test("the maximum of each entity", 2, lambda draw: sentences(draw, -2, -0.1) | {"ways": POOLING}, use=each_way, hint="all hidden states are negative here; end is not included"),
        Test("where each entity begins", 1, lambda draw: sentences(draw) | {"ways": ["entity-start"]}, use=each_way, hint="in each text at its own places"),
        Test("an unknown way", 1, lambda draw: sentences(draw) | {"way": draw.choice(["entity-end", "pooling", "CLS"])}, use=unknown, hint="a misspelt word should not quietly mean something else"),
        Test("the second entity stands first", 1, lambda draw: sentences(draw, -2, 0.5, swapped=True) | {"ways": ["cls", *POOLING, "markers-cls", "entity-start"]}, use=each_way, hidden=True, hint="the order of the result is that of the entities, not that of the text"),
    ),
    wrong=(
        Wrong("the tokens outside are filled with 0, and 0 wins over negative states; they need -inf", ("the maximum of each entity", "the second entity stands first"), {"-torch.inf": "0.0"}),
        Wrong("end is included: [start, end) stops one token before end", ("the maximum of each entity", "the second entity stands first"), {"position < spans[:, :, 1:]": "position <= spans[:, :, 1:]"}),
        Wrong("this is the mean over an entity's tokens; the paper takes the maximum, feature by feature", ("the maximum of each entity", "the second entity stands first"), {"-torch.inf).amax(2)": "0.0).sum(2).div(inside.sum(2, keepdim=True))"}),
        Wrong("one maximum over both entities: then nobody knows any more which is the first, and most relations have a direction", ("the maximum of each entity", "the second entity stands first"), {".amax(2).flatten(1)": ".amax((1, 2))"}),
        Wrong("with markers in the text, markers-pooling still pools the entities; only markers-cls reads [CLS]", ("the maximum of each entity", "the second entity stands first"), {'way.endswith("cls")': 'way == "cls" or way.startswith("markers")'}),
        Wrong("markers-cls reads [CLS] as cls does; the markers change what BERT reads, not what the head is given", ("the first token", "the second entity stands first"), {'way.endswith("cls")': 'way == "cls"'}),
        Wrong("every text is read at the places of the first text: the rows need an index of their own", ("where each entity begins", "the second entity stands first"), {"hidden[rows, spans[:, :, 0]]": "hidden[:, spans[0, :, 0]]"}),
        Wrong("start and end of the first entity are read, not the starts of both: look at the order of the dimensions of spans", ("where each entity begins", "the second entity stands first"), {"hidden[rows, spans[:, :, 0]]": "hidden[rows, spans[:, 0]]"}),
        Wrong("the token after the start is read; the marker itself is the seat that training fills", ("where each entity begins", "the second entity stands first"), {"spans[:, :, 0]]": "spans[:, :, 0] + 1]"}),
        Wrong("the two starts are added; side by side the head can tell them apart", ("where each entity begins", "the second entity stands first"), {"spans[:, :, 0]].flatten(1)": "spans[:, :, 0]].sum(1)"}),
        Wrong("the entities are sorted by their place: the first entity comes first even where it stands behind", ("the second entity stands first",), {"    if way.endswith": "    spans = spans.sort(1).values\n    if way.endswith"}),
        Wrong("an unknown way quietly means pooling: raise a ValueError, or a spelling mistake becomes a result", ("an unknown way",), {'raise ValueError(f"there is no way called {way!r}")': "pass"}),
    ),
)

# -- 5: bio_names --------------------------------------------------------------------------------------------


def row(*pattern: str):
    """Tags by pattern: B0 I0 O ...; the digit stands for a type that is drawn."""

    def inputs(draw: Draw) -> dict:
        kinds = draw.sample(["PER", "LOC", "ORG", "WORK"], 3)
        tags = ["O"] * draw.integer(0, 3)
        for item in pattern:
            tags += ["O"] * draw.integer(1, 3) if item == "O" else [f"{item[0]}-{kinds[int(item[1])]}"]
        return {"tags": tags}

    return inputs


NAMES = Task(
    "bio_names",
    tests=(
        Test("names apart", 1, row("B0", "I0", "O", "B1", "O"), hint="start at the B-, end one past the last word"),
        Test("a name at the end", 1, row("B1", "O", "B0", "I0"), hint="no O follows, and still the name ends"),
        Test("names side by side", 1, row("B0", "I0", "B0", "B1", "I1", "O"), hint="each B- begins a new name, also one of the same type"),
        Test("an I without a beginning", 1, row("I0", "I0", "O", "B1", "I2", "I2", "O"), hidden=True, hint="an I- of another type, or after O, begins a new span"),
    ),
    wrong=(
        Wrong("a name that reaches the end of the text is lost: nothing closes it", ("a name at the end",), {'[*tags, "O"]': "tags"}),
        Wrong("end is the last word of the name; it should be one past it", ("names apart", "a name at the end", "names side by side", "an I without a beginning"), {"(kind, start, place)": "(kind, start, place - 1)"}),
        Wrong("two names of the same type side by side become one: B- always begins a new one", ("names side by side",), {'letter != "I" or name != kind': 'letter == "O" or name != kind'}),
        Wrong("an I- of another type goes on with the old name: look at the type as well", ("an I without a beginning",), {'(letter != "I" or name != kind)': 'letter != "I"'}),
        Wrong("an I- without a beginning is dropped; by the rule of CoNLL it begins a span", ("an I without a beginning",), {'letter in ("B", "I")': 'letter == "B"'}),
        Wrong("each word is a span of its own: I- goes on with what B- began", ("names apart", "a name at the end", "names side by side", "an I without a beginning"), {'(letter != "I" or name != kind)': "True"}),
        Wrong("the tags are handed back whole: the type is what stands behind the dash", ("names apart", "a name at the end", "names side by side", "an I without a beginning"), {"found.append((kind, start, place))": 'found.append((f"B-{kind}", start, place))'}),
    ),
)

# -- 6: mended_groups ----------------------------------------------------------------------------------------


def settings(mended_groups, lr, head_lr, weight_decay, frozen, wanted):
    class Reader(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(5, 4)
            self.attn = torch.nn.Linear(4, 4)
            self.attn.head_mix = torch.nn.Parameter(torch.ones(2, 2))
            self.attn_norm = torch.nn.LayerNorm(4)
            self.head = torch.nn.Linear(4, 3)

    model = Reader()
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    found = {name: "in no group" for name in wanted}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in torch.optim.AdamW(mended_groups(model, lr, head_lr, weight_decay)).param_groups:
        for parameter in group["params"]:
            if names[id(parameter)] in found:
                found[names[id(parameter)]] = {"lr": group["lr"], "weight_decay": group["weight_decay"]}
    return found


def rates(*wanted: str, frozen: tuple[str, ...] = ()):
    def inputs(draw: Draw) -> dict:
        return {"lr": draw.number(0.1, 0.4), "head_lr": draw.number(1, 3), "weight_decay": draw.number(0.05, 0.3), "frozen": list(frozen), "wanted": list(wanted)}

    return inputs


GROUPS = Task(
    "mended_groups",
    tests=(
        Test("norms and biases", 1, rates("attn.bias", "attn_norm.weight", "attn_norm.bias"), use=settings, hint="vectors are not decayed, whatever they are called"),
        Test("matrices of the backbone", 1, rates("embedding.weight", "attn.weight"), use=settings, hint="the backbone's rate, and decay"),
        Test("the head", 1, rates("head.weight", "head.bias"), use=settings, hint="its own rate for both; decay for the matrix, none for the bias"),
        Test("what only sounds like the head", 1, rates("attn.head_mix"), use=settings, hint="attn.head_mix belongs to the attention"),
        Test("all together, some frozen", 1, rates("embedding.weight", "attn.weight", "attn.bias", "attn.head_mix", "attn_norm.weight", "attn_norm.bias", "head.weight", "head.bias", frozen=("embedding.weight", "attn.bias")), use=settings, hidden=True, hint="each that trains exactly once, a frozen one never"),
    ),
    wrong=(
        Wrong("the weights of the norms are still decayed: nothing is called gamma or beta any more; go by the number of dimensions", ("norms and biases", "all together, some frozen"), {"parameter.ndim >= 2": 'not any(word in name for word in ("bias", "gamma", "beta"))'}),
        Wrong("whatever has 'head' in its name still gets the head's rate: attn.head_mix is no part of model.head", ("what only sounds like the head", "all together, some frozen"), {'name.startswith("head.")': '"head" in name'}),
        Wrong("the head still has AdamW's own decay of 0.01: a group that says nothing gets the default", ("the head", "all together, some frozen"), {"decay = weight_decay if parameter.ndim >= 2 else 0.0": 'decay = 0.01 if name.startswith("head.") else weight_decay if parameter.ndim >= 2 else 0.0'}),
        Wrong("biases are decayed: only the norms are spared, but a bias is a vector too", ("norms and biases", "the head", "all together, some frozen"), {"parameter.ndim >= 2": '"norm" not in name'}),
        Wrong("nothing is decayed: what about the matrices?", ("matrices of the backbone", "the head", "what only sounds like the head", "all together, some frozen"), {"weight_decay if parameter.ndim >= 2 else 0.0": "0.0"}),
        Wrong("everything is decayed: biases and norms should be spared", ("norms and biases", "the head", "all together, some frozen"), {"weight_decay if parameter.ndim >= 2 else 0.0": "weight_decay"}),
        Wrong("the two rates are exchanged: the larger one belongs to the new head", ("norms and biases", "matrices of the backbone", "the head", "what only sounds like the head", "all together, some frozen"), {'head_lr if name.startswith("head.") else lr': 'lr if name.startswith("head.") else head_lr'}),
        Wrong("the head trains at the backbone's rate", ("the head", "all together, some frozen"), {'head_lr if name.startswith("head.") else lr': "lr"}),
        Wrong("frozen parameters are handed to the optimizer: should one get a gradient by accident, it would move", ("all together, some frozen",), {"if parameter.requires_grad:": "if True:"}),
    ),
)

TASKS = (MEAN, CORRUPT, ROW, PAIR, NAMES, GROUPS)
