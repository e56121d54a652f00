"""Tests and wrong answers of the exercises on delta objects and optimizers."""

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: freeze_and_count -------------------------------------------------------------------------------------


def small_model(freeze_and_count, vocab_size, d_model, bottleneck_dim, endings, kept, frozen):
    nn = torch.nn  # noqa: F821
    model = nn.Module()
    model.embedding = nn.Embedding(vocab_size, d_model)
    model.layer = nn.ModuleDict({"norm": nn.BatchNorm1d(d_model), "down": nn.Linear(d_model, bottleneck_dim), "up": nn.Linear(bottleneck_dim, d_model)})
    model.bias_of_labels = nn.Parameter(torch.zeros(7))  # noqa: F821
    model.head = nn.Linear(d_model, vocab_size, bias=False)
    model.head.weight = model.embedding.weight  # tied
    model.requires_grad_(not frozen)
    told = freeze_and_count(model, endings, kept)
    return {"told": told, "trains": [name for name, p in model.named_parameters() if p.requires_grad]}


def counted(*endings: str, frozen: bool = False, kept: int = 2):
    def inputs(draw: Draw) -> dict:
        return {"vocab_size": draw.integer(11, 30), "d_model": draw.integer(5, 8), "bottleneck_dim": draw.integer(2, 4), "endings": list(endings), "kept": kept, "frozen": frozen}

    return inputs


COUNTS = ("biases with Adam", "a model that came frozen", "what ends so", "a tied table that trains")
FREEZE = Task(
    "freeze_and_count",
    tests=(
        Test("biases with Adam", 2, counted("bias"), use=small_model, hint="all parameters whose name ends with 'bias', and what they cost"),
        Test("a model that came frozen", 1, counted("down.weight", "down.bias", kept=1, frozen=True), use=small_model, hint="what should train has to be told so"),
        Test("what ends so", 1, counted("up.weight", "bias", kept=0), use=small_model, hint="'bias_of_labels' does not end with 'bias'; SGD keeps nothing"),
        Test("a tied table that trains", 1, counted("embedding.weight", "norm.bias"), use=small_model, hidden=True, hint="one tensor, two names"),
    ),
    wrong=(
        Wrong("what came frozen stays frozen: set requires_grad in both directions", ("a model that came frozen",), {"parameter.requires_grad_(name.endswith(tuple(endings)))": "if not name.endswith(tuple(endings)):\n            parameter.requires_grad_(False)"}),
        Wrong("tensors are counted, not numbers: a matrix [D,R] is D times R parameters", COUNTS, {"total += parameter.numel()": "total += 1", "trained += parameter.numel() * parameter.requires_grad": "trained += int(parameter.requires_grad)"}),
        Wrong("a tied tensor is counted twice: it lies in memory once, whatever its names", COUNTS, {"model.named_parameters()": "model.named_parameters(remove_duplicate=False)"}),
        Wrong("a name that merely contains the string is taken: the contract says ends with", ("biases with Adam", "what ends so"), {"name.endswith(tuple(endings))": "any(ending in name for ending in endings)"}),
        Wrong("the share is of what is frozen; it is of all numbers of the model", COUNTS, {"trained / total": "trained / (total - trained)"}),
        Wrong("the gradients are missing: each number that trains has one, besides what the optimizer keeps", COUNTS, {"4 * (1 + kept) * trained": "4 * kept * trained"}),
        Wrong("the optimizer keeps nothing for what is frozen: gradients and moments belong to what trains", COUNTS, {"4 * (1 + kept) * trained": "4 * (1 + kept) * total"}),
        Wrong("the frozen weights still lie in memory: 4 bytes for every number of the model", COUNTS, {"4 * total + 4": "4 * trained + 4"}),
        Wrong("the buffers of a normalisation are no parameters: state_dict() holds more than what can train", COUNTS, {'return {"trained"': 'total += sum(value.numel() for value in model.buffers())\n    return {"trained"'}),
    ),
)


# -- 2: DeltaSite --------------------------------------------------------------------------------------------


