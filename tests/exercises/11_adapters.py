"""Tests and wrong answers of the exercises on adapters."""

from minidelta.grading.spec import Draw, Task, Test, Wrong


def weights(draw: Draw, d: int = 4, r: int = 3) -> dict:
    return {"down_weight": draw.tensor(r, d), "down_bias": draw.tensor(r), "up_weight": draw.tensor(d, r), "up_bias": draw.tensor(d)}


# -- 1: bottleneck -------------------------------------------------------------------------------------------


def changes_nothing(bottleneck, h, d_model):
    zero = torch.zeros  # noqa: F821
    return bottleneck(h, torch.ones(2, d_model), torch.ones(2), zero(d_model, 2), zero(d_model))  # noqa: F821


BOTTLENECK = Task(
    "bottleneck",
    tests=(
        Test("one token", 1, lambda draw: {"h": draw.tensor(1, 1, 4)} | weights(draw), hint="down, GELU, up, and the sum with h"),
        Test("a batch of texts", 1, lambda draw: {"h": draw.tensor(2, 3, 5)} | weights(draw, 5, 2)),
        Test("zeros in W_up change nothing", 1, lambda draw: {"h": draw.tensor(2, 2, 4), "d_model": 4}, use=changes_nothing, hint="what is left of the equation when W_up and b_up are zero?"),
        Test("large inputs", 1, lambda draw: {"h": draw.tensor(2, 3, 4, low=-6, high=6)} | weights(draw), hidden=True),
    ),
    wrong=(
        Wrong("the residual is missing: an adapter adds to h, it does not replace it", ("one token", "a batch of texts", "zeros in W_up change nothing", "large inputs"), {"return h + F.linear": "return F.linear"}),
        Wrong("there is no nonlinearity: two linears after each other are one linear", ("one token", "a batch of texts", "large inputs"), {"F.gelu(F.linear(h, down_weight, down_bias))": "F.linear(h, down_weight, down_bias)"}),
        Wrong("this is ReLU; the exercise asks for GELU, which lets a little of the negative through", ("one token", "a batch of texts", "large inputs"), {"F.gelu(": "F.relu("}),
        Wrong("a bias is forgotten: the one of W_down belongs inside the nonlinearity", ("one token", "a batch of texts", "large inputs"), {"F.linear(h, down_weight, down_bias)": "F.linear(h, down_weight)"}),
        Wrong("h was changed in place: whoever called you still needs it (h + ..., not h += ...)", ("one token", "a batch of texts", "large inputs"), {"return h + F.linear(inner, up_weight, up_bias)": "h += F.linear(inner, up_weight, up_bias)\n    return h"}),
    ),
)


# -- 2: adapter_parameters -----------------------------------------------------------------------------------


def sizes(kind: str):
    def inputs(draw: Draw) -> dict:
        return {"d_model": draw.integer(5, 90), "bottleneck_dim": draw.integer(2, 4), "n_layers": draw.integer(2, 12), "kind": kind}

    return inputs


COUNT = Task(
    "adapter_parameters",
    tests=(
        Test("Houlsby", 1, sizes("houlsby"), hint="two matrices and two biases, in two places of each layer"),
        Test("Pfeiffer", 1, sizes("pfeiffer"), hint="the same adapter, in one place of each layer"),
        Test("low rank", 2, sizes("low-rank"), hint="each matrix becomes a column times a row; the biases stay as they are"),
    ),
    wrong=(
        Wrong("the biases are missing: R for W_down and D for W_up", ("Houlsby", "Pfeiffer", "low rank"), {"(2 * matrix + bottleneck_dim + d_model)": "2 * matrix"}),
        Wrong("only one of the two matrices is counted", ("Houlsby", "Pfeiffer", "low rank"), {"2 * matrix +": "matrix +"}),
        Wrong("Houlsby's adapters stand in two places of each layer, after attention and after the feed-forward", ("Houlsby", "low rank"), {'1 if kind == "pfeiffer" else 2': "1"}),
        Wrong("Pfeiffer's adapter stands in one place of each layer", ("Pfeiffer",), {'1 if kind == "pfeiffer" else 2': "2"}),
        Wrong("a matrix of rank 1 is a column and a row: R + D numbers, not R times D", ("low rank",), {'d_model + bottleneck_dim if kind == "low-rank" else d_model * bottleneck_dim': "d_model * bottleneck_dim"}),
        Wrong("this is one layer; there are n_layers of them", ("Houlsby", "Pfeiffer", "low rank"), {"n_layers * places": "places"}),
        Wrong("a number of parameters is an int, not a float: use // or no division at all", ("Houlsby", "Pfeiffer", "low rank"), {"return n_layers": "return 1.0 * n_layers"}),
    ),
)


