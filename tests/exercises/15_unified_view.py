"""Tests and wrong answers of the exercises on the unified view."""

import itertools

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: reason_against_design --------------------------------------------------------------------------------

PLACES = ["attn_out", "ffn_out", "q_proj", "v_proj", "up_proj", "heads"]


def points(forms: list[str], insertions: list[str], places: list[str], compositions: list[str]):
    """All combinations of some words, in a new order each time."""

    def inputs(draw: Draw) -> dict:
        space = [list(words) for words in itertools.product(forms, insertions, places, compositions)]
        return {"points": draw.sample(space, len(space))}

    return inputs


def reasons(reason_against_design, points):
    return [reason_against_design(*words) for words in points]


REASON = Task(
    "reason_against_design",
    tests=(
        Test("the softmax", 1, points(["softmax"], ["parallel", "sequential"], ["heads", "ffn_out"], ["gated"]), use=reasons, hint="heads alone, and beside them"),
        Test("the gate", 1, points(["mlp", "linear", "softmax"], ["parallel"], ["attn_out", "heads"], ["add", "gated"]), use=reasons, hint="gate and softmax belong together, in both directions"),
        Test("projections", 1, points(["mlp", "linear"], ["parallel", "sequential"], ["q_proj", "up_proj", "attn_out"], ["add", "scaled"]), use=reasons, hint="only what reads x stands beside a projection"),
        Test("the whole space", 1, points(["mlp", "linear", "softmax"], ["parallel", "sequential"], PLACES, ["add", "scaled", "gated"]), use=reasons, hidden=True),
    ),
    wrong=(
        Wrong("the gate has two directions: a softmax without its gate is no design either", ("the gate", "the whole space"), {'(composition == "gated") != (form == "softmax")': 'composition == "gated" and form != "softmax"'}),
        Wrong("the gate has two directions: where there is no softmax there is nothing to take a share of", ("the gate", "the whole space"), {'(composition == "gated") != (form == "softmax")': 'composition != "gated" and form == "softmax"'}),
        Wrong("other forms are let into the heads: between queries and values stands nothing but the softmax", ("the gate", "the whole space"), {'if form != "softmax" and modifies == "heads":': "if False:"}),
        Wrong("behind a projection only a linear form is refused; an mlp that reads h is refused there too", ("projections", "the whole space"), {'modifies.endswith("_proj") and insertion': 'form == "linear" and modifies.endswith("_proj") and insertion'}),
        Wrong("only the projections of attention are meant here; those of the feed-forward have two widths as well", ("projections", "the whole space"), {'modifies.endswith("_proj")': 'modifies in ("q_proj", "k_proj", "v_proj")'}),
        Wrong("a softmax may stand in a sequence here, and its queries are made from x", ("the softmax", "the whole space"), {'if form == "softmax" and insertion == "sequential":': "if False:"}),
        Wrong("the order of the rules counts: the first that is broken is said, so rule 1 comes before rule 3", ("the softmax", "the whole space"), {'    if form == "softmax" and modifies != "heads":': '    if form == "softmax" and insertion == "sequential":\n        return "parallel by nature"\n    if form == "softmax" and modifies != "heads":'}),
        Wrong("a design that can be has no reason against it: return None, not an empty word", ("the softmax", "the gate", "projections", "the whole space"), {"return None": 'return ""'}),
    ),
)


# -- 2: unified_change ---------------------------------------------------------------------------------------


def point(form: str, insertion: str, composition: str, d_in: int = 4, d_out: int = 4):
    def inputs(draw: Draw) -> dict:
        width = d_in if insertion == "parallel" else d_out
        tensors = {"x": draw.tensor(2, 3, d_in, low=-2, high=2), "h": draw.tensor(2, 3, d_out, low=-2, high=2), "down": draw.tensor(3, width), "up": draw.tensor(d_out, 3)}
        return tensors | {"form": form, "insertion": insertion, "composition": composition, "s": draw.number(2, 4)}

    return inputs