def passes(DeltaSite, x, out, factors):
    class Part(torch.nn.Module):  # noqa: F821
        def __init__(self, factor):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(factor))  # noqa: F821

        def forward(self, x, out):
            return self.factor * out + x

    site = DeltaSite()
    for name, factor in factors.items():
        site.hang(name, Part(factor))
    return site(x, out)


def comes_and_goes(DeltaSite, x, out, first, second):
    class Part(torch.nn.Module):  # noqa: F821
        def __init__(self, factor):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(factor))  # noqa: F821

        def forward(self, x, out):
            return self.factor * out + x

    site, one = DeltaSite(), Part(first)
    site.hang("lora", one)
    site.hang("adapter", Part(second))
    taken = site.take("lora")
    return {"the part itself comes back": taken is one, "parameters left": sum(p.numel() for p in site.parameters()), "what comes out": site(x, out)}


def what_the_site_owns(DeltaSite, sizes):
    site = DeltaSite()
    for number, size in enumerate(sizes):
        site.hang(f"part{number}", torch.nn.Linear(size, 2))  # noqa: F821
    return {"parameters": sum(p.numel() for p in site.parameters()), "in training": [part.training for part in site.eval().modules()]}


def same_name_twice(DeltaSite, size):
    site = DeltaSite()
    site.hang("lora", torch.nn.Linear(size, 2))  # noqa: F821
    try:
        site.hang("lora", torch.nn.Linear(size, 3))  # noqa: F821
        said = "no error"
    except ValueError:
        said = "ValueError"
    return {"the second time": said, "parameters": sum(p.numel() for p in site.parameters())}


def through(names: tuple[str, ...]):
    def inputs(draw: Draw) -> dict:
        factors = draw.sample((0.5, 2.5, 3.5, 4.5), len(names))
        return {"x": draw.tensor(2, 3, low=0.2), "out": draw.tensor(2, 3, low=0.3, high=1.5), "factors": dict(zip(names, factors))}

    return inputs


SITE = Task(
    "DeltaSite",
    tests=(
        Test("an empty site and one part", 1, through(("lora",)), use=passes, hint="part(x, out), in this order"),
        Test("two parts in their order", 1, through(("prefix", "adapter")), use=passes, hint="the second part gets what the first one gave"),
        Test("the site owns its parts", 1, lambda draw: {"sizes": [draw.integer(2, 5), draw.integer(6, 9)]}, use=what_the_site_owns, hint="a plain dict is invisible to parameters(), eval() and to()"),
        Test("take one, keep the other", 1, lambda draw: {"x": draw.tensor(2, 3, low=0.2), "out": draw.tensor(2, 3, low=0.3), "first": 2.0, "second": draw.number(0.2, 0.9)}, use=comes_and_goes, hint="take returns the part, and its parameters leave the site"),
        Test("a name that hangs already", 1, lambda draw: {"size": draw.integer(2, 6)}, use=same_name_twice, hidden=True, hint="a ValueError, and the first part stays"),
    ),
    wrong=(
        Wrong("the parts lie in a plain dictionary: then their parameters belong to nobody, neither trained nor moved", ("the site owns its parts", "take one, keep the other", "a name that hangs already"), {"nn.ModuleDict()": "{}"}),
        Wrong(
            "every part gets the out of the model, and the last one wins: hand on what the part before gave",
            ("two parts in their order",),
            {"        for part in self.parts.values():\n            out = part(x, out)\n        return out": "        last = out\n        for part in self.parts.values():\n            last = part(x, out)\n        return last"},
        ),
        Wrong("x is handed on as well: every part sees what went into the step of the model", ("two parts in their order",), {"            out = part(x, out)": "            out = x = part(x, out)"}),
        Wrong("x and out are exchanged", ("an empty site and one part", "two parts in their order", "take one, keep the other"), {"part(x, out)": "part(out, x)"}),
        Wrong("the parts run in the order of their names; the order is that in which they were hung", ("two parts in their order",), {"in self.parts.values()": "in (self.parts[name] for name in sorted(self.parts))"}),
        Wrong("the changes of all parts are added up beside each other: hand on what the part before gave", ("two parts in their order",), {"        for part in self.parts.values():\n            out = part(x, out)\n        return out": "        return out + sum(part(x, out) - out for part in self.parts.values())"}),
        Wrong("a second part of the same name silently takes the place of the first", ("a name that hangs already",), {'        if name in self.parts:\n            raise ValueError(f"a part called {name!r} hangs here already; take it off first")\n': ""}),
        Wrong("take looks the part up and leaves it hanging", ("take one, keep the other",), {"self.parts.pop(name)": "self.parts[name]"}),
        Wrong("take gives nothing back: whoever takes a delta off wants to keep it", ("take one, keep the other",), {"return self.parts.pop(name)": "self.parts.pop(name)"}),
    ),
)


