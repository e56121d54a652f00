"""Tests and wrong answers of the exercises on the scenarios in which deltas are used."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: relative_transfer ------------------------------------------------------------------------------------


def transfers(n: int = 4, below: bool = False, lonely: bool = False, weak: bool = False):
    """Task t is helped best by task t + 1; below: some deltas are worse than chance; lonely: on the last task all others are.

    weak: all help less, and chance is high where task 0 finds its helper, so that chance of the row finds another one.
    """

    def inputs(draw: Draw) -> dict:
        places = [1, n - 1, 0, *draw.sample(range(2, n - 1), n - 3)] if weak else draw.sample(range(n), n)
        chance = torch.tensor([0.1 + 0.1 * place for place in range(n)])[places]
        share = torch.tensor([[(0.1 if weak else 0.2) + draw.number(0, 0.15) for _ in range(n)] for _ in range(n)])
        for task in range(n):
            share[(task + 1) % n, task] = (0.45 if weak else 0.65) + draw.number(0, 0.2)
            share[task, task] = 1.0
            if below:
                share[(task + 2) % n, task] = draw.number(-0.4, -0.1)
        if lonely:
            share[:-1, -1] = -0.1 * torch.arange(1, n) - draw.number(0, 0.05)
        own = chance + 0.3 + 0.05 * torch.tensor([n - 1, *draw.sample(range(n - 1), n - 1)] if weak else draw.sample(range(n), n))
        return {"scores": chance + share * (own - chance), "chance": chance}

    return inputs


def its_relative(relative_transfer, scores, chance):
    return relative_transfer(scores, chance)["relative"]


def its_helper(relative_transfer, scores, chance):
    return relative_transfer(scores, chance)["helper"]


TRANSFER = Task(
    "relative_transfer",
    tests=(
        Test("from chance to the own delta", 1, transfers(), use=its_relative, hint="chance becomes 0, and the diagonal 1"),
        Test("worse than chance", 1, transfers(below=True), use=its_relative, hint="a negative share is an answer as well"),
        Test("the best helper", 1, transfers(5, weak=True), use=its_helper, hint="for each task, that is, for each column"),
        Test("nobody helps", 1, transfers(5, lonely=True, weak=True), use=its_helper, hint="the least bad of those that mislead is no helper"),
        Test("more tasks", 1, transfers(6, below=True, lonely=True), hidden=True),
    ),
    wrong=(
        Wrong("each row is divided by what its own task reaches; the score was made on the task of the column, so that one's own delta is the measure", ("from chance to the own delta", "worse than chance", "more tasks"), {"/ (own - chance)": "/ (own - chance)[:, None]"}),
        Wrong("rows and columns are mixed up: chance and own belong to the column, not to the row", ("from chance to the own delta", "worse than chance", "the best helper", "nobody helps", "more tasks"), {"(scores - chance) / (own - chance)": "(scores - chance[:, None]) / (own - chance)[:, None]"}),
        Wrong("chance is that of the row here: chance and own belong to the column, not to the row", ("from chance to the own delta", "worse than chance", "the best helper", "nobody helps", "more tasks"), {"(scores - chance) / (own - chance)": "(scores - chance[:, None]) / (own - chance[:, None])"}),
        Wrong("above the line chance is that of the row: chance and own belong to the column, above and below", ("from chance to the own delta", "worse than chance", "the best helper", "nobody helps", "more tasks"), {"(scores - chance)": "(scores - chance[:, None])"}),
        Wrong("chance is left out: where guessing gives a half, a share of one half means nothing", ("from chance to the own delta", "worse than chance", "nobody helps", "more tasks"), {"(scores - chance) / (own - chance)": "scores / own"}),
        Wrong("chance is taken off above the line and not below: then not even the own delta has 1", ("from chance to the own delta", "worse than chance", "more tasks"), {"/ (own - chance)": "/ own"}),
        Wrong("every task is its own best helper here: another one was asked for", ("the best helper", "nobody helps", "more tasks"), {"torch.eye(len(scores), dtype=torch.bool)": "torch.zeros(len(scores), len(scores), dtype=torch.bool)"}),
        Wrong("this is the task that each delta helps most; asked is who helps each task: look down the columns", ("the best helper", "nobody helps", "more tasks"), {"others.max(dim=0)": "others.max(dim=1)"}),
        Wrong("where all others are worse than chance nobody helps: None", ("nobody helps", "more tasks"), {"place if value > 0 else None": "place"}),
        Wrong("negative shares were set to zero: that a delta misleads is worth knowing", ("worse than chance", "more tasks"), {"(scores - chance) / (own - chance)": "((scores - chance) / (own - chance)).clamp(min=0)"}),
        Wrong("the diagonal of the caller's own table was overwritten: work on a copy", ("from chance to the own delta", "worse than chance", "the best helper", "nobody helps", "more tasks"), {"    best = others": "    scores.fill_diagonal_(-torch.inf)\n    best = others"}),
    ),
)

# -- 2: mixed_lora -------------------------------------------------------------------------------------------


def mixed(*tasks: int, tokens: int = 2, n: int = 4, rank: int = 2):
    def inputs(draw: Draw) -> dict:
        return {
            "x": draw.tensor(len(tasks), tokens, 5, low=0.2, high=2), "weight": draw.tensor(6, 5), "lora_A": draw.tensor(n, rank, 5, low=0.2, high=1),
            "lora_B": draw.tensor(n, 6, rank, low=0.2, high=1), "scaling": torch.tensor([1.5 + 0.5 * place for place in range(n)]), "tasks": torch.tensor(tasks),
        }  # fmt: skip

    return inputs


def what_they_learn(mixed_lora, x, weight, lora_A, lora_B, scaling, tasks):
    x, lora_A, lora_B = (item.clone().requires_grad_() for item in (x, lora_A, lora_B))
    mixed_lora(x, weight, lora_A, lora_B, scaling, tasks).square().sum().backward()
    return {"A": lora_A.grad, "B": lora_B.grad, "x": x.grad}


MIXED = Task(
    "mixed_lora",
    tests=(
        Test("each row its own", 1, mixed(2, 0, 3), hint="gather A and B by the task of each row"),
        Test("rows of the plain backbone", 1, mixed(1, -1, 0, -1), hint="-1 is no place in a list here"),
        Test("more rows than tasks", 1, mixed(1, 3, 1, 1, 0, 3, tokens=3), hint="a task may come several times"),
        Test("as many tokens as rows", 1, mixed(3, 0, 1, tokens=3), hint="a number for each row must not meet the tokens"),
        Test("what they learn", 1, mixed(3, -1, 1, 3), use=what_they_learn, hidden=True, hint="a row teaches its own LoRA, and x has a gradient through both products"),
    ),
    wrong=(
        Wrong("-1 takes the last LoRA, as it takes the last of a list: a row without a delta gets none", ("rows of the plain backbone", "what they learn"), {"torch.where(tasks >= 0, scaling[tasks], 0.0)": "scaling[tasks]"}),
        Wrong("a row without a delta got the first one: -1 means none", ("rows of the plain backbone", "what they learn"), {"    factor = torch.where(tasks >= 0, scaling[tasks], 0.0)": "    tasks = tasks.clamp(min=0)\n    factor = scaling[tasks]"}),
        Wrong("rows were given the LoRAs in order: the number of a row says nothing about its task", ("each row its own", "rows of the plain backbone", "more rows than tasks", "as many tokens as rows", "what they learn"), {"lora_A[tasks]": "lora_A[torch.arange(len(tasks)) % len(lora_A)]", "lora_B[tasks]": "lora_B[torch.arange(len(tasks)) % len(lora_B)]"}),
        Wrong("the LoRA of the first row was used for the whole batch", ("each row its own", "rows of the plain backbone", "more rows than tasks", "as many tokens as rows", "what they learn"), {"lora_A[tasks]": "lora_A[tasks[:1].expand(len(tasks))]", "lora_B[tasks]": "lora_B[tasks[:1].expand(len(tasks))]"}),
        Wrong("the scaling is forgotten: each LoRA was trained with its own", ("each row its own", "rows of the plain backbone", "more rows than tasks", "as many tokens as rows", "what they learn"), {"scaling[tasks], 0.0)": "1.0, 0.0)"}),
        Wrong("the scaling of one LoRA was used for all rows", ("each row its own", "rows of the plain backbone", "more rows than tasks", "as many tokens as rows", "what they learn"), {"scaling[tasks], 0.0)": "scaling[tasks[0]], 0.0)"}),
        Wrong("the number of a row has met the tokens: [B] beside [B,T,d_out] needs two more dimensions behind it", ("each row its own", "rows of the plain backbone", "more rows than tasks", "as many tokens as rows", "what they learn"), {"factor[:, None, None]": "factor[:, None]"}),
        Wrong("the frozen product is missing: LoRA adds to it", ("each row its own", "rows of the plain backbone", "more rows than tasks", "as many tokens as rows", "what they learn"), {"F.linear(x, weight) + factor": "factor"}),
        Wrong("a row without a delta got nothing at all: the plain backbone still answers it", ("rows of the plain backbone", "what they learn"), {"return F.linear(x, weight) + factor[:, None, None] * change": "return (tasks >= 0)[:, None, None] * (F.linear(x, weight) + factor[:, None, None] * change)"}),
        Wrong("the tokens of a row are mixed: the index of the tokens stays where it was", ("each row its own", "rows of the plain backbone", "more rows than tasks", "as many tokens as rows", "what they learn"), {'"btd,brd->btr", x, lora_A[tasks])': '"btd,brd->br", x, lora_A[tasks])[:, None].expand(-1, x.size(1), -1)'}),
        Wrong("x is cut off before the LoRA: the layers below get the gradient of the frozen product alone", ("what they learn",), {"x, lora_A[tasks])": "x.detach(), lora_A[tasks])"}),
        Wrong("x is cut off before the frozen product: frozen means that W gets no gradient; x still gets one through it", ("what they learn",), {"F.linear(x, weight)": "F.linear(x.detach(), weight)"}),
        Wrong("x is cut off altogether: the layers below would never learn", ("what they learn",), {"    inner": "    x = x.detach()\n    inner"}),
    ),
)

# -- 3: int8_rows --------------------------------------------------------------------------------------------


def ruled(rows: int = 3, columns: int = 5, zero: bool = False):
    """Rows of very different size, whose weights lie well between two middles of steps: no rounding can go both ways.

    The largest of each row is negative, and the one before it is only a little smaller and positive.
    """

    def inputs(draw: Draw) -> dict:
        steps = torch.tensor([draw.sample([-127.0, 100.0, *(draw.integer(-90, 90) + draw.choice((-0.3, 0.3)) for _ in range(columns - 2))], columns) for _ in range(rows)])
        scale = torch.tensor([[(1 + draw.number(0, 0.5)) * 8.0**-row / 127] for row in draw.sample(range(rows), rows)])
        weight = steps * scale
        if zero:
            weight[1] = 0.0
        return {"weight": weight}

    return inputs


def its_scale(int8_rows, weight):
    return int8_rows(weight)["scale"]


def its_q(int8_rows, weight):
    return int8_rows(weight)["q"]


def off_and_bytes(int8_rows, weight):
    found = int8_rows(weight)
    return {"bound": found["bound"], "bytes": found["bytes"]}


def zeros_and_others(int8_rows, weight):
    found = int8_rows(weight)
    return {"q": found["q"], "scale": found["scale"]}


def put_back(int8_rows, weight):
    found = int8_rows(weight)
    back = found["q"] * found["scale"]
    return {"back": 1000 * back, "kept": bool(((back - weight).abs() <= found["bound"] * 1.001).all())}


INT8 = Task(
    "int8_rows",
    tests=(
        Test("the scale of each row", 1, ruled(), use=its_scale, tolerance=1e-6, hint="one number a row, and its largest weight by size sets it"),
        Test("q", 2, ruled(), use=its_q, hint="the nearest whole number, as int8"),
        Test("a row of zeros", 1, ruled(zero=True), use=zeros_and_others, tolerance=1e-6, hint="0 / 0"),
        Test("the bound and the bytes", 1, ruled(4, 6), use=off_and_bytes, tolerance=1e-6, hint="rounding goes half a step at most; int8 takes one byte, float32 four"),
        Test("put back", 1, ruled(5, 7), use=put_back, hidden=True),
    ),
    wrong=(
        Wrong("one ruler for the whole matrix: the rows with small weights are left with hardly any steps", ("the scale of each row", "q", "a row of zeros", "the bound and the bytes", "put back"), {"weight.abs().amax(1, keepdim=True) / 127": "(weight.abs().amax() / 127).expand(len(weight), 1)"}),
        Wrong("q is cut off and not rounded: .to(torch.int8) drops what is behind the point", ("q", "a row of zeros", "put back"), {".round().to(": ".to("}),
        Wrong("the largest weight was taken with its sign: a large negative one then lies beyond the end of the ruler", ("the scale of each row", "q", "a row of zeros", "the bound and the bytes", "put back"), {"weight.abs().amax(1": "weight.amax(1", ".round().to(": ".round().clamp(-127, 127).to("}),
        Wrong("a row of zeros has the scale 0, and 0 / 0 is no number: take 1 there", ("a row of zeros",), {"    scale = torch.where(scale == 0, 1.0, scale)\n": "", ".round().to(": ".nan_to_num().round().to("}),
        Wrong("the ruler has 128 steps on the negative side alone; 127 on both keeps zero in the middle", ("the scale of each row", "q", "a row of zeros", "the bound and the bytes", "put back"), {"keepdim=True) / 127": "keepdim=True) / 128", ".round().to(": ".round().clamp(-128, 127).to("}),
        Wrong("the ruler is laid over the columns: a row of W belongs to one output, and gets one scale", ("the scale of each row", "q", "a row of zeros", "the bound and the bytes", "put back"), {"amax(1, keepdim=True)": "amax(0, keepdim=True)"}),
        Wrong("the bound is a whole step: the nearest mark of a ruler is at most half a step away", ("the bound and the bytes",), {'"bound": scale / 2': '"bound": scale'}),
        Wrong("the scales are not counted: without them q cannot be put back", ("the bound and the bytes",), {"q.numel() + 4 * scale.numel()": "q.numel()"}),
        Wrong("q is still float32: whole numbers in four bytes save nothing", ("q", "a row of zeros"), {".round().to(torch.int8)": ".round()"}),
    ),
)

# -- 4: combined_lora ----------------------------------------------------------------------------------------


def several(*ranks: int, signs: tuple[int, ...] = (1, 1, 1, 1), d_in: int = 6, d_out: int = 5):
    def inputs(draw: Draw) -> dict:
        loras = [{"A": draw.tensor(rank, d_in, low=0.2, high=1), "B": draw.tensor(d_out, rank, low=0.2, high=1), "s": draw.number(2, 4)} for rank in ranks]
        return {"loras": loras, "weights": [sign * draw.number(0.3, 0.8) for sign, _ in zip(signs, ranks)]}

    return inputs


def its_product(combined_lora, loras, weights):
    lora_A, lora_B = combined_lora(loras, weights)
    return lora_B @ lora_A


def its_shapes(combined_lora, loras, weights):
    from torch.utils._python_dispatch import TorchDispatchMode

    full = loras[0]["B"].size(0) * loras[0]["A"].size(1)
    made = []

    class Watch(TorchDispatchMode):
        """Sees every tensor that is made."""

        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            found = function(*arguments, **(keywords or {}))
            made.extend(item.numel() for item in (found if isinstance(found, (list, tuple)) else (found,)) if isinstance(item, torch.Tensor))
            return found

    with Watch():
        shapes = [list(item.shape) for item in combined_lora(loras, weights)]
    return {"shapes": shapes, "a full matrix was made": max(made, default=0) >= full}


COMBINED = Task(
    "combined_lora",
    tests=(
        Test("two of one rank", 1, several(2, 2), use=its_product, hint="compare with the sum of the two products"),
        Test("three ranks", 1, several(1, 3, 2), use=its_product, hint="ranks need not be equal to be added"),
        Test("one is taken away", 1, several(2, 2, signs=(1, -1)), use=its_product, hint="a minus that stands twice is a plus"),
        Test("it stays thin", 1, several(1, 2, 1, d_in=18, d_out=16), use=its_shapes, hint="R is the sum of the ranks, and nothing larger than A and B is made on the way"),
        Test("four, of which two are taken away", 1, several(2, 1, 3, 2, signs=(1, -1, 1, -1)), use=its_product, hidden=True),
    ),
    wrong=(
        Wrong("A and B were added separately: their product then holds every B with every foreign A as well", ("two of one rank", "three ranks", "one is taken away", "it stays thin", "four, of which two are taken away"), {'torch.cat([lora["A"] for lora in loras])': 'sum(lora["A"] for lora in loras)', 'torch.cat([weight * lora["s"] * lora["B"] for lora, weight in zip(loras, weights)], dim=1)': 'sum(weight * lora["s"] * lora["B"] for lora, weight in zip(loras, weights))'}),
        Wrong("A and B were averaged, each with all the weights: the mean of products is not the product of means", ("two of one rank", "three ranks", "one is taken away", "it stays thin", "four, of which two are taken away"), {'torch.cat([lora["A"] for lora in loras])': 'sum(weight * lora["A"] for lora, weight in zip(loras, weights))', 'torch.cat([weight * lora["s"] * lora["B"] for lora, weight in zip(loras, weights)], dim=1)': 'sum(weight * lora["s"] * lora["B"] for lora, weight in zip(loras, weights))'}),
        Wrong("c stands in A and in B: it counts twice, and a minus becomes a plus", ("two of one rank", "three ranks", "one is taken away", "four, of which two are taken away"), {'[lora["A"] for lora in loras]': '[weight * lora["A"] for lora, weight in zip(loras, weights)]'}),
        Wrong("s is forgotten: each LoRA was trained with its own factor, and the sum has none", ("two of one rank", "three ranks", "one is taken away", "four, of which two are taken away"), {'weight * lora["s"] * lora["B"]': 'weight * lora["B"]'}),
        Wrong("the numbers c are forgotten", ("two of one rank", "three ranks", "one is taken away", "four, of which two are taken away"), {'weight * lora["s"] * lora["B"]': 'lora["s"] * lora["B"]'}),
        Wrong("the sum was divided by the number of LoRAs: an average is one choice of c, and c was given", ("two of one rank", "three ranks", "one is taken away", "four, of which two are taken away"), {'weight * lora["s"] * lora["B"]': 'weight / len(loras) * lora["s"] * lora["B"]'}),
        Wrong("this is the full sum of the products beside an identity: right, and no longer thin", ("it stays thin",), {'torch.cat([lora["A"] for lora in loras])': 'sum(weight * lora["s"] * lora["B"] @ lora["A"] for lora, weight in zip(loras, weights))', 'torch.cat([weight * lora["s"] * lora["B"] for lora, weight in zip(loras, weights)], dim=1)': 'torch.eye(len(loras[0]["B"]))'}),
        Wrong("the full matrix is made, and taken apart again: the sum of thin products is a thin product already", ("it stays thin",), {'torch.cat([lora["A"] for lora in loras])': 'sum(weight * lora["s"] * lora["B"] @ lora["A"] for lora, weight in zip(loras, weights))', "return lora_A, lora_B": "U, S, V = torch.linalg.svd(lora_A, full_matrices=False)\n    rank = lora_B.size(1)\n    return V[:rank], U[:, :rank] * S[:rank]"}),
        Wrong("the B stand in another order than the A: then each meets a foreign one", ("two of one rank", "three ranks", "one is taken away", "four, of which two are taken away"), {'for lora, weight in zip(loras, weights)]': 'for lora, weight in reversed(list(zip(loras, weights)))]'}),
        Wrong("the B were put below each other; the inner dimension of B is its second one", ("two of one rank", "three ranks", "one is taken away", "it stays thin", "four, of which two are taken away"), {", dim=1)": ")"}),
    ),
)

# -- 5: shared_update ----------------------------------------------------------------------------------------


def processes(*counts: int, lacks: tuple[tuple[int, str], ...] = ()):
    """Each process has gradients of three parameters, without those that it lacks."""

    def inputs(draw: Draw) -> dict:
        found = [{"A": draw.tensor(2, 4, low=0.2, high=2), "B": draw.tensor(3, 2, low=0.2, high=2), "head": draw.tensor(5, low=0.2, high=2)} for _ in counts]
        for process, name in lacks:
            found[process][name] = None
        return {"gradients": found, "counts": list(counts)}

    return inputs


def its_gradients(shared_update, gradients, counts):
    return shared_update(gradients, counts)[0]


def its_bytes(shared_update, gradients, counts):
    return shared_update(gradients, counts)[1]


NOBODY = ((0, "head"), (1, "head"), (2, "head"))
UPDATE = Task(
    "shared_update",
    tests=(
        Test("unequal batches", 1, processes(3, 5), use=its_gradients, hint="an example counts the same wherever it was read"),
        Test("a gradient that one lacks", 1, processes(2, 6, 4, lacks=((1, "B"),)), use=its_gradients, hint="its examples have a gradient of zero there"),
        Test("a gradient that all lack", 1, processes(4, 4, 4, lacks=NOBODY), use=its_gradients, hint="None is not zero"),
        Test("what is sent", 1, processes(2, 2, 2, lacks=NOBODY), use=its_bytes, hint="2 (n - 1) / n times the message, and what nobody has is not in it"),
        Test("four processes", 1, processes(1, 7, 2, 6, lacks=((0, "A"), (2, "A"), (3, "head"))), hidden=True),
    ),
    wrong=(
        Wrong("this is the plain mean over the processes: the examples of a small batch then count more than those of a large one", ("unequal batches", "a gradient that one lacks", "four processes"), {"count / sum(counts) * own[name]": "own[name] / len(counts)"}),
        Wrong("this is the sum over the processes: the step grows with their number", ("unequal batches", "a gradient that one lacks", "a gradient that all lack", "four processes"), {"count / sum(counts) * own[name]": "1 * own[name]"}),
        Wrong("those that lack a gradient were left out of the mean: their examples have a gradient of zero there, and are examples all the same", ("a gradient that one lacks", "four processes"), {"count / sum(counts) * own[name]": "count / sum(c for other, c in zip(gradients, counts) if other[name] is not None) * own[name]"}),
        Wrong("what no process has became a gradient of zeros: an optimizer with decay or moments would move it", ("a gradient that all lack",), {"sum(parts) if parts else None": "sum(parts) if parts else torch.zeros(5)"}),
        Wrong("a parameter that one process lacks was dropped for all", ("a gradient that one lacks", "four processes"), {"sum(parts) if parts else None": "sum(parts) if len(parts) == len(counts) else None"}),
        Wrong("the examples were not divided by: this is the gradient of the sum of the losses, and asked is that of their mean", ("unequal batches", "a gradient that one lacks", "a gradient that all lack", "four processes"), {"count / sum(counts) * own": "count * own"}),
        Wrong("this is the whole message sent to each of the others: in a ring it is cut into n pieces, which go round twice", ("what is sent", "four processes"), {"2 * (len(counts) - 1) / len(counts) * 4": "(len(counts) - 1.0) * 4"}),
        Wrong("the pieces go round once; an all-reduce goes round twice, once to add and once to hand out the sums", ("what is sent", "four processes"), {"2 * (len(counts) - 1) / len(counts) * 4": "(len(counts) - 1) / len(counts) * 4"}),
        Wrong("these are numbers and not bytes: float32 takes 4 for each", ("what is sent", "four processes"), {" / len(counts) * 4 * numbers": " / len(counts) * numbers"}),
        Wrong("the gradients of a process were changed in place: it may still need them", ("unequal batches", "a gradient that one lacks", "a gradient that all lack", "what is sent", "four processes"), {"count / sum(counts) * own[name]": "own[name].mul_(count / sum(counts))"}),
    ),
)

# -- 6: MendedSwitch -----------------------------------------------------------------------------------------


def board(draw: Draw) -> dict:
    """A weight, and three LoRAs; large enough that adding and subtracting loses bits."""
    tensors = {"weight": draw.tensor(4, 5), "x": draw.tensor(3, 5, low=0.2, high=2), "head": draw.tensor(2, 4, low=0.2, high=1)}
    return tensors | {"loras": {name: [draw.tensor(2, 5, low=0.3, high=3), draw.tensor(4, 2, low=0.3, high=3)] for name in ("mood", "news", "spam")}}


def to_and_fro(MendedSwitch, weight, x, head, loras):
    part = MendedSwitch(weight)
    for name, (lora_A, lora_B) in loras.items():
        part.add(name, lora_A, lora_B)
    found = []
    for name in ("mood", "news", "mood", None):
        part.switch(name)
        found.append(part.forward(x))
    return found


def heads(MendedSwitch, weight, x, head, loras):
    part = MendedSwitch(weight)
    part.add("mood", *loras["mood"], head)
    part.add("news", *loras["news"])
    part.switch("mood")
    first = part.forward(x)
    part.switch("news")
    return [first, part.forward(x)]


def merged(MendedSwitch, weight, x, head, loras):
    part = MendedSwitch(weight)
    part.add("mood", *loras["mood"], head)
    part.merge()
    plain = part.forward(x)
    part.switch("mood")
    part.merge()
    once, folded = part.forward(x), part.weight
    part.merge()
    return [plain, once, folded, part.forward(x)]


def merged_and_on(MendedSwitch, weight, x, head, loras):
    part = MendedSwitch(weight)
    for name, (lora_A, lora_B) in loras.items():
        part.add(name, lora_A, lora_B)
    found = []
    for name in ("spam", "spam", "news"):
        part.switch(name)
        found.append(part.weight.clone())
        part.merge()
        found.append(part.forward(x))
    part.switch("mood")
    return [*found, part.forward(x)]


def to_the_bit(MendedSwitch, weight, x, head, loras):
    part, new = MendedSwitch(weight), MendedSwitch(weight)
    for name, (lora_A, lora_B) in loras.items():
        part.add(name, lora_A, lora_B, head)
    for name in ("news", "mood", "spam", "mood", "news", "spam"):
        part.switch(name)
        part.merge()
    part.switch(None)
    same, off, shape = torch.equal(part.weight, weight), (part.weight - weight).abs().max(), list(part.forward(x).shape)
    found, kept = {"as in the beginning": same, "off by": off, "without a head": shape}, [part.weight.clone(), new.weight.clone()]
    weight.add_(1.0)  # the caller goes on with his own
    found["the caller shows at once"] = not torch.equal(part.weight, kept[0])
    found["the caller shows before the first switch"] = not torch.equal(new.weight, kept[1])
    part.switch("mood")
    found["the caller shows after a switch"] = not torch.equal(part.weight, kept[0])
    return found


SWITCH = Task(
    "MendedSwitch",
    tests=(
        Test("one after the other", 1, board, use=to_and_fro, hint="exactly one LoRA works, or none"),
        Test("each its own head", 1, board, use=heads, hint="a task without a head has none, whoever came before"),
        Test("merged, and merged again", 1, board, use=merged, hint="what is in the weight must not be added once more"),
        Test("merged, and then another", 1, board, use=merged_and_on, hint="every switch takes off what was merged, to the same task as well"),
        Test("to the bit", 1, board, use=to_the_bit, hidden=True, changes=("weight",), hint="the way back is to keep what was there, in a copy of one's own"),
    ),
    wrong=(
        Wrong("the LoRA before still hangs when the next one comes: a switch takes it off", ("one after the other", "each its own head"), {"        self.hanging, self.head = [], None\n        if task is not None:": "        self.head = None\n        if task is not None:", "self.hanging = [(lora_A, lora_B)]": "self.hanging = [*self.hanging, (lora_A, lora_B)]"}),
        Wrong("a task without a head still answers with the one before: no head is a setting too", ("each its own head", "to the bit"), {"        self.hanging, self.head = [], None\n        if task is not None:": "        self.hanging = []\n        if task is not None:", "lora_A, lora_B, self.head = self.shelf[task]": "lora_A, lora_B, head = self.shelf[task]\n            self.head = self.head if head is None else head"}),
        Wrong("after merging the LoRA still hangs beside the weight: it counts twice, and with every merge once more", ("merged, and merged again", "merged, and then another"), {"@ lora_A\n        self.hanging = []": "@ lora_A"}),
        Wrong("what was merged before is still in the weight when the next task comes; and if you kept a copy, did += write into that as well?", ("merged, and then another", "to the bit"), {"        self.weight = self.plain  # what was merged is off again\n": ""}),
        Wrong("what was merged is subtracted again: w + d - d is not w, and after a day of it the backbone has drifted", ("to the bit",), {"        self.weight = self.plain  # what was merged is off again\n": "        for lora_A, lora_B in getattr(self, 'folded', []):\n            self.weight = self.weight - lora_B @ lora_A\n        self.folded = []\n", "        self.hanging = []\n": "        self.folded = [*getattr(self, 'folded', []), *self.hanging]\n        self.hanging = []\n"}),
        Wrong("the weight is no copy: what the caller does to it later changes the answers here", ("to the bit",), {"self.plain = weight.clone()": "self.plain = weight"}),
        Wrong("what a switch goes back to is the caller's own tensor: what he does to it shows after the next switch, so keep a copy of that as well", ("to the bit",), {"self.plain = weight.clone()": "self.plain = weight", "self.weight, self.shelf = self.plain, {}": "self.weight, self.shelf = weight.clone(), {}", "self.weight = self.plain  #": "self.weight = self.plain.clone()  #"}),
        Wrong("until the first switch the weight is the caller's own: copy it at once", ("to the bit",), {"self.weight, self.shelf = self.plain, {}": "self.weight, self.shelf = weight, {}"}),
        Wrong("a switch to the task that is on already does nothing: what was merged must come off then too", ("merged, and then another",), {"        self.weight = self.plain  # what was merged is off again\n": "        if task == getattr(self, 'task', None):\n            return\n        self.task = task\n        self.weight = self.plain\n"}),
        Wrong("the weight is still the caller's own, and merging writes into it", ("merged, and merged again", "merged, and then another", "to the bit"), {"self.plain = weight.clone()": "self.plain = weight", "self.weight = self.weight + lora_B @ lora_A": "self.weight += lora_B @ lora_A"}),
        Wrong("switch(None) leaves everything as it was: it asks for the plain backbone", ("one after the other", "to the bit"), {"        self.weight = self.plain  # what was merged is off again\n": "        if task is None:\n            return\n        self.weight = self.plain\n"}),
        Wrong("the head is lost in merging: it stands behind the layer and is folded into nothing", ("merged, and merged again",), {"@ lora_A\n        self.hanging = []": "@ lora_A\n        self.hanging, self.head = [], None"}),
    ),
)

TASKS = (TRANSFER, MIXED, INT8, COMBINED, UPDATE, SWITCH)