UNIFIED = Task(
    "unified_change",
    tests=(
        Test("LoRA", 1, point("linear", "parallel", "scaled", 4, 5), hint="linear, parallel, scaled"),
        Test("an adapter", 1, point("mlp", "sequential", "add"), hint="mlp, sequential, add"),
        Test("a parallel adapter", 1, point("mlp", "parallel", "add"), hint="mlp, parallel, add"),
        Test("a scaled parallel adapter", 1, point("mlp", "parallel", "scaled"), hint="mlp, parallel, scaled"),
        Test("a point without a name", 1, point("linear", "sequential", "scaled", 3, 5), hidden=True),
    ),
    wrong=(
        Wrong("x is read in any case; a sequential part reads h, what the module has done", ("an adapter", "a point without a name"), {'x if insertion == "parallel" else h': "x"}),
        Wrong("sequential and parallel are exchanged: parallel means beside the module, so it reads x", ("LoRA", "an adapter", "a parallel adapter", "a scaled parallel adapter", "a point without a name"), {'x if insertion == "parallel" else h': 'h if insertion == "parallel" else x'}),
        Wrong("f is applied in the linear form too, which has none", ("LoRA", "a point without a name"), {'if form == "mlp":': "if True:"}),
        Wrong("f is missing: the mlp form has a ReLU between its two matrices", ("an adapter", "a parallel adapter", "a scaled parallel adapter"), {'if form == "mlp":': "if False:"}),
        Wrong("s is forgotten: with the composition scaled it stands before Δh", ("LoRA", "a scaled parallel adapter", "a point without a name"), {'s if composition == "scaled" else 1.0': "1.0"}),
        Wrong("s is used with the composition add, which has none", ("an adapter", "a parallel adapter"), {'s if composition == "scaled" else 1.0': "s"}),
        Wrong("s scales the sum; it belongs to Δh alone", ("LoRA", "a scaled parallel adapter", "a point without a name"), {"h + factor * F.linear(inner, up)": "factor * (h + F.linear(inner, up))"}),
        Wrong("h is missing: a design changes h, it does not replace it", ("LoRA", "an adapter", "a parallel adapter", "a scaled parallel adapter", "a point without a name"), {"return h + factor": "return factor"}),
        Wrong("h was changed in place: whoever called you still needs it (h + ..., not h += ...)", ("LoRA", "an adapter", "a parallel adapter", "a scaled parallel adapter", "a point without a name"), {"return h + factor * F.linear(inner, up)": "h += factor * F.linear(inner, up)\n    return h"}),
    ),
)


# -- 3: prefix_as_adapter ------------------------------------------------------------------------------------


def gated(draw: Draw, length: int = 3, d: int = 6, k: int = 4, tokens: int = 5) -> dict:
    return {"x": draw.tensor(tokens, d, low=-2, high=2), "h": draw.tensor(tokens, k, low=-3, high=0), "own_mass": draw.tensor(tokens, low=0.5, high=2), "w_q": draw.tensor(k, d), "prefix_k": draw.tensor(length, k, low=-2, high=2), "prefix_v": draw.tensor(length, k, low=1, high=3)}


def its_down(prefix_as_adapter, **inputs):
    return prefix_as_adapter(**inputs)["down"]


def its_gate(prefix_as_adapter, **inputs):
    return prefix_as_adapter(**inputs)["gate"]


def its_head(prefix_as_adapter, **inputs):
    return prefix_as_adapter(**inputs)["h"]


def with_a_text(prefix_as_adapter, x, text, w_q, w_k, w_v, prefix_k, prefix_v):
    scores = (x @ w_q.T) @ (text @ w_k.T).T / w_q.shape[0] ** 0.5
    return prefix_as_adapter(x, scores.softmax(-1) @ (text @ w_v.T), scores.logsumexp(-1), w_q, prefix_k, prefix_v)["h"]


def whole_head(draw: Draw) -> dict:
    inputs = gated(draw)
    return {name: inputs[name] for name in ("x", "w_q", "prefix_k", "prefix_v")} | {"text": draw.tensor(4, 6, low=-2, high=2), "w_k": draw.tensor(4, 6), "w_v": draw.tensor(4, 6)}