# -- 3: add_deltas -------------------------------------------------------------------------------------------


def changes(count: int):
    def inputs(draw: Draw) -> dict:
        base = {"q": draw.tensor(2, 3), "k": draw.tensor(3), "v": draw.tensor(2, 2)}
        deltas = [{"q": draw.tensor(2, 3, low=0.2), "v": draw.tensor(2, 2, low=0.2)}, {"q": draw.tensor(2, 3, low=0.2)}, {"k": draw.tensor(3, low=0.2), "q": draw.tensor(2, 3, low=0.2)}][:count]
        return {"base": base, "deltas": deltas, "weights": [draw.number(1.2, 1.9), draw.number(-0.9, -0.3), draw.number(0.3, 0.8)][:count]}

    return inputs


def unknown_name(add_deltas, base, deltas, weights):
    try:
        add_deltas(base, [*deltas, {"not there": base["q"]}], [*weights, 1.0])
    except KeyError:
        return "KeyError"
    return "no error"


SUMS = ("one change", "several changes", "taken off again")


def forth_and_back(add_deltas, base, deltas, weights):
    there = add_deltas(base, deltas, weights)
    return {"there": there, "back": add_deltas(there, deltas, [-weight for weight in weights])}


ADD = Task(
    "add_deltas",
    tests=(
        Test("one change", 1, changes(1), hint="names without a change stay as they are, and are returned too"),
        Test("several changes", 1, changes(3), hint="each change with its own weight, one after the other"),
        Test("an unknown name", 1, changes(2), use=unknown_name, hint="a delta of another model must not be passed over in silence"),
        Test("taken off again", 1, changes(2), use=forth_and_back, hidden=True),
    ),
    wrong=(
        Wrong("the tensors of base were changed in place: a copy of the dictionary still holds the same tensors", ("one change", "several changes", "an unknown name", "taken off again"), {"adapted[name] = adapted[name] + weight * change": "adapted[name] += weight * change"}),
        Wrong("only what changed comes back: the adapted model needs all names of base", ("one change", "taken off again"), {"    return adapted": "    return {name: value for name, value in adapted.items() if any(name in delta for delta in deltas)}"}),
        Wrong("each change is added to base, so the last one overwrites those before it: add to what you have so far", SUMS[1:], {"adapted[name] + weight": "base[name] + weight"}),
        Wrong("the weights are missing", SUMS, {"weight * change": "change"}),
        Wrong("the weight multiplies the model as well; it belongs to the change", SUMS, {"adapted[name] + weight * change": "weight * (adapted[name] + change)"}),
        Wrong("an unknown name is passed over: then a delta of another model does nothing, and nobody is told", ("an unknown name",), {"            adapted[name] = adapted[name] + weight * change": "            if name in adapted:\n                adapted[name] = adapted[name] + weight * change"}),
        Wrong("the change takes the place of the parameter; Θ' is the sum of both", ("one change", "several changes", "an unknown name", "taken off again"), {"adapted[name] + weight * change": "weight * change"}),
    ),
)


# -- 4: descent_step -----------------------------------------------------------------------------------------


def before_a_step(rule: str, fresh: bool = False):
    def inputs(draw: Draw) -> dict:
        zero = draw.tensor(2, 3) * 0
        state = {"s": zero if fresh else draw.tensor(2, 3, low=0.3, high=1.5)} | ({"u": zero if fresh else draw.tensor(2, 3, low=0.3, high=1.5)} if rule == "adadelta" else {})
        gradient = draw.tensor(2, 3, low=0.3, high=2) * (2 * draw.integers(2, 3, low=0, high=1) - 1)
        return {"rule": rule, "theta": draw.tensor(2, 3), "gradient": gradient, "state": state, "lr": draw.number(0.2, 0.7), "decay": draw.number(0.6, 0.9), "eps": 0.05 if rule == "adagrad" else 0.01}

    return inputs