# -- 3: ScaledParallel ---------------------------------------------------------------------------------------


def forward(ScaledParallel, x, out, scaling, down_weight, down_bias, up_weight, up_bias):
    part = ScaledParallel(down_weight.shape[1], down_weight.shape[0], scaling)
    with torch.no_grad():  # noqa: F821
        part.down_proj.weight.copy_(down_weight)
        part.down_proj.bias.copy_(down_bias)
        part.up_proj.weight.copy_(up_weight)
        part.up_proj.bias.copy_(up_bias)
    return part(x, out)


def at_the_start(ScaledParallel, x, out):
    return ScaledParallel(x.shape[-1], 3)(x, out)


def first_gradients(ScaledParallel, x, out):
    part = ScaledParallel(x.shape[-1], 3)
    with torch.no_grad():  # noqa: F821
        part.down_proj.bias.add_(5.0)  # so that no ReLU is shut
    part(x, out).square().sum().backward()
    return {"up_proj moves": part.up_proj.weight.grad.abs().sum(), "down_proj is random": part.down_proj.weight.detach().abs().sum()}


def both_alive(value, expected, x, out):
    if not isinstance(value, dict) or any(type(item) is not torch.Tensor or item.shape != () for item in value.values()):  # noqa: F821
        return "down_proj and up_proj are not two nn.Linear"
    for name, item in value.items():
        if not item.item() > 0:
            return "both matrices start at zero: then each keeps the other's gradient at zero, and nothing ever learns"
    return None


def shapes(ScaledParallel, d_model, bottleneck_dim):
    return {name: list(item.shape) for name, item in sorted(ScaledParallel(d_model, bottleneck_dim).named_parameters())}


def parallel(draw: Draw, d: int = 4, r: int = 3) -> dict:
    return {"x": draw.tensor(2, 2, d), "out": draw.tensor(2, 2, d)}


PARALLEL = Task(
    "ScaledParallel",
    tests=(
        Test("forward", 2, lambda draw: parallel(draw) | {"scaling": draw.number(2, 5)} | weights(draw), use=forward, hint="down, ReLU, up, times s, plus out"),
        Test("starts as the pre-trained model", 1, parallel, use=at_the_start, hint="W_up and its bias at zero"),
        Test("can learn", 1, parallel, use=first_gradients, judge=both_alive, hint="only one of the two matrices may be zero"),
        Test("parameters", 1, lambda draw: {"d_model": draw.integer(4, 9), "bottleneck_dim": draw.integer(2, 3)}, use=shapes, hint="two linears with biases, and nothing else that trains"),
        Test("another size", 1, lambda draw: {"x": draw.tensor(1, 3, 6), "out": draw.tensor(1, 3, 6), "scaling": 1.0} | weights(draw, 6, 2), use=forward, hidden=True),
    ),
    wrong=(
        Wrong("the adapter reads what came out; beside the sublayer it reads x, what went in", ("forward", "another size"), {"self.down_proj(x)": "self.down_proj(out)"}),
        Wrong("s is forgotten: multiply the change by self.scaling", ("forward",), {"out + self.scaling * self.up_proj(inner)": "out + self.up_proj(inner)"}),
        Wrong("s scales the change, not the sum with out", ("forward", "starts as the pre-trained model"), {"return out + self.scaling * self.up_proj(inner)": "return self.scaling * (out + self.up_proj(inner))"}),
        Wrong("W_up starts at random, so the first outputs are not those of the pre-trained model", ("starts as the pre-trained model",), {"        nn.init.zeros_(self.up_proj.weight)\n": ""}),
        Wrong("both matrices start at zero: then each keeps the other's gradient at zero, and nothing ever learns", ("can learn",), {"        nn.init.zeros_(self.up_proj.bias)\n": "        nn.init.zeros_(self.up_proj.bias)\n        nn.init.zeros_(self.down_proj.weight)\n"}),
        Wrong("s trains: it is a fixed factor, so keep it a plain number, not a parameter", ("parameters",), {"self.scaling = scaling": "self.scaling = nn.Parameter(torch.tensor(scaling))"}),
        Wrong("x is added instead of out: the residual of a parallel adapter is what the sublayer gave", ("forward", "starts as the pre-trained model", "another size"), {"return out +": "return x +"}),
    ),
)