GATED = Task(
    "prefix_as_adapter",
    tests=(
        Test("the down-projection", 1, gated, use=its_down, hint="one matrix that makes scores of x, with 1/√K in it"),
        Test("the gate", 1, gated, use=its_gate, hint="the share of the prefix in the sum of all exponentials"),
        Test("the head", 2, gated, use=its_head, hint="(1 - λ) of what was there, λ of what the prefix says"),
        Test("an empty word", 1, lambda draw: gated(draw) | {"prefix_v": torch.zeros(3, 4)}, use=its_head, hint="a prefix whose values are zero still takes attention from the text"),
        Test("as one softmax gives it", 1, whole_head, use=with_a_text, hidden=True),
    ),
    wrong=(
        Wrong("the change is added on top of h: what the prefix gets, the text loses, so h has the factor 1 - λ", ("the head", "an empty word", "as one softmax gives it"), {"(1 - share) * h": "h"}),
        Wrong("the root of K is missing: every score is divided by it, those of the prefix as well", ("the down-projection", "the gate", "the head", "an empty word", "as one softmax gives it"), {" * w_q.size(0) ** -0.5": ""}),
        Wrong("this is the root of the width of the model; a head has its own width K", ("the down-projection", "the gate", "the head", "an empty word", "as one softmax gives it"), {"w_q.size(0) ** -0.5": "w_q.size(1) ** -0.5"}),
        Wrong("λ and 1 - λ are exchanged", ("the gate", "the head", "an empty word", "as one softmax gives it"), {"(scores.logsumexp(-1) - own_mass)": "(own_mass - scores.logsumexp(-1))"}),
        Wrong("own_mass is a logarithm already: two logarithms are subtracted, not a logarithm and a number", ("the gate", "the head", "an empty word", "as one softmax gives it"), {"- own_mass).sigmoid()": "- own_mass.exp()).sigmoid()"}),
        Wrong("the softmax is missing: the scores themselves weigh the values, which is the linear form", ("the head", "as one softmax gives it"), {"scores.softmax(-1) @ prefix_v": "scores @ prefix_v"}),
        Wrong("the sum of the scores is compared; the softmax sums their exponentials", ("the gate", "the head", "an empty word", "as one softmax gives it"), {"scores.logsumexp(-1)": "scores.sum(-1)"}),
        Wrong("the gate is missing in the second term: λ is the share with which the prefix speaks", ("the head", "as one softmax gives it"), {"+ share * (scores": "+ (scores"}),
    ),
)


# -- 4: product_gradients ------------------------------------------------------------------------------------


def factors(draw: Draw, batch: int = 1, tokens: int = 4, d_in: int = 5, d_out: int = 6, rank: int = 2) -> dict:
    return {"x": draw.tensor(batch, tokens, d_in), "grad_h": draw.tensor(batch, tokens, d_out), "lora_A": draw.tensor(rank, d_in), "lora_B": draw.tensor(d_out, rank), "scaling": draw.number(2, 4)}


def of_A(product_gradients, **inputs):
    return product_gradients(**inputs)[0]


def of_B(product_gradients, **inputs):
    return product_gradients(**inputs)[1]


def both(product_gradients, **inputs):
    return list(product_gradients(**inputs))


GRADIENTS = Task(
    "product_gradients",
    tests=(
        Test("the gradient of B", 1, factors, use=of_B, hint="s G Aᵀ: the gradient of h, times A x, summed over the tokens"),
        Test("the gradient of A", 1, factors, use=of_A, hint="s Bᵀ G: Bᵀ g, times x, summed over the tokens"),
        Test("at the start", 1, lambda draw: factors(draw) | {"lora_B": torch.zeros(6, 2)}, use=both, hint="B is zero: which of the two moves?"),
        Test("several texts", 1, lambda draw: factors(draw, 3, 2), use=both, hint="all tokens of all texts are summed"),
        Test("one token of a square layer", 1, lambda draw: factors(draw, 1, 1, 4, 4, 3), use=both, hidden=True),
    ),
    wrong=(
        Wrong("s is forgotten: it stands in both gradients", ("the gradient of B", "the gradient of A", "at the start", "several texts", "one token of a square layer"), {"inner_grads = scaling * grads": "inner_grads = grads", "inner = scaling * rows": "inner = rows"}),
        Wrong("s stands in the gradient of B alone; A is behind the same factor", ("the gradient of A", "several texts", "one token of a square layer"), {"inner_grads = scaling * grads": "inner_grads = grads"}),
        Wrong("this is the mean over the tokens; the gradient of a weight is the sum", ("the gradient of B", "the gradient of A", "at the start", "several texts"), {"return inner_grads.T @ rows, grads.T @ inner": "return inner_grads.T @ rows / len(rows), grads.T @ inner / len(rows)"}),
        Wrong("only the first text is summed: texts count like tokens", ("several texts",), {"x.flatten(0, 1)": "x[0]", "grad_h.flatten(0, 1)": "grad_h[0]"}),
        Wrong("the two gradients are in the wrong order: A's comes first", ("the gradient of B", "the gradient of A", "at the start", "several texts", "one token of a square layer"), {"return inner_grads.T @ rows, grads.T @ inner": "return grads.T @ inner, inner_grads.T @ rows"}),
        Wrong("both are transposed: a gradient has the shape of what it belongs to", ("the gradient of B", "the gradient of A", "at the start", "several texts", "one token of a square layer"), {"return inner_grads.T @ rows, grads.T @ inner": "return rows.T @ inner_grads, inner.T @ grads"}),
        Wrong("s stands twice in the gradient of B: once is enough, for h holds it once", ("the gradient of B", "at the start", "several texts", "one token of a square layer"), {"grads.T @ inner\n": "scaling * grads.T @ inner\n"}),
    ),
    forbidden=("torch.autograd.grad", "torch.autograd.backward", "torch.Tensor.backward"),
)