def as_a_dictionary(descent_step, **inputs):
    theta, state = descent_step(**inputs)
    return {"theta": theta, "state": state}


def three_steps(descent_step, rule, theta, gradient, state, lr, decay, eps):
    for _ in range(3):
        theta, state = descent_step(rule, theta, gradient + theta, state, lr, decay, eps)
    return {"theta": theta, "state": state}


DESCENT = Task(
    "descent_step",
    tests=(
        Test("SGD with momentum", 1, before_a_step("sgd"), use=as_a_dictionary, hint="the velocity first, then the step along it"),
        Test("Adagrad", 1, before_a_step("adagrad"), use=as_a_dictionary, hint="the sum of all squares, the root, ε outside of it"),
        Test("Adadelta, first step", 1, before_a_step("adadelta", True), use=as_a_dictionary, hint="u is still zero, so ε alone sets the size of the step"),
        Test("Adadelta, later", 1, before_a_step("adadelta"), use=as_a_dictionary, hint="the step takes the old u and the new s"),
        Test("three steps of Adagrad", 1, before_a_step("adagrad", True), use=three_steps, hidden=True, hint="the state that you return is the state of the next step"),
        Test("three steps of SGD", 1, before_a_step("sgd", True), use=three_steps, hidden=True, hint="the state that you return is the state of the next step"),
    ),
    wrong=(
        Wrong("the momentum is forgotten: the step goes along the velocity, not along the gradient", ("SGD with momentum", "three steps of SGD"), {"theta - lr * s, ": "theta - lr * gradient, "}),
        Wrong("the gradient is damped by 1 - μ: that is Adam's mean; SGD adds the whole gradient to the velocity", ("SGD with momentum", "three steps of SGD"), {"decay * s + gradient\n": "decay * s + (1 - decay) * gradient\n"}),
        Wrong("Adagrad forgets: it keeps the sum of all squares so far", ("Adagrad", "three steps of Adagrad"), {"s = s + gradient**2": "s = gradient**2"}),
        Wrong("the root is missing in Adagrad: divided by s itself, a large gradient makes a small step", ("Adagrad", "three steps of Adagrad"), {"(s.sqrt() + eps)": "(s + eps)"}),
        Wrong("Adagrad's ε stands outside the root", ("Adagrad", "three steps of Adagrad"), {"(s.sqrt() + eps)": "(s + eps).sqrt()"}),
        Wrong("u of Adadelta collects the squares of the gradient; it is the running mean of the squares of the step", ("Adadelta, first step", "Adadelta, later"), {"(1 - decay) * step**2": "(1 - decay) * gradient**2"}),
        Wrong("the old s is used in Adadelta's step: take the new one, which has seen this gradient", ("Adadelta, first step", "Adadelta, later"), {"(s + eps).sqrt()\n": '(state["s"] + eps).sqrt()\n'}),
        Wrong("ε is missing under the root of u: from a u of zero Adadelta never starts to move", ("Adadelta, first step", "Adadelta, later"), {'(state["u"] + eps).sqrt()': 'state["u"].sqrt()'}),
        Wrong("the rate is missing in Adadelta's step", ("Adadelta, first step", "Adadelta, later"), {"theta - lr * step": "theta - step"}),
        Wrong("u is not in the state that comes back: the next step needs it", ("Adadelta, first step", "Adadelta, later"), {'{"s": s, "u": u}': '{"s": s}'}),
        Wrong("the step goes uphill: the rate times the step is taken off", ("SGD with momentum", "three steps of SGD"), {"theta - lr * s, ": "theta + lr * s, "}),
    ),
)


# -- 5: adam_step --------------------------------------------------------------------------------------------