# -- 4: hypercomplex -----------------------------------------------------------------------------------------


HYPERCOMPLEX = Task(
    "hypercomplex",
    tests=(
        Test("one rule is a Kronecker product", 1, lambda draw: {"rules": draw.tensor(1, 1, 1), "blocks": draw.tensor(1, 2, 3)}, hint="with N = 1 the product is a number times B"),
        Test("two rules", 2, lambda draw: {"rules": draw.tensor(2, 2, 2), "blocks": draw.tensor(2, 2, 3)}, hint="which index runs slowly: that of A or that of B?"),
        Test("four rules", 2, lambda draw: {"rules": draw.tensor(4, 4, 4), "blocks": draw.tensor(4, 2, 1)}, hidden=True),
    ),
    wrong=(
        Wrong("this is B ⊗ A: in A ⊗ B each entry of A is replaced by itself times the whole of B", ("two rules", "four rules"), {'"iab,ipq->apbq"': '"iab,ipq->paqb"'}),
        Wrong("the letters are in the wrong order before the reshape: rows are (a, p), columns (b, q), so the result is [N,P,N,Q]", ("two rules", "four rules"), {'"iab,ipq->apbq"': '"iab,ipq->abpq"'}),
        Wrong("A is transposed: row a and column b of W come from A[i,a,b]", ("two rules", "four rules"), {'"iab,ipq->apbq"': '"iba,ipq->apbq"'}),
        Wrong("W is transposed: its rows are the outputs, as nn.Linear keeps them", ("one rule is a Kronecker product", "two rules", "four rules"), {".reshape(n * p, n * q)": ".reshape(n * p, n * q).T"}),
        Wrong("this is the mean of the products; W is their sum", ("two rules", "four rules"), {"rules, blocks)": "rules / n, blocks)"}),
    ),
    forbidden=("torch.kron",),
)


# -- 5: rung -------------------------------------------------------------------------------------------------


def ladder(draw: Draw, d: int = 5, r: int = 3) -> dict:
    return {"state": draw.tensor(2, 2, d), "side": draw.tensor(2, 2, r), "down": draw.tensor(r, d), "gate": draw.tensor(low=-0.1, high=0.1), "w_in": draw.tensor(r, r), "w_out": draw.tensor(r, r)}


def gradients(rung, **inputs):
    leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    rung(**leaves).square().sum().backward()
    return {name: leaf.grad for name, leaf in leaves.items() if name != "state"}


def into_the_backbone(rung, **inputs):
    leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    rung(**leaves).square().sum().backward()
    return leaves["state"].grad


RUNG = Task(
    "rung",
    tests=(
        Test("forward", 2, ladder, hint="mix, then the residual step on the mix"),
        Test("nothing flows into the backbone", 2, ladder, use=into_the_backbone, hint="the backbone's state enters without its history"),
        Test("all else learns", 1, ladder, use=gradients, hint="W_down, the gate and both small matrices get their gradients"),
        Test("an open gate", 1, lambda draw: ladder(draw) | {"gate": draw.tensor(low=0.2, high=0.4)}, hidden=True),
    ),
    wrong=(
        Wrong("the gradient flows into the backbone: detach its state, or the ladder saves nothing", ("nothing flows into the backbone",), {"state.detach()": "state"}),
        Wrong("W_down is cut off as well: detach the state alone, not its product with W_down", ("all else learns",), {"F.linear(state.detach(), down)": "F.linear(state, down).detach()"}),
        Wrong("the side state is cut off: the ladder could not learn what its lower rungs should do", ("all else learns",), {"* side  #": "* side.detach()  #"}),
        Wrong("the temperature is forgotten: μ = sigmoid(gate / 0.1)", ("forward", "all else learns", "an open gate"), {"torch.sigmoid(gate / 0.1)": "torch.sigmoid(gate)"}),
        Wrong("μ and 1 - μ are exchanged: μ belongs to the backbone's state", ("forward", "all else learns", "an open gate"), {"mu * F.linear(state.detach(), down) + (1 - mu) * side": "(1 - mu) * F.linear(state.detach(), down) + mu * side"}),
        Wrong("the residual of the step is missing: side' = m + ...", ("forward", "all else learns", "an open gate"), {"return mixed + F.linear": "return F.linear"}),
        Wrong("the residual adds the old side state; it is the mix that is added to", ("forward", "all else learns", "an open gate"), {"return mixed + F.linear": "return side + F.linear"}),
    ),
)