# -- 5: sequential_as_parallel -------------------------------------------------------------------------------


def behind(draw: Draw, d_in: int = 5, d_out: int = 5, rank: int = 2) -> dict:
    return {"weight": draw.tensor(d_out, d_in), "bias": draw.tensor(d_out, low=0.3, high=2), "down": draw.tensor(rank, d_out, low=0.2, high=1), "up": draw.tensor(d_out, rank, low=0.2, high=1), "s": draw.number(2, 4)}


def its_A(sequential_as_parallel, **inputs):
    return sequential_as_parallel(**inputs)[0]


def its_c(sequential_as_parallel, **inputs):
    return sequential_as_parallel(**inputs)[1]


def beside(sequential_as_parallel, x, weight, bias, down, up, s):
    A, c = sequential_as_parallel(weight, bias, down, up, s)
    return x @ weight.T + bias + s * (x @ A.T) @ up.T + c


SEQUENTIAL = Task(
    "sequential_as_parallel",
    tests=(
        Test("the new A", 1, behind, use=its_A, hint="what stands before x, behind U"),
        Test("the change of the bias", 1, behind, use=its_c, hint="the adapter reads the bias as well"),
        Test("the same output", 2, lambda draw: behind(draw) | {"x": draw.tensor(3, 5)}, use=beside, hint="put some numbers in, and compare both ways"),
        Test("a layer that is not square", 1, lambda draw: behind(draw, 3, 6), use=its_A, hidden=True),
    ),
    wrong=(
        Wrong("D is left as it is, but it reads h, and the parallel form reads x: what lies between them is W", ("the new A", "the same output", "a layer that is not square"), {"down @ weight  #": "down.clone()  #"}),
        Wrong("the bias is forgotten: the adapter reads h, and b is in it", ("the change of the bias", "the same output"), {"s * (up @ (down @ bias))": "torch.zeros_like(bias)"}),
        Wrong("s is missing in the change of the bias", ("the change of the bias", "the same output"), {"s * (up @ (down @ bias))": "up @ (down @ bias)"}),
        Wrong("s is in A, and before U once more: then it counts twice", ("the new A", "the same output", "a layer that is not square"), {"down @ weight  #": "s * down @ weight  #"}),
        Wrong("b itself is counted into c: it is there already, only what the adapter adds to it is asked for", ("the change of the bias", "the same output"), {"s * (up @ (down @ bias))": "bias + s * (up @ (down @ bias))"}),
        Wrong("this is the whole change of the weight, U D W; A is its thin half, without U", ("the new A", "the same output", "a layer that is not square"), {"down @ weight  #": "up @ down @ weight  #"}),
    ),
)


# -- 6: MendedMix --------------------------------------------------------------------------------------------


def its_attention(MendedMix, q, k, v, prefix_k, prefix_v):
    part = MendedMix(q.shape[-1], len(prefix_k), 2)
    with torch.no_grad():
        part.prefix_k.copy_(prefix_k)
        part.prefix_v.copy_(prefix_v)
    return part.attention(q, k, v)


def its_feed_forward(MendedMix, x, frozen, down, up, scaling):
    part = MendedMix(x.shape[-1], 2, len(down), scaling)
    with torch.no_grad():
        part.down_proj.weight.copy_(down)
        part.down_proj.bias.fill_(0.1)
        part.up_proj.weight.copy_(up)
        part.up_proj.bias.fill_(0.2)
    return part.feed_forward(x, lambda states: states @ frozen)


def what_trains(MendedMix, d_model, prefix_length, bottleneck_dim):
    part = MendedMix(d_model, prefix_length, bottleneck_dim)
    shapes = {name: list(item.shape) for name, item in sorted(part.named_parameters())}
    return shapes | {"zero at the start": [int(not item.any()) for item in part.up_proj.parameters()], "and not": int(not part.down_proj.weight.any())}