def adam(decoupled: bool, t: int, decays: bool = True):
    def inputs(draw: Draw) -> dict:
        zero = draw.tensor(2, 3) * 0
        gradient = draw.tensor(2, 3, low=0.3, high=2) * (2 * draw.integers(2, 3, low=0, high=1) - 1)
        state = {"m": draw.tensor(2, 3) if t else zero, "v": draw.tensor(2, 3, low=0.3, high=1.5) if t else zero, "t": t}
        return {"theta": draw.tensor(2, 3, low=0.5, high=2), "gradient": gradient, "state": state, "lr": draw.number(0.1, 0.4), "betas": [draw.number(0.7, 0.9), draw.number(0.91, 0.97)], "eps": 0.02, "weight_decay": draw.number(0.2, 0.5) if decays else 0.0, "decoupled": decoupled}

    return inputs


def step_as_a_dictionary(adam_step, **inputs):
    theta, state = adam_step(**inputs)
    return {"theta": theta, "state": state}


def four_steps(adam_step, theta, gradient, state, **settings):
    for _ in range(4):
        theta, state = adam_step(theta, gradient + theta, state, **settings)
    return {"theta": theta, "state": state}


STEPS = ("the first step", "a later step", "coupled decay", "decoupled decay", "four steps")
ADAM = Task(
    "adam_step",
    tests=(
        Test("the first step", 1, adam(True, 0, False), use=step_as_a_dictionary, hint="with the hats the first step is about the rate long, whatever the gradient"),
        Test("a later step", 1, adam(False, 3, False), use=step_as_a_dictionary, hint="t counts this step too"),
        Test("coupled decay", 1, adam(False, 2), use=step_as_a_dictionary, hint="g + ω θ goes into both moments"),
        Test("decoupled decay", 1, adam(True, 2), use=step_as_a_dictionary, hint="the moments see the gradient of the loss alone"),
        Test("four steps", 2, adam(True, 0), use=four_steps, hidden=True, hint="what you return is the state of the next step"),
    ),
    wrong=(
        Wrong("the bias correction is missing: both means start at zero, and the first steps are far too long or too short", STEPS, {"m / (1 - betas[0] ** t)": "m", "v / (1 - betas[1] ** t)": "v"}),
        Wrong("the decay is always coupled: decoupled decay does not pass through the moments", ("decoupled decay", "four steps"), {"gradient if decoupled else gradient + weight_decay * theta": "gradient + weight_decay * theta", "    if decoupled:\n        moved = moved - lr * weight_decay * theta\n": ""}),
        Wrong("the decay enters twice, through the moments and beside them", ("decoupled decay", "four steps"), {"gradient if decoupled else gradient + weight_decay * theta": "gradient + weight_decay * theta"}),
        Wrong("the decay is always decoupled: as an L2 penalty it is a part of the gradient", ("coupled decay",), {"gradient if decoupled else gradient + weight_decay * theta": "gradient", "    if decoupled:\n        moved": "    if True:\n        moved"}),
        Wrong("t is not counted up before it is used, so that this step is corrected as the one before", STEPS[1:], {"betas[0] ** t)": "betas[0] ** max(t - 1, 1))", "betas[1] ** t)": "betas[1] ** max(t - 1, 1))"}),
        Wrong("the hats are kept in the state: then the next step corrects what was corrected already", STEPS, {'{"m": m, "v": v, "t": t}': '{"m": m_hat, "v": v_hat, "t": t}'}),
        Wrong("v is a mean of g, not of its square: sizes, not signs", STEPS, {"g**2": "g.abs()"}),
        Wrong("the decay of AdamW is not multiplied by the rate: θ loses η ω θ in a step", ("decoupled decay", "four steps"), {"moved - lr * weight_decay": "moved - weight_decay"}),
        Wrong("the step goes along the gradient and not along its mean m̂", STEPS[1:], {"lr * m_hat": "lr * g"}),
        Wrong("ε stands under the root; Adam adds it to the root", STEPS, {"(v_hat.sqrt() + eps)": "(v_hat + eps).sqrt()"}),
    ),
)


# -- 6: MendedShift ------------------------------------------------------------------------------------------


def what_trains(MendedShift, d_model, weight, x):
    backbone = torch.nn.Sequential(torch.nn.Linear(d_model, d_model, bias=False), torch.nn.BatchNorm1d(d_model))  # noqa: F821
    with torch.no_grad():  # noqa: F821
        backbone[0].weight.copy_(weight)
    model = MendedShift(backbone, d_model)
    return {"trains": [name for name, p in model.named_parameters() if p.requires_grad], "at the start": model.eval()(x)}


