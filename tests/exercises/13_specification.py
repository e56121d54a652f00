"""Tests and wrong answers of the exercises on specification."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: names_that_train -------------------------------------------------------------------------------------


def model(layers: int, cross: bool) -> list[str]:
    """Parameter names of a transformer, with what misleads a substring."""
    names = ["token_embedding.weight", "embedding_norm.weight", "embedding_norm.bias"]
    for layer in range(layers):
        path = f"layers.{layer}."
        names += [f"{path}attn.q_proj.weight", f"{path}attn.q_proj.bias", f"{path}attn.relative_bias.weight", f"{path}attn.position_bias", f"{path}attn_norm.weight", f"{path}attn_norm.bias"]
        names += [f"{path}cross.k_proj.weight", f"{path}cross.k_proj.bias", f"{path}cross_norm.weight", f"{path}cross_norm.bias"] if cross else []
        names += [f"{path}ffn.normalise.weight", f"{path}ffn.up_proj.weight", f"{path}ffn.up_proj.bias"]
    return [*names, "head.dense.weight", "head.dense.bias", "head.norm.weight"]


def named(rule: str, few: int, many: int, cross: bool = False):
    def inputs(draw: Draw) -> dict:
        names = model(draw.integer(few, many), cross)
        return {"names": draw.sample(names, len(names)), "rule": rule, "k": draw.integer(2, 3)}

    return inputs


NAMES = Task(
    "names_that_train",
    tests=(
        Test("biases", 1, named("bitfit", 2, 4), hint="the last part of the name is bias, and the first is not head"),
        Test("norms", 1, named("norms", 2, 4), hint="the module is the part before weight or bias"),
        Test("the last layers", 1, named("last", 5, 8), hint="the k largest numbers of layers"),
        Test("cross-attention", 1, named("cross", 2, 4, True), hint="cross is a part of its own; cross_norm is another module"),
        Test("the last layers of a deep model", 1, named("last", 11, 13), hidden=True),
    ),
    wrong=(
        Wrong("bias is looked for anywhere in the name: relative_bias.weight is a matrix, so compare the last part alone", ("biases",), {'parts[-1] == "bias"': '"bias" in name'}),
        Wrong("the end of the whole name is compared: position_bias ends in bias and is a matrix, so compare the last part alone", ("biases",), {'parts[-1] == "bias"': 'name.endswith("bias")'}),
        Wrong("layers are compared as words, and as a word 9 is larger than 10: make numbers of them", ("the last layers of a deep model",), {'layer(name) >= max(depth - k, 0)': 'parts[0] == "layers" and parts[1] in sorted({other.split(".")[1] for other in names if other.startswith("layers.")})[-k:]'}),
        Wrong("the biases of the heads of pre-training are chosen as well; BitFit trains those of the blocks", ("biases",), {' and parts[0] != "head"': ""}),
        Wrong("these are the first layers; the last ones have the largest numbers", ("the last layers", "the last layers of a deep model"), {"layer(name) >= max(depth - k, 0)": "0 <= layer(name) < k"}),
        Wrong("one layer too few: with the numbers from 0 to L - 1 the last k begin at L - k", ("the last layers", "the last layers of a deep model"), {"max(depth - k, 0)": "depth - k + 1"}),
        Wrong("cross is looked for as a piece of a word: cross_norm is a norm beside the cross-attention, not a part of it", ("cross-attention",), {'"cross" in parts': '"cross" in name'}),
        Wrong("norm is looked for anywhere in the name: a module is a norm if its own name ends so", ("norms",), {'parts[-2].endswith("norm")': '"norm" in name'}),
        Wrong("the norms of the heads are left out: only bitfit leaves the heads alone", ("norms",), {'parts[-2].endswith("norm")': 'parts[-2].endswith("norm") and parts[0] != "head"'}),
        Wrong("the names were put into another order; give them as they came", ("biases", "norms", "the last layers", "cross-attention", "the last layers of a deep model"), {"return chosen": "return sorted(chosen)"}),
    ),
)


# -- 2: fisher_mask ------------------------------------------------------------------------------------------


def examples(draw: Draw, classes: int = 4, width: int = 5, count: int = 6) -> dict:
    """Labels that are never what the model finds likeliest, so that its own opinion is another one."""
    weight, inputs = draw.tensor(classes, width), draw.tensor(count, width, low=-2, high=2)
    labels = (inputs @ weight.T).argmin(-1)
    return {"weight": weight, "inputs": inputs, "labels": labels, "count": draw.integer(6, 8)}


def its_fisher(fisher_mask, **inputs):
    return fisher_mask(**inputs)[0]


def its_mask(fisher_mask, **inputs):
    return fisher_mask(**inputs)[1]


def what_it_leaves(fisher_mask, weight, inputs, labels, count):
    fisher, _ = fisher_mask(weight, inputs, labels, count)
    return {"F has a history": fisher.requires_grad, "weight has a .grad": weight.grad is not None, "weight asks for a gradient": weight.requires_grad}


def one_strong_row(draw: Draw) -> dict:
    """One example: the largest F stand in the row of the label; with F over all labels they stand in several rows, and not one in each."""
    inputs = torch.tensor([draw.sample([1.0, -1.15, 1.3, -1.45, 1.6, -1.75, 1.9], 5)])
    scores = torch.tensor(draw.sample([0.0, 0.3, 0.6, 1.0], 4))
    weight = scores[:, None] * inputs / inputs.square().sum() + draw.tensor(4, 5) / 100
    return {"weight": weight, "inputs": inputs, "labels": (inputs @ weight.T).argmin(-1), "count": 4}


FISHER = Task(
    "fisher_mask",
    tests=(
        Test("one example", 1, lambda draw: examples(draw, count=1), use=its_fisher, hint="the squared gradient of log p of the label"),
        Test("several examples", 2, examples, use=its_fisher, hint="square the gradient of each example, then take the mean"),
        Test("one budget for the whole matrix", 1, one_strong_row, use=its_mask, hint="the k largest of all entries, wherever they stand"),
        Test("nothing stays behind", 1, examples, use=what_it_leaves, hint="F is numbers alone, and the caller's weight is as it was, with no .grad"),
        Test("another size", 1, lambda draw: examples(draw, 3, 6, 5), use=its_fisher, hidden=True),
    ),
    wrong=(
        Wrong("the mean gradient is squared: then examples that pull in opposite directions cancel out; square first, example by example", ("several examples", "another size"), {"fisher += gradient.square() / len(inputs)": "fisher += gradient / len(inputs)", "best = fisher": "fisher = fisher.square()\n    best = fisher"}),
        Wrong("each row gets a budget of its own; the k places are dealt out over the whole matrix", ("one budget for the whole matrix",), {"best = fisher.flatten().topk(count).indices": "best = (fisher.topk(max(1, count // len(fisher)), dim=1).indices + torch.arange(len(fisher))[:, None] * fisher.size(1)).flatten()"}),
        Wrong("these are the labels that the model itself finds likeliest; F is taken with the true ones", ("one example", "several examples", "one budget for the whole matrix", "another size"), {".log_softmax(-1)[y]": ".log_softmax(-1).max()"}),
        Wrong("F is averaged here over the labels that the model finds possible; it is taken with the true ones", ("one example", "several examples", "one budget for the whole matrix", "another size"), {".log_softmax(-1)[y]": ".log_softmax(-1)", "(gradient,) = torch.autograd.grad(log_p, weight)": "opinions = [one.exp().item() * torch.autograd.grad(one, weight, retain_graph=True)[0].square() for one in log_p]", "gradient.square() / len(inputs)": "sum(opinions) / len(inputs)"}),
        Wrong("this is the sum over the examples, not their mean", ("several examples", "another size"), {"gradient.square() / len(inputs)": "gradient.square()"}),
        Wrong("this is the absolute value of the gradient, not its square", ("one example", "several examples", "another size"), {"gradient.square()": "gradient.abs()"}),
        Wrong("the smallest F are chosen: those are the weights on which the predictions depend least", ("one budget for the whole matrix",), {"topk(count)": "topk(count, largest=False)"}),
        Wrong("this is the gradient of the score before the softmax: log p depends on the scores of all classes", ("one example", "several examples", "another size"), {".log_softmax(-1)[y]": "[y]"}),
        Wrong("this is the gradient of p, not of its logarithm", ("one example", "several examples", "another size"), {".log_softmax(-1)[y]": ".softmax(-1)[y]"}),
        Wrong("backward() fills .grad of the caller's weight, and an optimizer would step with it: work on a copy, or ask torch.autograd.grad", ("nothing stays behind",), {"weight = weight.detach().clone().requires_grad_()": "weight.requires_grad_()", "(gradient,) = torch.autograd.grad(log_p, weight)": "weight.grad = None\n        log_p.backward()\n        gradient = weight.grad"}),
        Wrong("requires_grad_() with the underscore works in place: the caller's weight asks for a gradient from now on", ("nothing stays behind",), {"weight = weight.detach().clone().requires_grad_()": "weight.requires_grad_()"}),
        Wrong("F has a history: it keeps the graphs of all examples alive, so detach it", ("nothing stays behind",), {"torch.autograd.grad(log_p, weight)": "torch.autograd.grad(log_p, weight, create_graph=True)"}),
    ),
)


# -- 3: keep_or_drop -----------------------------------------------------------------------------------------


def masked(draw: Draw, high: float = 2.0) -> dict:
    """Scores on both sides of the threshold, and one exactly on it."""
    scores = draw.tensor(3, 4, low=0.2, high=0.8)
    scores[0, 0], scores[0, 1], scores[1, 2], scores[2, 3] = 0.5, 0.75, 0.25, 0.3
    return {"x": draw.tensor(2, 4, low=0.3, high=high), "weight": draw.tensor(3, 4, low=0.3, high=high), "scores": scores, "threshold": 0.5}


def gradient_of_scores(keep_or_drop, x, weight, scores, threshold):
    leaf = scores.clone().requires_grad_()
    keep_or_drop(x, weight, leaf, threshold).square().sum().backward()
    return leaf.grad


def gradient_of_the_input(keep_or_drop, x, weight, scores, threshold):
    leaf = x.clone().requires_grad_()
    keep_or_drop(leaf, weight, scores.clone().requires_grad_(), threshold).square().sum().backward()
    return leaf.grad


def gradient_of_the_weight(keep_or_drop, x, weight, scores, threshold):
    leaf = weight.clone().requires_grad_()
    keep_or_drop(x, leaf, scores.clone().requires_grad_(), threshold).square().sum().backward()
    return leaf.grad


KEEP = Task(
    "keep_or_drop",
    tests=(
        Test("forward", 1, masked, hint="a weight counts as it is or not at all"),
        Test("the gradient of the scores", 2, masked, use=gradient_of_scores, hint="S gets what M would get, dropped or not"),
        Test("the weight is frozen", 1, masked, use=gradient_of_the_weight, hint="no gradient goes to W, whoever asks"),
        Test("the gradient of the input", 1, masked, use=gradient_of_the_input, hidden=True),
    ),
    wrong=(
        Wrong("the step has no gradient, so the scores never learn: let the gradient of M pass straight through to S", ("the gradient of the scores", "the weight is frozen"), {"mask = hard + scores - scores.detach()": "mask = hard"}),
        Wrong("the scores themselves multiply the weights; a mask is 0 or 1", ("forward", "the gradient of the scores", "the gradient of the input"), {"mask = hard + scores - scores.detach()": "mask = scores"}),
        Wrong("a dropped weight gets no gradient on its score here, so it could never come back", ("the gradient of the scores",), {"mask = hard + scores - scores.detach()": "mask = hard + hard * (scores - scores.detach())"}),
        Wrong("W learns as well: in this method no weight ever gets a new value, so detach it", ("the weight is frozen",), {"weight.detach()": "weight"}),
        Wrong("a score that lies on the threshold is dropped: kept is what stands strictly above", ("forward", "the gradient of the scores", "the gradient of the input"), {"scores > threshold": "scores >= threshold"}),
        Wrong("the mask is the wrong way round: high scores are kept", ("forward", "the gradient of the scores", "the gradient of the input"), {"scores > threshold": "scores <= threshold"}),
        Wrong("the gradient passes through a sigmoid here; straight through means that S gets dL/dM unchanged", ("the gradient of the scores",), {"mask = hard + scores - scores.detach()": "mask = hard + scores.sigmoid() - scores.sigmoid().detach()"}),
        Wrong("x was cut off: the layers below still need their gradient", ("the gradient of the input",), {"F.linear(x, ": "F.linear(x.detach(), "}),
    ),
)


# -- 4: gates_and_price --------------------------------------------------------------------------------------


def its_gate(gates_and_price, **inputs):
    return gates_and_price(**inputs)["gate"]


def its_price(gates_and_price, **inputs):
    return gates_and_price(**inputs)["price"]


def gradients(gates_and_price, log_alpha, noise, low, high, beta):
    found = {}
    for name in ("gate", "price"):
        leaf = log_alpha.clone().requires_grad_()
        gates_and_price(leaf, noise, low, high, beta)[name].sum().backward()
        found[name] = leaf.grad
    return found


def gates(draw: Draw) -> dict:
    """Some gates inside the interval, some cut off on each side."""
    log_alpha = torch.cat((draw.tensor(4, low=-0.6, high=0.6), draw.tensor(2, low=5, high=7), draw.tensor(2, low=-7, high=-5)))
    return {"log_alpha": log_alpha, "noise": draw.tensor(8, low=0.3, high=0.45), "low": draw.number(-0.9, -0.3), "high": draw.number(1.2, 1.5), "beta": draw.number(0.6, 0.8)}


GATES = Task(
    "gates_and_price",
    tests=(
        Test("gates in training", 1, gates, use=its_gate, hint="noise, sigmoid, stretch, cut off"),
        Test("gates without noise", 1, lambda draw: gates(draw) | {"noise": None}, use=its_gate, hint="sigmoid(a), stretched and cut off as well"),
        Test("the price", 2, gates, use=its_price, hint="the mean of the probabilities that a gate is above zero"),
        Test("both have a gradient", 1, gates, use=gradients, hint="a gate that is cut off gets none from z, and some from the price"),
        Test("the price without noise", 1, lambda draw: gates(draw) | {"noise": None}, use=its_price, hidden=True),
    ),
    wrong=(
        Wrong("the stretch is missing: a sigmoid alone never reaches 0, so no difference would ever be exactly zero", ("gates in training", "gates without noise", "both have a gradient"), {"(soft * (high - low) + low).clamp(0, 1)": "soft.clamp(0, 1)"}),
        Wrong("nothing is cut off: the stretched sigmoid runs below 0 and above 1", ("gates in training", "gates without noise", "both have a gradient"), {".clamp(0, 1)": ""}),
        Wrong("the open gates of this one draw are counted; that has no gradient, so use the probability", ("the price", "both have a gradient", "the price without noise"), {"(log_alpha - shift).sigmoid().mean()": "(gate > 0).float().mean() + 0 * log_alpha.sum()"}),
        Wrong("the price is the mean of the gates themselves: a gate of 0.1 is open, and a difference there must be stored like any other", ("the price", "both have a gradient", "the price without noise"), {"(log_alpha - shift).sigmoid().mean()": "gate.mean()"}),
        Wrong("the sign of the shift is wrong: the wider the stretch below zero, the fewer gates are open", ("the price", "both have a gradient", "the price without noise"), {"log_alpha - shift": "log_alpha + shift"}),
        Wrong("the temperature is forgotten in the price: the shift is β times the logarithm", ("the price", "both have a gradient", "the price without noise"), {"beta * torch.log": "torch.log"}),
        Wrong("the temperature divides the noise alone; a stands inside the bracket as well", ("gates in training", "both have a gradient"), {"((noise.log() - (1 - noise).log() + log_alpha) / beta)": "((noise.log() - (1 - noise).log()) / beta + log_alpha)"}),
        Wrong("u itself is added; the noise of a concrete gate is the logarithm of u minus that of 1 - u", ("gates in training", "both have a gradient"), {"noise.log() - (1 - noise).log() + log_alpha": "noise + log_alpha"}),
        Wrong("this is the sum over the gates; the price here is their mean", ("the price", "both have a gradient", "the price without noise"), {".sigmoid().mean()": ".sigmoid().sum()"}),
        Wrong("β stands in the gates without noise as well; read off, a gate is sigmoid(a), stretched and cut off", ("gates without noise",), {"soft = log_alpha.sigmoid()": "soft = (log_alpha / beta).sigmoid()"}),
    ),
)


# -- 5: SparseSwitch -----------------------------------------------------------------------------------------


def its_places(SparseSwitch, before, after):
    return SparseSwitch(before, after).places


def switched_on(SparseSwitch, before, after):
    weights = {name: item.clone() for name, item in before.items()}
    held = dict(weights)  # by a model, say: the same tensors
    SparseSwitch(before, after).on(weights)
    return {"in the dictionary": weights, "in the tensors": held}


def bits_apart(SparseSwitch, before, after):
    weights = {name: item.clone() for name, item in before.items()}
    held, switch, apart = dict(weights), SparseSwitch(before, after), []
    for _ in range(3):
        switch.on(weights)
        apart.append(sum(int((item != after[name]).sum()) for name, item in held.items()))
        switch.off(weights)
        apart.append(sum(int((item != before[name]).sum()) for name, item in held.items()))
    return apart


def how_many(SparseSwitch, before, after):
    return SparseSwitch(before, after).numbers()


def after_others_wrote(SparseSwitch, before, after):
    weights = {name: item.clone() for name, item in before.items()}
    theirs = [{name: item.clone() for name, item in one.items()} for one in (before, after)]
    switch = SparseSwitch(*theirs)
    for one in theirs:
        for item in one.values():
            item.zero_()
    weights["down"][0, 0] += 5.0  # another task has been here, at a place that is not ours
    switch.on(weights)
    found = {name: item.clone() for name, item in weights.items()}
    switch.off(weights)
    return {"on": found, "off": weights}


def sparse(draw: Draw) -> dict:
    """Two of three tensors differ, at a few places, by numbers that float32 cannot add and take away again."""
    before = {"up": draw.tensor(3, 4, low=900, high=2000), "bias": draw.tensor(5), "down": draw.tensor(4, 3, low=900, high=2000)}
    after = {name: item.clone() for name, item in before.items()}
    for name in ("up", "down"):
        places = torch.tensor(draw.sample(range(1, 12), draw.integer(3, 5)))
        after[name].view(-1)[places] = draw.tensor(len(places), low=0.01, high=0.99) + 0.001
    return {"before": before, "after": after}


SWITCH = Task(
    "SparseSwitch",
    tests=(
        Test("places", 1, sparse, use=its_places, hint="only of tensors that differ, counted row by row, int64"),
        Test("switched on", 1, sparse, use=switched_on, hint="new values at the places of the very tensors, everything else as it was"),
        Test("on and off three times", 1, sparse, use=bits_apart, hint="write values, do not add differences; and write into the tensors themselves"),
        Test("how many numbers", 1, sparse, use=how_many, hint="new values alone: a phone with the backbone has the originals"),
        Test("others write as well", 1, sparse, use=after_others_wrote, hidden=True),
    ),
    wrong=(
        Wrong("differences are added and taken away again, and (w + Δ) - Δ is not w in floating point: keep both values and write them", ("on and off three times",), {"view(-1)[places] = self.new[name]": "view(-1)[places] += self.new[name] - self.old[name]", "view(-1)[places] = self.old[name]": "view(-1)[places] -= self.new[name] - self.old[name]"}),
        Wrong("whole tensors are written: that undoes what others changed at other places, and saves nothing", ("others write as well",), {"self.new[name] = after[name].flatten()[places]": "self.new[name] = after[name].flatten()[places]\n                self.whole = {**getattr(self, 'whole', {}), name: after[name].clone()}", "weights[name].view(-1)[places] = self.new[name]": "weights[name].copy_(self.whole[name])"}),
        Wrong("tensors that do not differ have a place in the store as well, with nothing in it: leave them out", ("places",), {"if len(places):": "if True:"}),
        Wrong("only the new values are sent; the originals are on the phone already", ("how many numbers",), {"sum(len(places)": "sum(2 * len(places)"}),
        Wrong("this counts all numbers of the tensors that differ, not those at the places", ("how many numbers",), {"return sum(len(places) for places in self.places.values())": "return sum(12 for _ in self.places)"}),
        Wrong("new tensors are put into the dictionary: whoever holds the old ones, such as a model, sees nothing of it", ("switched on", "on and off three times"), {f"weights[name].view(-1)[places] = self.{which}[name]": f"weights[name] = weights[name].clone()\n            weights[name].view(-1)[places] = self.{which}[name]" for which in ("new", "old")}),
        Wrong("the values are written into a copy, which nobody keeps: write into the tensor itself", ("switched on", "on and off three times", "others write as well"), {"weights[name].view(-1)[places] = self.new[name]": "weights[name].clone().view(-1)[places] = self.new[name]"}),
        Wrong("the two dictionaries are kept, and read when the switch is used: what others do to them later shows; keep the values at the places", ("others write as well",), {"after[name].flatten()[places]": "after[name]", "old.flatten()[places]": "old", "view(-1)[places] = self.new[name]": "view(-1)[places] = self.new[name].flatten()[places]", "view(-1)[places] = self.old[name]": "view(-1)[places] = self.old[name].flatten()[places]"}),
        Wrong("places are rows and columns here; count them through the flattened tensor", ("places", "switched on", "on and off three times", "others write as well"), {"(old != after[name]).flatten().nonzero()[:, 0]": "(old != after[name]).nonzero()[:, 0]"}),
    ),
)


# -- 6: mended_sparse_training -------------------------------------------------------------------------------


def training(draw: Draw, decay: float, steps: int = 4) -> dict:
    mask = torch.zeros(3, 5, dtype=torch.bool)
    mask.view(-1)[torch.tensor(draw.sample(range(15), 6))] = True
    return {"weight": draw.tensor(3, 5, low=0.5, high=2), "mask": mask, "x": draw.tensor(6, 5), "y": draw.tensor(6, 3, low=-4, high=4), "steps": steps, "lr": 0.1, "decay": decay}


def the_others(mended_sparse_training, weight, mask, **inputs):
    return mended_sparse_training(weight, mask, **inputs)[~mask]


def the_chosen(mended_sparse_training, weight, mask, **inputs):
    return mended_sparse_training(weight, mask, **inputs)[mask]


MENDED = Task(
    "mended_sparse_training",
    tests=(
        Test("the others stay", 1, lambda draw: training(draw, 0.3), use=the_others, hint="the optimizer moves whatever it is given"),
        Test("the chosen ones learn", 1, lambda draw: training(draw, 0.0, 8), use=the_chosen, hint="all weights take part in the prediction; each step has a gradient of its own"),
        Test("the chosen ones decay", 1, lambda draw: training(draw, 0.5, 5), use=the_chosen, hint="AdamW with its weight decay, for those that train"),
        Test("everything chosen", 1, lambda draw: training(draw, 0.2, 8) | {"mask": torch.ones(3, 5, dtype=torch.bool)}, hidden=True),
    ),
    wrong=(
        Wrong("the gradient is masked, but the decay still pulls all weights towards zero: give the optimizer the chosen ones alone", ("the others stay", "the chosen ones decay"), {"values = weight[mask].clone().requires_grad_()  # [k]": "values = weight.clone().requires_grad_()", "weight.masked_scatter(mask, values))": "values)", "loss.backward()": "loss.backward()\n        values.grad *= mask", "return weight.masked_scatter(mask, values.detach())": "return values.detach()"}),
        Wrong("the mask is laid on the weights, so all others count as zero in the prediction; it belongs on what may move", ("the chosen ones learn", "the chosen ones decay"), {"F.linear(x, weight.masked_scatter(mask, values))": "F.linear(x, torch.zeros_like(weight).masked_scatter(mask, values))"}),
        Wrong("the gradients of all steps pile up: clear them before each backward pass", ("the chosen ones learn", "the chosen ones decay", "everything chosen"), {"        optimizer.zero_grad()\n": ""}),
        Wrong("the decay is gone altogether: the chosen weights are to decay as AdamW does it", ("the chosen ones decay", "everything chosen"), {"lr=lr, weight_decay=decay)": "lr=lr, weight_decay=0.0)"}),
        Wrong("this is Adam with the decay in the gradient; AdamW takes it apart, as a factor on the weight", ("the chosen ones decay", "everything chosen"), {"torch.optim.AdamW(": "torch.optim.Adam("}),
        Wrong("torch's own weight decay is left in: the default of AdamW is 0.01, not the value that was asked for", ("the chosen ones learn", "the chosen ones decay", "everything chosen"), {", weight_decay=decay)": ")"}),
        Wrong("the others drift between the steps, and are put back at the end alone; they must stay in every step", ("the chosen ones learn", "the chosen ones decay"), {"values = weight[mask].clone().requires_grad_()  # [k]": "values = weight.clone().requires_grad_()", "weight.masked_scatter(mask, values))": "values)", "return weight.masked_scatter(mask, values.detach())": "return torch.where(mask, values.detach(), weight)"}),
        Wrong("all weights train: the mask is nowhere", ("the others stay", "the chosen ones learn", "the chosen ones decay"), {"values = weight[mask].clone().requires_grad_()  # [k]": "values = weight.clone().requires_grad_()", "weight.masked_scatter(mask, values))": "values)", "return weight.masked_scatter(mask, values.detach())": "return values.detach()"}),
    ),
)

TASKS = (NAMES, FISHER, KEEP, GATES, SWITCH, MENDED)