def after_a_step(MendedMix, q, k, v, prefix_k, prefix_v):
    part = MendedMix(q.shape[-1], len(prefix_k), 2)
    found = dict(part.named_parameters())
    with torch.no_grad():
        for name, start in (("prefix_k", prefix_k), ("prefix_v", prefix_v)):
            if name in found:
                found[name].copy_(start)
    part.attention(q, k, v).square().sum().backward()
    return {name: found[name].grad for name in ("prefix_k", "prefix_v") if name in found}


def head(draw: Draw) -> dict:
    return {"q": draw.tensor(2, 3, 4, low=-2, high=2), "k": draw.tensor(2, 3, 4, low=-2, high=2), "v": draw.tensor(2, 3, 4, low=-2, high=2), "prefix_k": draw.tensor(2, 4, low=-2, high=2), "prefix_v": draw.tensor(2, 4, low=-2, high=2)}


def sublayer(draw: Draw) -> dict:
    return {"x": draw.tensor(2, 3, 4, low=0.2, high=2), "frozen": draw.tensor(4, 4, low=0.1, high=1), "down": draw.tensor(3, 4, low=0.1, high=1), "up": draw.tensor(4, 3, low=0.1, high=1), "scaling": draw.number(2, 5)}


MENDED = Task(
    "MendedMix",
    tests=(
        Test("attention", 2, head, use=its_attention, hint="one softmax over learned keys and those of the text"),
        Test("feed-forward", 1, sublayer, use=its_feed_forward, hint="the adapter reads what went in"),
        Test("what trains", 1, lambda draw: {"d_model": draw.integer(4, 7), "prefix_length": draw.integer(2, 3), "bottleneck_dim": 8}, use=what_trains, hint="a module does not look into a plain list"),
        Test("the prefix learns", 1, head, use=after_a_step, hidden=True),
    ),
    wrong=(
        Wrong("the two softmaxes are added: without the gate the prefix takes nothing from the text, and the weights sum to two", ("attention", "the prefix learns"), {"return (q @ keys.transpose(-1, -2) * scale).softmax(-1) @ values": "return (q @ k.transpose(-1, -2) * scale).softmax(-1) @ v + (q @ self.prefix_k.T * scale).softmax(-1) @ self.prefix_v"}),
        Wrong("the gate is a constant, half for the prefix and half for the text: it is the share of the softmax, and differs from query to query", ("attention", "the prefix learns"), {"return (q @ keys.transpose(-1, -2) * scale).softmax(-1) @ values": "return ((q @ k.transpose(-1, -2) * scale).softmax(-1) @ v + (q @ self.prefix_k.T * scale).softmax(-1) @ self.prefix_v) / 2"}),
        Wrong("the adapter reads what the feed-forward gave: that is the sequential one; beside it, it reads x", ("feed-forward",), {"self.down_proj(x)": "self.down_proj(ffn(x))"}),
        Wrong("the prefix is a buffer: it is saved now, but still not trained", ("what trains", "the prefix learns"), {"self.prefix_k = nn.Parameter(torch.randn(prefix_length, d_model))": 'self.register_buffer("prefix_k", torch.randn(prefix_length, d_model))'}),
        Wrong("the prefix stands in a plain list, into which a module does not look: it is neither trained nor saved", ("attention", "what trains", "the prefix learns"), {"self.prefix_k = nn.Parameter(torch.randn(prefix_length, d_model))": "self.prefix = [nn.Parameter(torch.randn(prefix_length, d_model))]", "self.prefix_k.expand": "self.prefix[0].expand"}),
        Wrong("s is forgotten: the parallel adapter of MAM is scaled", ("feed-forward",), {"ffn(x) + self.scaling * self.up_proj(inner)": "ffn(x) + self.up_proj(inner)"}),
        Wrong("both matrices of the adapter start at zero: then each keeps the other's gradient at zero", ("what trains",), {"        nn.init.zeros_(self.up_proj.bias)\n": "        nn.init.zeros_(self.up_proj.bias)\n        nn.init.zeros_(self.down_proj.weight)\n"}),
        Wrong("x is added instead of what the feed-forward gave: the residual of the block is not the business of the adapter", ("feed-forward",), {"return ffn(x) + self": "return x + self"}),
    ),
)

TASKS = (REASON, UNIFIED, GATED, GRADIENTS, SEQUENTIAL, MENDED)