def running_statistics(MendedShift, d_model, weight, x):
    backbone = torch.nn.Sequential(torch.nn.Linear(d_model, d_model, bias=False), torch.nn.BatchNorm1d(d_model))  # noqa: F821
    with torch.no_grad():  # noqa: F821
        backbone[0].weight.copy_(weight)
    model = MendedShift(backbone, d_model)
    model.train()
    out = model(x)
    return {"out": out, "mean": backbone[1].running_mean, "modes": [model.training, backbone.training], "train returns the model": model.train() is model}


def kept_for_later(MendedShift, d_model, weight, x):
    model = MendedShift(torch.nn.Linear(d_model, d_model), d_model)  # noqa: F821
    best = model.saved()
    with torch.no_grad():  # noqa: F821
        model.b.add_(1.0)
    return {"names": sorted(best), "b as it was": best["b"], "needs a gradient": best["b"].requires_grad}


def down_to_the_input(MendedShift, d_model, weight, x):
    backbone = torch.nn.Linear(d_model, d_model, bias=False)  # noqa: F821
    with torch.no_grad():  # noqa: F821
        backbone.weight.copy_(weight)
    x = x.clone().requires_grad_()
    model = MendedShift(backbone, d_model)
    model(x).square().sum().backward()
    return {"x": x.grad, "b": model.b.grad, "backbone": backbone.weight.grad}


def shifted(draw: Draw) -> dict:
    return {"d_model": 4, "weight": draw.tensor(4, 4), "x": draw.tensor(5, 4, low=0.2, high=2)}


SHIFT = Task(
    "MendedShift",
    tests=(
        Test("b alone trains", 1, shifted, use=what_trains, hint="an attribute of a module says nothing to its parameters"),
        Test("in training the backbone stays as it is", 2, shifted, use=running_statistics, hint="running statistics move without any gradient, by the mode alone"),
        Test("what was saved stays", 1, shifted, use=kept_for_later, hint="a copy, not another name for the same memory"),
        Test("the gradient passes through", 1, shifted, use=down_to_the_input, hidden=True, hint="frozen is not the same as no_grad: what lies below still needs its gradient"),
    ),
    wrong=(
        Wrong("requires_grad is still set on the module: that is an attribute which nobody reads; its parameters train on", ("b alone trains", "the gradient passes through"), {"self.backbone = backbone.requires_grad_(False).eval()": "self.backbone = backbone.eval()\n        self.backbone.requires_grad = False"}),
        Wrong("train() still reaches the backbone: its running statistics move, although no parameter trains", ("in training the backbone stays as it is",), {"        super().train(mode)\n        self.backbone.eval()\n        return self": "        return super().train(mode)"}),
        Wrong("saved() still hands out the memory of b itself: the optimizer writes into it, so that the best is always the last", ("what was saved stays",), {"self.b.detach().clone()": "self.b.detach()"}),
        Wrong("saved() copies the history as well: a stored delta is numbers, so detach it", ("what was saved stays",), {"self.b.detach().clone()": "self.b.clone()"}),
        Wrong("no_grad around the backbone stops the gradient on its way down: a part below it could never learn", ("the gradient passes through",), {"        return self.backbone(x) + self.b": "        with torch.no_grad():\n            h = self.backbone(x)\n        return h + self.b"}),
        Wrong("the module itself never goes into training: a dropout of the delta would never drop", ("in training the backbone stays as it is",), {"super().train(mode)": "super().train(False)"}),
        Wrong("train() returns nothing: `model.train().to(...)` is a habit of everyone", ("b alone trains", "in training the backbone stays as it is"), {"        return self\n": ""}),
        Wrong("b starts at random, so that the first output is not the pre-trained one", ("b alone trains", "in training the backbone stays as it is", "what was saved stays", "the gradient passes through"), {"torch.zeros(d_model)": "0.1 + torch.arange(float(d_model))"}),
    ),
)

TASKS = (FREEZE, SITE, ADD, DESCENT, ADAM, SHIFT)