# -- 6: MendedAdapter ----------------------------------------------------------------------------------------


def in_evaluation(MendedAdapter, out, down, up, p):
    part = MendedAdapter(out.shape[-1], down.shape[0], p).eval()
    with torch.no_grad():  # noqa: F821
        part.down_proj.weight.copy_(down)
        part.down_proj.bias.zero_()
        part.up.copy_(up)
        return part(out)


def in_training(MendedAdapter, out, down, up, p):
    part = MendedAdapter(out.shape[-1], down.shape[0], p)
    with torch.no_grad():  # noqa: F821
        part.down_proj.weight.copy_(down)
        part.down_proj.bias.zero_()
        part.up.copy_(up)
        return part(out + 0)  # a copy, so that this test is about dropout alone


def dropped(value, expected, out, down, up, p):
    if type(value) is not torch.Tensor or value.shape != out.shape:  # noqa: F821
        return "the output is no tensor of the shape of out"
    inner = torch.relu(out @ down.T)  # noqa: F821
    if torch.allclose(value, out + inner @ up.T, atol=1e-4):  # noqa: F821
        return "in training nothing is dropped"
    return None


def what_is_kept(MendedAdapter, d_model, bottleneck_dim):
    part = MendedAdapter(d_model, bottleneck_dim)
    return {"state_dict": sorted(part.state_dict()), "parameters": sorted(name for name, _ in part.named_parameters())}


def twice(MendedAdapter, out, down, up, p):
    part = MendedAdapter(out.shape[-1], down.shape[0], p).eval()
    with torch.no_grad():  # noqa: F821
        part.down_proj.weight.copy_(down)
        part.down_proj.bias.zero_()
        part.up.copy_(up)
        part(out)
    return out


def broken(draw: Draw) -> dict:
    return {"out": draw.tensor(2, 4, 5, low=0.2), "down": draw.tensor(6, 5, low=0.1), "up": draw.tensor(5, 6, low=0.1), "p": 0.5}


MENDED = Task(
    "MendedAdapter",
    tests=(
        Test("nothing is dropped in evaluation", 1, broken, use=in_evaluation, changes=("out",), hint="F.dropout does not know whether the module is in training unless you tell it"),
        Test("something is dropped in training", 1, broken, use=in_training, judge=dropped, hint="without dropout at all the first test passes too, but that is another method"),
        Test("what trains is registered", 1, lambda draw: {"d_model": draw.integer(3, 6), "bottleneck_dim": 2}, use=what_is_kept, hint="a plain tensor on a module is neither trained by model.parameters() nor saved"),
        Test("the caller's tensor is left alone", 1, broken, use=twice, hint="+= on a tensor that came from outside writes into it"),
    ),
    wrong=(
        Wrong("dropout is left on in evaluation: F.dropout drops unless it is told `training=self.training`", ("nothing is dropped in evaluation",), {"self.p, self.training)": "self.p)"}),
        Wrong("dropout is gone altogether: in training it belongs there", ("something is dropped in training",), {"F.dropout(F.relu(self.down_proj(out)), self.p, self.training)": "F.relu(self.down_proj(out))"}),
        Wrong("W_up is a plain tensor: make it an nn.Parameter, or it is neither trained nor saved", ("what trains is registered",), {"nn.Parameter(torch.zeros(d_model, bottleneck_dim))": "torch.zeros(d_model, bottleneck_dim, requires_grad=True)"}),
        Wrong("W_up is a buffer: it is saved now, but still not trained", ("what trains is registered",), {"self.up = nn.Parameter(torch.zeros(d_model, bottleneck_dim))": 'self.register_buffer("up", torch.zeros(d_model, bottleneck_dim))'}),
        Wrong("out is changed in place: the sublayer above still holds that tensor", ("the caller's tensor is left alone",), {"return out + F.linear(inner, self.up)": "out += F.linear(inner, self.up)\n        return out"}),
    ),
)

TASKS = (BOTTLENECK, COUNT, PARALLEL, HYPERCOMPLEX, RUNG, MENDED)
