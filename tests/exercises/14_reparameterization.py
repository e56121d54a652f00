"""Tests and wrong answers of the exercises on reparameterization."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: lora_forward -----------------------------------------------------------------------------------------


def thin(draw: Draw, d_in: int = 5, d_out: int = 4, rank: int = 2) -> dict:
    return {"x": draw.tensor(2, 3, d_in), "weight": draw.tensor(d_out, d_in), "bias": draw.tensor(d_out), "lora_A": draw.tensor(rank, d_in), "lora_B": draw.tensor(d_out, rank), "alpha": draw.number(5, 9)}


def frozen_gradients(lora_forward, alpha, **inputs):
    leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    lora_forward(alpha=alpha, **leaves).square().sum().backward()
    return {name: leaves[name].grad for name in ("weight", "bias")}


def other_gradients(lora_forward, alpha, **inputs):
    leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    lora_forward(alpha=alpha, **leaves).square().sum().backward()
    return {name: leaves[name].grad for name in ("x", "lora_A", "lora_B")}


FORWARD = Task(
    "lora_forward",
    tests=(
        Test("forward", 1, thin, hint="the frozen linear, plus alpha / R times B A x"),
        Test("what is frozen", 1, thin, use=frozen_gradients, hint="W and b get no gradient, whoever asks"),
        Test("what learns", 1, thin, use=other_gradients, hint="A, B, and x for the layers below"),
        Test("a square layer of another rank", 1, lambda draw: thin(draw, 4, 4, 3), hidden=True),
    ),
    wrong=(
        Wrong("alpha / R is forgotten: the change is scaled by it", ("forward", "what learns", "a square layer of another rank"), {"frozen + scaling * F": "frozen + F"}),
        Wrong("the change is scaled by alpha alone; divided by R it keeps its size when the rank is changed", ("forward", "what learns", "a square layer of another rank"), {"alpha / len(lora_A)": "alpha"}),
        Wrong("alpha is divided by the root of R: that is rsLoRA, a later method", ("forward", "what learns", "a square layer of another rank"), {"alpha / len(lora_A)": "alpha / len(lora_A) ** 0.5"}),
        Wrong("W and b are not frozen: detach them, or they learn as well", ("what is frozen",), {"weight.detach(), bias.detach()": "weight, bias"}),
        Wrong("only W is frozen; the bias belongs to the backbone too", ("what is frozen",), {"bias.detach()": "bias"}),
        Wrong("x was cut off before the frozen linear: the layers below get their gradient through it as well", ("what learns",), {"F.linear(x, weight.detach()": "F.linear(x.detach(), weight.detach()"}),
        Wrong("the change replaces the layer; it is added to what the frozen weight gives", ("forward", "what learns", "a square layer of another rank"), {"return frozen + scaling": "return scaling"}),
        Wrong("the scaling stands before the sum, so the frozen part is scaled too", ("forward", "what learns", "a square layer of another rank"), {"frozen + scaling * F.linear(F.linear(x, lora_A), lora_B)": "scaling * (frozen + F.linear(F.linear(x, lora_A), lora_B))"}),
    ),
)


# -- 2: reparameter_count ------------------------------------------------------------------------------------


def layers(method: str):
    def inputs(draw: Draw) -> dict:
        shapes = [[draw.integer(20, 40), draw.integer(50, 90)] for _ in range(draw.integer(3, 5))]
        return {"method": method, "shapes": shapes, "size": draw.integer(6, 12)}

    return inputs


COUNT = Task(
    "reparameter_count",
    tests=(
        Test("LoRA", 1, layers("lora"), hint="A is [R,d_in], B is [d_out,R]"),
        Test("a frozen A", 1, layers("lora-fa"), hint="only B trains"),
        Test("SAID", 1, layers("said"), hint="one scale for each layer, and all of it counts in d"),
        Test("AdaLoRA", 1, layers("adalora"), hidden=True),
    ),
    wrong=(
        Wrong("the scales count in d: the vector has d minus one for each layer", ("SAID",), {"return size, size - len(shapes)": "return size, size"}),
        Wrong("the scales are counted on top of d, and in the paper they count in it", ("SAID",), {"return size, size - len(shapes)": "return size + len(shapes), size"}),
        Wrong("the vector is shared: all layers together have one, not each its own", ("SAID",), {"return size, size - len(shapes)": "return size * len(shapes), size - len(shapes)"}),
        Wrong("this is the frozen half: what is random and stays so is A, and B trains", ("a frozen A",), {"total += size * d_out  # B, or P": 'total += size * (d_in if method == "lora-fa" else d_out)'}),
        Wrong("A is counted though it does not train", ("a frozen A",), {'if method != "lora-fa":': "if True:"}),
        Wrong("λ is a vector of R numbers for each layer, not a matrix and not one number", ("AdaLoRA",), {"            total += size\n": "            total += size * size\n"}),
        Wrong("λ trains as well: R more numbers for each layer", ("AdaLoRA",), {"            total += size\n": "            total += 0\n"}),
        Wrong("the matrices are not square: A has R times d_in numbers", ("LoRA", "AdaLoRA"), {"size * d_in  # A": "size * d_out  # A"}),
        Wrong("this is the size of the whole change; its two thin factors are what trains", ("LoRA", "a frozen A", "AdaLoRA"), {"total += size * d_out  # B, or P": "total += d_in * d_out"}),
    ),
)


# -- 3: fastfood_weight --------------------------------------------------------------------------------------


def projection(draw: Draw, d: int = 3, shape: tuple[int, int] = (2, 4), n: int = 8) -> dict:
    signs = torch.tensor([draw.choice([1.0, -1.0]) for _ in range(n)])
    signs[0] = -1.0
    return {"weight": draw.tensor(*shape), "theta": draw.tensor(d, low=1, high=2), "signs": signs, "gauss": draw.tensor(n, low=0.5, high=2), "scale": draw.tensor(low=1.5, high=3)}


def small_gradients(fastfood_weight, **inputs):
    leaves = {name: inputs[name].clone().requires_grad_() for name in ("weight", "theta", "scale")}
    fastfood_weight(**(inputs | leaves)).square().sum().backward()
    return {name: leaves[name].grad for name in ("theta", "scale")}


def large_gradient(fastfood_weight, **inputs):
    leaf = inputs["weight"].clone().requires_grad_()
    theta = inputs["theta"].clone().requires_grad_()
    fastfood_weight(**(inputs | {"weight": leaf, "theta": theta})).square().sum().backward()
    return leaf.grad


def turned(draw: Draw) -> dict:
    """An order that is not its own inverse."""
    return projection(draw) | {"order": torch.tensor([3, 0, 6, 1, 7, 2, 4, 5])}


FASTFOOD = Task(
    "fastfood_weight",
    tests=(
        Test("the change", 2, turned, hint="zeros, signs, H, permutation, Gaussians, H, in this order"),
        Test("a small layer and a long vector", 1, lambda draw: turned(draw) | {"weight": draw.tensor(1, 3), "theta": draw.tensor(6, low=1, high=2)}, hint="n entries come out; the first |W| of them are used"),
        Test("what learns", 1, turned, use=small_gradients, hint="θ and the scale of the layer"),
        Test("the weight is frozen", 1, turned, use=large_gradient, hint="W_0 gets no gradient, whoever asks"),
        Test("a larger layer", 1, lambda draw: projection(draw, 5, (3, 4), 16) | {"order": torch.tensor([5, 9, 0, 14, 3, 1, 12, 7, 15, 2, 6, 11, 4, 8, 13, 10])}, hidden=True),
    ),
    wrong=(
        Wrong("the permutation is turned round: entry i of the result is entry order[i], as indexing does it", ("the change", "a small layer and a long vector", "what learns", "a larger layer"), {"[order]": "[order.argsort()]"}),
        Wrong("H stands here once; P = H G Π H B has it on both sides", ("the change", "a small layer and a long vector", "what learns", "a larger layer"), {"hadamard(signs * padded)[order]": "(signs * padded)[order]"}),
        Wrong("the last H is missing: without it each weight would hang on one Gaussian number alone", ("the change", "a small layer and a long vector", "what learns", "a larger layer"), {"hadamard(gauss * mixed)": "gauss * mixed"}),
        Wrong("the signs are forgotten: B turns them before the first transform", ("the change", "a small layer and a long vector", "what learns", "a larger layer"), {"hadamard(signs * padded)": "hadamard(padded)"}),
        Wrong("the Gaussians stand before the permutation; read P from the right: Π comes first, then G", ("the change", "a small layer and a long vector", "what learns", "a larger layer"), {"hadamard(signs * padded)[order]": "(gauss * hadamard(signs * padded))[order]", "hadamard(gauss * mixed)": "hadamard(mixed)"}),
        Wrong("the scale of the layer is forgotten: that is DID, where all layers have λ = 1", ("the change", "a small layer and a long vector", "what learns", "a larger layer"), {"scale * change": "change + 0 * scale"}),
        Wrong("λ scales the pre-trained weight as well; it belongs to the change", ("the change", "a small layer and a long vector", "what learns", "a larger layer"), {"weight.detach() + scale * change": "scale * (weight.detach() + change)"}),
        Wrong("W_0 learns as well: θ (and λ) is all that trains, so detach it", ("the weight is frozen",), {"weight.detach()": "weight"}),
        Wrong("the last entries are used instead of the first", ("a small layer and a long vector", "a larger layer"), {"projected[: weight.numel()]": "projected[-weight.numel() :]"}),
    ),
)


# -- 4: IntrinsicPrompt --------------------------------------------------------------------------------------


def space(draw: Draw, tasks: int = 3, d: int = 2, hidden: int = 4, length: int = 3, width: int = 5) -> dict:
    decoder = {"0.weight": draw.tensor(hidden, d, low=0.5, high=2), "0.bias": draw.tensor(hidden), "2.weight": draw.tensor(length * width, hidden), "2.bias": draw.tensor(length * width)}
    return {"decoder": decoder, "codes": draw.tensor(tasks, d, low=0.2, high=1), "prompt_length": length}


def decoded(IntrinsicPrompt, decoder, codes, prompt_length):
    return IntrinsicPrompt(decoder, codes, prompt_length).vectors()


def what_trains(IntrinsicPrompt, decoder, codes, prompt_length):
    part = IntrinsicPrompt(decoder, codes, prompt_length)
    return {name: item.detach() for name, item in part.named_parameters()}


def what_is_saved(IntrinsicPrompt, decoder, codes, prompt_length):
    state = IntrinsicPrompt(decoder, codes, prompt_length).state_dict()
    return {name: list(state[name].shape) for name in sorted(state)}


def after_a_step(IntrinsicPrompt, decoder, codes, prompt_length):
    part = IntrinsicPrompt(decoder, codes, prompt_length)
    part.vectors().square().sum().backward()
    torch.optim.SGD(part.parameters(), lr=0.05).step()
    return part.vectors()


PROMPT = Task(
    "IntrinsicPrompt",
    tests=(
        Test("the prompt", 1, space, use=decoded, hint="a linear, a tanh, a linear, then [P,D]"),
        Test("only the code trains", 1, space, use=what_trains, hint="z [d] begins at the mean of the codes"),
        Test("what is saved", 1, space, use=what_is_saved, hint="the decoder belongs into state_dict()"),
        Test("after a step", 1, space, use=after_a_step, hint="the prompt moves, because its code does"),
        Test("one known task", 1, lambda draw: space(draw, tasks=1, d=3, length=2), use=decoded, hidden=True),
    ),
    wrong=(
        Wrong("the decoder trains as well: then the prompt is no longer tied to the space that the tasks have shown", ("only the code trains", "after a step"), {'self.register_buffer("outer_weight", decoder["2.weight"].clone())': 'self.outer_weight = nn.Parameter(decoder["2.weight"].clone())'}),
        Wrong("the decoder is not saved: as a plain attribute it is missing from state_dict(), and z alone makes no prompt", ("what is saved",), {'self.register_buffer("outer_weight", decoder["2.weight"].clone())': 'self.outer_weight = decoder["2.weight"].clone()'}),
        Wrong("the code begins at zero; the mean of the known codes lies in the midst of the prompts that work", ("the prompt", "only the code trains", "after a step", "one known task"), {"codes.mean(dim=0)": "torch.zeros(codes.size(1))"}),
        Wrong("the code of the first task is taken; begin at the mean over the tasks", ("the prompt", "only the code trains", "after a step"), {"codes.mean(dim=0)": "codes[0].clone()"}),
        Wrong("the tanh is missing: two linears after each other are one linear", ("the prompt", "after a step", "one known task"), {".tanh()": ""}),
        Wrong("the prompt is transposed while it is cut: one word's vector comes after another, so P is the first size of the view", ("the prompt", "after a step", "one known task"), {".view(self.length, -1)": ".view(-1, self.length).T"}),
        Wrong("the code is cut off from its gradient, so nothing can be tuned", ("after a step",), {"F.linear(self.z, ": "F.linear(self.z.detach() + 0 * self.z, "}),
    ),
)


# -- 5: surviving_triples ------------------------------------------------------------------------------------


def triples(draw: Draw, rank: int = 3, shapes: tuple[tuple[int, int], ...] = ((3, 6), (7, 2)), signed: bool = False) -> dict:
    """Each triple is twice as important as the next, so that the choice is clear; signed: with entries of both signs."""
    count = rank * len(shapes)
    grades = iter(draw.sample([0.1 * 2**place for place in range(count)], count))
    inputs: dict = {"Ps": [], "lams": [], "Qs": [], "grads": []}
    for d_out, d_in in shapes:
        size = torch.tensor([next(grades) for _ in range(rank)])
        down, across, turn = ((-1.0) ** torch.arange(n) if signed else torch.ones(n) for n in (d_out, d_in, rank))
        inputs["Ps"].append(draw.tensor(d_out, rank, low=0.8, high=1) * down[:, None])
        inputs["lams"].append(draw.tensor(rank, low=0.6, high=0.9) * turn)
        inputs["Qs"].append(draw.tensor(rank, d_in, low=0.8, high=1) * across)
        inputs["grads"].append({"P": draw.tensor(d_out, rank, low=0.9, high=1) * size, "lam": draw.tensor(rank, low=0.9, high=1) * size, "Q": draw.tensor(rank, d_in, low=0.9, high=1) * size[:, None]})
    return inputs


def budgeted(draw: Draw) -> dict:
    return triples(draw) | {"budget": draw.choice([3, 5])}


def clear_cut(draw: Draw) -> dict:
    """All triples of one matrix matter more than any of the other."""
    inputs, strong = triples(draw), draw.integer(0, 1)
    grads = [{name: item * (100 if place == strong else 1) for name, item in grad.items()} for place, grad in enumerate(inputs["grads"])]
    return inputs | {"grads": grads, "budget": 3}


def importance(surviving_triples, **inputs):
    return surviving_triples(**inputs)[0]


def lambdas(surviving_triples, **inputs):
    return surviving_triples(**inputs)[1]


TRIPLES = Task(
    "surviving_triples",
    tests=(
        Test("importance", 2, lambda draw: triples(draw, signed=True) | {"budget": 3}, use=importance, hint="|w dL/dw| of lambda, and its means over a column of P and a row of Q"),
        Test("lambdas after the cut", 2, budgeted, use=lambdas, hint="those that stay keep their values, all others are zero"),
        Test("one matrix gets all", 1, clear_cut, use=lambdas, hint="one budget for all matrices together"),
        Test("three matrices", 1, lambda draw: triples(draw, 3, ((4, 2), (2, 5), (6, 3)), signed=True) | {"budget": 4}, use=importance, hidden=True),
    ),
    wrong=(
        Wrong("each matrix gets a budget of its own; the point of AdaLoRA is that ranks go where they matter", ("lambdas after the cut", "one matrix gets all"), {"best = importance.flatten().topk(budget).indices": "best = (importance.topk(max(1, budget // len(importance)), dim=1).indices + torch.arange(len(importance))[:, None] * importance.size(1)).flatten()"}),
        Wrong("the entries are summed, not averaged: a matrix with long columns would always look important", ("importance", "three matrices"), {".abs().mean(dim=0)": ".abs().sum(dim=0)", ".abs().mean(dim=1)": ".abs().sum(dim=1)"}),
        Wrong("the absolute value is forgotten: a number whose growth lowers the loss matters as much as one whose growth raises it", ("importance", "three matrices"), {'(lam * grad["lam"]).abs()': '(lam * grad["lam"])'}),
        Wrong("only λ is judged; its column of P and its row of Q belong to the triple", ("importance", "three matrices"), {" + columns + across)": ")"}),
        Wrong("the gradient alone is taken: importance is |w dL/dw|, what the loss would lose without that number", ("importance", "three matrices"), {'(P * grad["P"])': 'grad["P"]', '(Q * grad["Q"])': 'grad["Q"]', '(lam * grad["lam"])': 'grad["lam"]'}),
        Wrong("the least important triples stay", ("lambdas after the cut", "one matrix gets all"), {"topk(budget)": "topk(budget, largest=False)"}),
        Wrong("those that stay are set to one; they keep their λ", ("lambdas after the cut", "one matrix gets all"), {"torch.stack(lams) * mask.view_as(importance)": "mask.view_as(importance)"}),
        Wrong("the mean comes before the absolute value: numbers of opposite signs would cancel out", ("importance", "three matrices"), {'(P * grad["P"]).abs().mean(dim=0)': '(P * grad["P"]).mean(dim=0)', '(Q * grad["Q"]).abs().mean(dim=1)': '(Q * grad["Q"]).mean(dim=1)'}),
    ),
)


# -- 6: MendedLoRA -------------------------------------------------------------------------------------------


def at_the_start(MendedLoRA, weight, rank, alpha, x, A, B):
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        linear.weight.copy_(weight)
    return MendedLoRA(linear, rank, alpha)(x)


def first_gradients(MendedLoRA, weight, rank, alpha, x, A, B):
    part = MendedLoRA(torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False), rank, alpha)
    part(x).square().sum().backward()
    return {"B moves": bool(part.lora_B.grad.abs().sum() > 0), "A is zero": not bool(part.lora_A.detach().abs().sum() > 0)}


def with_numbers(MendedLoRA, weight, rank, alpha, x, A, B):
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    part = MendedLoRA(linear, rank, alpha)
    with torch.no_grad():
        linear.weight.copy_(weight)
        part.lora_A.copy_(A)
        part.lora_B.copy_(B)
    return part(x)


def merged_twice(MendedLoRA, weight, rank, alpha, x, A, B):
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    part = MendedLoRA(linear, rank, alpha)
    with torch.no_grad():
        linear.weight.copy_(weight)
        part.lora_A.copy_(A)
        part.lora_B.copy_(B)
    part.merge()
    once = {"weight": part.linear.weight.detach().clone(), "output": part(x).detach()}
    part.merge()
    return once | {"weight after two": part.linear.weight.detach().clone(), "output after two": part(x).detach()}


def given_back(MendedLoRA, weight, rank, alpha, x, A, B):
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    part = MendedLoRA(linear, rank, alpha)
    with torch.no_grad():
        linear.weight.copy_(weight)
        part.lora_A.copy_(A)
        part.lora_B.copy_(B)
    part.unmerge()
    found = {"after unmerge alone": int((part.linear.weight != weight).sum())}
    part.merge()
    part.unmerge()
    found |= {"after both": int((part.linear.weight != weight).sum()), "output": part(x).detach()}
    part.unmerge()
    return found | {"after a second unmerge": int((part.linear.weight != weight).sum())}


def lora(draw: Draw) -> dict:
    """A change that is far larger than most weights, so that it cannot be taken away without a trace."""
    return {"weight": draw.tensor(4, 5, low=0.01, high=0.99) + 0.001, "rank": 3, "alpha": draw.number(7, 10), "x": draw.tensor(2, 5), "A": draw.tensor(3, 5, low=3, high=9), "B": draw.tensor(4, 3, low=3, high=9)}


MENDED = Task(
    "MendedLoRA",
    tests=(
        Test("starts as the frozen linear", 1, lora, use=at_the_start, hint="the product of the two factors is zero at the start"),
        Test("can learn", 1, lora, use=first_gradients, hint="only one of the two factors may be zero"),
        Test("the scaling", 1, lora, use=with_numbers, hint="alpha divided by the rank"),
        Test("merged once and twice", 1, lora, use=merged_twice, hint="the output stays, and a second merge changes nothing"),
        Test("given back", 1, lora, use=given_back, hidden=True),
    ),
    wrong=(
        Wrong("both factors start at zero: then each keeps the other's gradient at zero, and nothing ever learns", ("can learn",), {"torch.randn(rank, linear.in_features) * linear.in_features**-0.5": "torch.zeros(rank, linear.in_features)"}),
        Wrong("both factors start at random, so the first outputs are not those of the pre-trained model", ("starts as the frozen linear",), {"torch.zeros(linear.out_features, rank)": "torch.randn(linear.out_features, rank)"}),
        Wrong("the scaling is alpha alone: divided by the rank, the size of the change does not grow with it", ("the scaling", "merged once and twice", "given back"), {"alpha / rank": "alpha"}),
        Wrong("a second merge adds the change again: remember whether it has been done", ("merged once and twice",), {"        if self.original is None:\n            self.original = self.linear.weight.clone()\n            self.linear.weight +=": "        if self.original is None:\n            self.original = self.linear.weight.clone()\n        self.linear.weight +="}),
        Wrong("after a merge the branch is still added, so the change counts twice", ("merged once and twice",), {"        if self.original is not None:\n            return out\n": ""}),
        Wrong("what was added is subtracted again, and in floating point that does not give the same bits back: keep the original", ("given back",), {"self.linear.weight.copy_(self.original)": "self.linear.weight -= self.scaling * self.lora_B @ self.lora_A"}),
        Wrong("the merge leaves the scaling out: before and after it the outputs differ", ("merged once and twice",), {"self.linear.weight += self.scaling * self.lora_B": "self.linear.weight += self.lora_B"}),
        Wrong("after unmerge the module still believes that it is merged, and leaves the change out", ("given back",), {"            self.linear.weight.copy_(self.original)\n            self.original = None\n": "            self.linear.weight.copy_(self.original)\n"}),
        Wrong("the original is not a copy but the weight itself, which changes with the merge: clone it", ("given back",), {"self.original = self.linear.weight.clone()": "self.original = self.linear.weight.detach()"}),
    ),
)

TASKS = (FORWARD, COUNT, FASTFOOD, PROMPT, TRIPLES, MENDED)
