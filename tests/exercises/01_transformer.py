"""Tests and wrong answers of the exercises on the transformer."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: sinusoid_positions -----------------------------------------------------------------------------------


def products(sinusoid_positions, length, d_model):
    table = sinusoid_positions(length, d_model)
    return table @ table.T


def positions(low: int, high: int, widths: tuple[int, ...]):
    def inputs(draw: Draw) -> dict:
        return {"length": draw.integer(low, high), "d_model": draw.choice(widths)}

    return inputs


POSITIONS = Task(
    "sinusoid_positions",
    tests=(
        Test("one hand", 1, positions(3, 6, (2,)), hint="with D = 2 there is one speed, 1: the row of t is (sin t, cos t), and t begins at 0"),
        Test("several hands", 1, positions(4, 7, (6, 8)), hint="each pair of columns has its own speed; sines and cosines alternate"),
        Test("products depend on the distance", 1, positions(5, 8, (6, 8, 10)), use=products, hint="PE[t] · PE[u] = Σ cos((t - u) speed): are the speeds right?"),
        Test("far along", 1, positions(150, 200, (4, 12)), hidden=True, hint="the same equation, for places far from the beginning"),
    ),
    wrong=(
        Wrong("all sines stand first and all cosines behind; here they alternate, column by column", ("several hands", "far along"), {"torch.stack((angle.sin(), angle.cos()), -1).flatten(1)": "torch.cat((angle.sin(), angle.cos()), -1)"}),
        Wrong("the exponent is i/D; it is 2i/D, and i counts pairs of columns", ("several hands", "products depend on the distance", "far along"), {"torch.arange(0, d_model, 2)": "torch.arange(d_model // 2)"}),
        Wrong(
            "each column has a speed of its own; the sine and the cosine of a pair share one, or products would not depend on the distance alone",
            ("one hand", "several hands", "products depend on the distance", "far along"),
            {"torch.arange(0, d_model, 2)": "torch.arange(d_model)", "torch.stack((angle.sin(), angle.cos()), -1).flatten(1)": "torch.stack((angle[:, ::2].sin(), angle[:, 1::2].cos()), -1).flatten(1)"},
        ),
        Wrong("positions are counted from 1; the first one is 0, whose row is 0, 1, 0, 1, ...", ("one hand", "several hands", "far along"), {"torch.arange(length).float()": "torch.arange(1, length + 1).float()"}),
        Wrong("sine and cosine are exchanged: even columns are sines", ("one hand", "several hands", "far along"), {"(angle.sin(), angle.cos())": "(angle.cos(), angle.sin())"}),
        Wrong("the later hands turn faster and faster: divide by 10000^(2i/D), do not multiply", ("several hands", "products depend on the distance", "far along"), {"(-torch.arange": "(torch.arange"}),
        Wrong("the table lies on its side: rows are positions, columns are features", ("one hand", "several hands", "products depend on the distance", "far along"), {"-1).flatten(1)": "-1).flatten(1).T"}),
    ),
)

# -- 2: visible_pairs ----------------------------------------------------------------------------------------


def padded(draw: Draw, k_len: int, left: bool = False) -> torch.Tensor:
    """Three texts of different lengths, each with two tokens or more and shorter than the row."""
    lengths = draw.sample(range(2, k_len), 3)
    rows = [[1] * length + [0] * (k_len - length) for length in lengths]
    return torch.tensor([row[::-1] if left else row for row in rows])


VISIBLE = Task(
    "visible_pairs",
    tests=(
        Test("both directions, padding behind", 1, lambda draw: {"attention_mask": padded(draw, 6), "q_len": 6, "causal": False}, hint="without causal only padding is hidden, the same keys for all queries of a text"),
        Test("causal", 1, lambda draw: {"attention_mask": torch.ones(2, 4, dtype=torch.int64), "q_len": 4, "causal": True}, hint="a staircase: the query itself and everything before it"),
        Test("causal, padding behind", 1, lambda draw: {"attention_mask": padded(draw, 5), "q_len": 5, "causal": True}, hint="both reasons at once: a key must be real *and* not in the future"),
        Test("the last two of a longer text", 1, lambda draw: {"attention_mask": torch.ones(1, draw.integer(5, 8), dtype=torch.int64), "q_len": 2, "causal": True}, hint="the first of two new tokens sees all keys but one"),
        Test("padding in front, and a memory", 1, lambda draw: {"attention_mask": padded(draw, 7, left=True), "q_len": 2, "causal": True}, hidden=True, hint="padding in front hides columns in front, and the staircase stands at the end"),
    ),
    wrong=(
        Wrong("the staircase begins at the left edge; the queries are the last Q of the S tokens, so it begins S - Q further right", ("the last two of a longer text", "padding in front, and a memory"), {"tril(k_len - q_len)": "tril()"}),
        Wrong(
            "True and False are exchanged: here True means that the query may look (some libraries mean the opposite, which is how this happens)",
            ("both directions, padding behind", "causal", "causal, padding behind", "the last two of a longer text", "padding in front, and a memory"),
            {"    return visible\n": "    return ~visible\n"},
        ),
        Wrong("padding is forgotten under the causal mask: a key must be real and not in the future", ("causal, padding behind", "padding in front, and a memory"), {"visible & torch.ones(q_len": "(visible | True) & torch.ones(q_len"}),
        Wrong("padding hides queries (rows); it must hide keys (columns), for nobody may read them", ("both directions, padding behind", "causal, padding behind", "padding in front, and a memory"), {"attention_mask[:, None, None, :].bool()": "attention_mask[:, None, -q_len:, None].bool()"}),
        Wrong("a token does not see itself: the diagonal belongs to the visible part", ("causal", "causal, padding behind", "the last two of a longer text", "padding in front, and a memory"), {"tril(k_len - q_len)": "tril(k_len - q_len - 1)"}),
        Wrong("the future is visible and the past hidden: keep the lower triangle", ("causal", "causal, padding behind", "the last two of a longer text", "padding in front, and a memory"), {"tril(k_len - q_len)": "triu(k_len - q_len)"}),
        Wrong("the future is hidden although causal is False: a BERT looks both ways", ("both directions, padding behind",), {"if causal:": "if True:"}),
        Wrong("the table holds numbers; make it bool, since ~ of a number means something else", ("both directions, padding behind", "causal", "causal, padding behind", "the last two of a longer text", "padding in front, and a memory"), {"    return visible\n": "    return visible.long()\n"}),
    ),
)

# -- 3: masked_attention -------------------------------------------------------------------------------------


def seen(draw: Draw, batch: int, q_len: int, k_len: int) -> torch.Tensor:
    """Two keys or more, but not all, for each query."""
    table = torch.zeros(batch, 1, q_len, k_len, dtype=torch.bool)
    for b in range(batch):
        for q in range(q_len):
            table[b, 0, q, draw.sample(range(k_len), draw.integer(2, k_len - 1))] = True
    return table


def triple(draw: Draw, b: int = 1, h: int = 2, q: int = 3, s: int = 4, k: int = 4) -> dict:
    return {"q": draw.tensor(b, h, q, k, low=-2, high=2), "k": draw.tensor(b, h, s, k, low=-2, high=2), "v": draw.tensor(b, h, s, k, low=-2, high=2)}


def far_below(draw: Draw) -> dict:
    """Scores of about -200, so that a hidden key with -100 would win; the first columns do that, the others tell the keys apart."""
    inputs = triple(draw) | {"visible": seen(draw, 1, 3, 4)}
    inputs["q"][..., 0], inputs["k"][..., 0] = 20.0, -20.0
    return inputs


def with_a_blind_query(draw: Draw) -> dict:
    table = seen(draw, 2, 3, 4)
    table[draw.integer(0, 1), 0, draw.integer(0, 2)] = False
    return triple(draw, b=2) | {"visible": table}


def their_gradients(masked_attention, q, k, v, visible):
    leaves = [leaf.clone().requires_grad_() for leaf in (q, k, v)]
    masked_attention(*leaves, visible).square().sum().backward()
    return [leaf.grad for leaf in leaves]


ATTENTION = Task(
    "masked_attention",
    tests=(
        Test("everything visible", 1, lambda draw: triple(draw) | {"visible": torch.ones(1, 1, 3, 4, dtype=torch.bool)}, hint="softmax(q kᵀ / √K) v, and the softmax runs over the keys"),
        Test("some keys hidden", 1, lambda draw: triple(draw, b=2) | {"visible": seen(draw, 2, 3, 4)}, hint="hidden keys have weight 0, and the visible ones share out 1"),
        Test("scores far below zero", 1, far_below, hint="all visible scores are near -200: what weight has a hidden key then?"),
        Test("a query that sees nothing", 1, with_a_blind_query, hint="its result is zero: no NaN, and no mean of what it must not see"),
        Test("the gradients", 1, with_a_blind_query, use=their_gradients, hint="a NaN on the way forward can come back, even where it was replaced afterwards"),
        Test("another size", 1, lambda draw: triple(draw, 2, 1, 2, 5, 9) | {"visible": seen(draw, 2, 2, 5)}, hidden=True),
    ),
    wrong=(
        Wrong("the scores are not divided by √K: wide heads would look at one key only", ("everything visible", "some keys hidden", "scores far below zero", "a query that sees nothing", "the gradients", "another size"), {" / math.sqrt(q.size(-1))": ""}),
        Wrong("the scores are divided by K and not by its root: a sum of K products spreads like √K", ("everything visible", "some keys hidden", "scores far below zero", "a query that sees nothing", "the gradients", "another size"), {"math.sqrt(q.size(-1))": "q.size(-1)"}),
        Wrong("the softmax runs over the queries: each *query* shares out one among the keys, so it runs over the last dimension", ("everything visible", "some keys hidden", "scores far below zero", "a query that sees nothing", "the gradients", "another size"), {"softmax(-1)": "softmax(-2)"}),
        Wrong(
            "the mask comes after the softmax only: hidden keys have taken their share by then, and the rest does not sum to one",
            ("some keys hidden", "scores far below zero", "a query that sees nothing", "the gradients", "another size"),
            {"    scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)\n": ""},
        ),
        Wrong("the scores of hidden keys are set to 0, which is an ordinary score: exp(0) is 1", ("some keys hidden", "scores far below zero", "a query that sees nothing", "the gradients", "another size"), {"torch.finfo(scores.dtype).min": "0.0", "softmax(-1) * visible": "softmax(-1) * visible.any(-1, keepdim=True)"}),
        Wrong("-100 is not low enough: a model may have scores below it, and then hidden keys win; take the lowest number that the dtype has", ("scores far below zero",), {"torch.finfo(scores.dtype).min": "-100.0"}),
        Wrong("a row of -inf alone becomes NaN in the softmax, for 0/0: think of a query that sees nothing", ("a query that sees nothing", "the gradients"), {"torch.finfo(scores.dtype).min": "-torch.inf"}),
        Wrong(
            "NaN is repaired in the result, but the gradient still passes through it, since -inf was added to the scores: avoid the NaN instead",
            ("the gradients",),
            {"scores.masked_fill(~visible, torch.finfo(scores.dtype).min)": "scores + torch.where(visible, 0.0, -torch.inf)", "softmax(-1) * visible": "softmax(-1).nan_to_num(0.0)"},
        ),
        Wrong("a query that sees nothing collects the plain mean of all values, hidden ones as well", ("a query that sees nothing", "the gradients"), {"softmax(-1) * visible": "softmax(-1)"}),
        Wrong("visible and hidden are exchanged: True means that the query may look", ("everything visible", "some keys hidden", "scores far below zero", "a query that sees nothing", "the gradients", "another size"), {"(~visible,": "(visible,", "* visible": "* ~visible"}),
    ),
    forbidden=("torch.nn.functional.scaled_dot_product_attention",),
)

# -- 4: layer_norm_by_hand -----------------------------------------------------------------------------------


def to_norm(draw: Draw, b: int, t: int, d: int, low: float = -2, high: float = 2, eps: float = 1e-7) -> dict:
    return {"x": draw.tensor(b, t, d, low=low, high=high), "weight": draw.tensor(d, low=0.5, high=2), "bias": draw.tensor(d, low=0.3, high=1), "eps": eps}


NORM = Task(
    "layer_norm_by_hand",
    tests=(
        Test("one token", 1, lambda draw: to_norm(draw, 1, 1, 6), hint="subtract the mean, divide by the root of the variance, then scale and shift"),
        Test("a batch of texts", 1, lambda draw: to_norm(draw, 2, 3, 4), hint="each token has its own mean and variance"),
        Test("very small numbers", 1, lambda draw: to_norm(draw, 2, 3, 4, -0.05, 0.05, 0.001), hint="here ε decides: it stands under the root"),
        Test("numbers far from zero", 1, lambda draw: to_norm(draw, 3, 2, 5, 3, 9), hidden=True, hint="the mean is not zero here"),
    ),
    wrong=(
        Wrong("the variance is divided by D - 1, as torch's var and std do unless told otherwise; the norm divides by D", ("one token", "a batch of texts", "very small numbers", "numbers far from zero"), {"square().mean(-1, keepdim=True)": "square().sum(-1, keepdim=True) / (x.size(-1) - 1)"}),
        Wrong(
            "mean and variance run over batch and tokens: that is batch norm, where one text changes with its neighbours",
            ("one token", "a batch of texts", "very small numbers", "numbers far from zero"),
            {"x.mean(-1, keepdim=True)": "x.mean((0, 1), keepdim=True)", "square().mean(-1, keepdim=True)": "square().mean((0, 1), keepdim=True)"},
        ),
        Wrong(
            "all tokens of a text share a mean and a variance; each token has its own, or a token would hear of its future",
            ("a batch of texts", "very small numbers", "numbers far from zero"),
            {"x.mean(-1, keepdim=True)": "x.mean((1, 2), keepdim=True)", "square().mean(-1, keepdim=True)": "square().mean((1, 2), keepdim=True)"},
        ),
        Wrong("ε stands outside the root: (√variance + ε) and √(variance + ε) differ where the variance is small", ("very small numbers",), {"(variance + eps).sqrt()": "(variance.sqrt() + eps)"}),
        Wrong("ε is missing: a token of equal numbers would be divided by zero", ("very small numbers",), {"(variance + eps)": "variance"}),
        Wrong("the mean is not subtracted: that is the RMS norm of T5, not the layer norm", ("one token", "a batch of texts", "very small numbers", "numbers far from zero"), {"x - x.mean(-1, keepdim=True)": "x"}),
        Wrong("the root is missing: divide by the standard deviation, not by the variance", ("one token", "a batch of texts", "very small numbers", "numbers far from zero"), {"(variance + eps).sqrt()": "(variance + eps)"}),
        Wrong("the bias is shifted before the scale: scale first, then shift", ("one token", "a batch of texts", "very small numbers", "numbers far from zero"), {"return centred / (variance + eps).sqrt() * weight + bias": "return (centred / (variance + eps).sqrt() + bias) * weight"}),
    ),
    forbidden=("torch.nn.functional.layer_norm", "torch.layer_norm", "torch.native_layer_norm"),
)

# -- 5: cached_step ------------------------------------------------------------------------------------------


def step(draw: Draw, count: int, earlier: int = 3, b: int = 2, h: int = 2, k: int = 3) -> dict:
    weights = {f"{role}_weight": draw.tensor(h * k, h * k) for role in "qkvo"}
    return {"new": draw.tensor(b, count, h * k, low=-2, high=2), "keys": draw.tensor(b, h, earlier, k, low=-2, high=2), "values": draw.tensor(b, h, earlier, k, low=-2, high=2)} | weights


def result(cached_step, **inputs):
    return cached_step(**inputs)[0]


def memory(cached_step, **inputs):
    return cached_step(**inputs)[1:]


def one_by_one(cached_step, new, keys, values, **weights):
    keys, values, outs = keys[:, :, :0], values[:, :, :0], []
    for t in range(new.shape[1]):
        out, keys, values = cached_step(new[:, t : t + 1], keys, values, **weights)
        outs.append(out)
    return torch.cat(outs, 1)


CACHE = Task(
    "cached_step",
    tests=(
        Test("one token: the result", 1, lambda draw: step(draw, 1), use=result, hint="its query looks at all keys, its own among them"),
        Test("one token: the memory", 1, lambda draw: step(draw, 1), use=memory, hint="the new key and value stand behind the old ones"),
        Test("three tokens at once", 2, lambda draw: step(draw, 3), use=result, hint="each sees the memory, itself, and the new ones before it"),
        Test("one by one from nothing", 1, lambda draw: step(draw, 4, earlier=1), use=one_by_one, hint="an empty memory, then four steps, each with what the last one gave back"),
        Test("another size", 1, lambda draw: step(draw, 2, earlier=4, b=1, h=3, k=2), hidden=True),
    ),
    wrong=(
        Wrong("the new tokens see each other's future: among several new ones a staircase is needed", ("three tokens at once", "another size"), {".masked_fill(future, -torch.inf)": ""}),
        Wrong("the staircase begins at the left edge, as if there were no memory: new token n may see T + n + 1 keys", ("one token: the result", "three tokens at once", "one by one from nothing", "another size"), {"triu(earlier + 1)": "triu(1)"}),
        Wrong("a token does not see its own key: it belongs to the text as well", ("one token: the result", "three tokens at once", "one by one from nothing", "another size"), {"triu(earlier + 1)": "triu(earlier)"}),
        Wrong("the new tokens look at each other only; what is the memory for?", ("one token: the result", "three tokens at once", "one by one from nothing", "another size"), {"    mixed = (": "    scores[..., :earlier] = -torch.inf\n    mixed = ("}),
        Wrong("the heads are cut out without exchanging dimensions: view to [B,N,H,K] first, then transpose (for one token nobody notices)", ("three tokens at once", "another size"), {"view(batch, count, n_heads, -1).transpose(1, 2)": "reshape(batch, n_heads, count, -1)"}),
        Wrong("the heads are put together without exchanging the dimensions back (for one token nobody notices)", ("three tokens at once", "another size"), {".transpose(1, 2).reshape(batch, count, width)": ".reshape(batch, count, width)"}),
        Wrong("new keys and values stand in front of the old ones: the order of the text is lost", ("one token: the memory", "three tokens at once", "another size"), {"torch.cat((keys, k), 2), torch.cat((values, v), 2)": "torch.cat((k, keys), 2), torch.cat((v, values), 2)"}),
        Wrong("keys and values are handed back in the wrong order", ("one token: the memory", "one by one from nothing", "another size"), {"o_weight), all_keys, all_values": "o_weight), all_values, all_keys"}),
        Wrong("the last matrix is forgotten: it mixes what the heads have found", ("one token: the result", "three tokens at once", "one by one from nothing", "another size"), {"F.linear(mixed, o_weight)": "mixed"}),
        Wrong("the weights are used the wrong way round: nn.Linear stores [out, in] and multiplies by the transpose", ("one token: the result", "one token: the memory", "three tokens at once", "one by one from nothing", "another size"), {"F.linear(new, w)": "(new @ w)"}),
    ),
)

# -- 6: mended_heads -----------------------------------------------------------------------------------------


def projected(draw: Draw, b: int, t: int, d: int) -> dict:
    return {name: draw.tensor(b, t, d, low=-2, high=2) for name in "qkv"}


def real_part(mended_heads, q, k, v, n_heads, attention_mask):
    return mended_heads(q, k, v, n_heads, attention_mask)[:, : int(attention_mask[0].sum())]


MENDED = Task(
    "mended_heads",
    tests=(
        Test("one head", 1, lambda draw: projected(draw, 1, 3, 4) | {"n_heads": 1, "attention_mask": torch.ones(1, 3, dtype=torch.int64)}, hint="with one head nothing is cut: look at the softmax"),
        Test("two heads", 1, lambda draw: projected(draw, 2, 3, 4) | {"n_heads": 2, "attention_mask": torch.ones(2, 3, dtype=torch.int64)}, hint="head 1 works on the first half of the columns of all tokens, and its result stands there again"),
        Test("one head and padding", 1, lambda draw: projected(draw, 1, 5, 4) | {"n_heads": 1, "attention_mask": torch.tensor([[1, 1, 1, 0, 0]])}, use=real_part, hint="the weights of the real keys sum to one, as if there were no padding"),
        Test("short and long texts together", 2, lambda draw: projected(draw, 3, 6, 6) | {"n_heads": 3, "attention_mask": padded(draw, 6)}, hidden=True, hint="several heads and padding at once"),
    ),
    wrong=(
        Wrong(
            "the heads are still cut out of whole tokens: [B,T,D] viewed as [B,H,T,K] mixes tokens with heads; view as [B,T,H,K], then exchange two dimensions, and exchange them back at the end",
            ("two heads", "short and long texts together"),
            {"x.view(batch, length, n_heads, width // n_heads).transpose(1, 2)": "x.view(batch, n_heads, length, width // n_heads)", "(weights @ v).transpose(1, 2).reshape": "(weights @ v).reshape"},
        ),
        Wrong("on the way in the dimensions are exchanged, on the way out they are not: head and token have changed places in the result", ("two heads", "short and long texts together"), {"(weights @ v).transpose(1, 2).reshape": "(weights @ v).reshape"}),
        Wrong("on the way out the dimensions are exchanged, on the way in they are not", ("two heads", "short and long texts together"), {"x.view(batch, length, n_heads, width // n_heads).transpose(1, 2)": "x.view(batch, n_heads, length, width // n_heads)"}),
        Wrong("the softmax still runs over the heads (dimension 1): each query shares out one among the keys, the last dimension", ("one head", "two heads", "one head and padding", "short and long texts together"), {"dim=-1": "dim=1"}),
        Wrong("the softmax runs over the queries: the last dimension holds the keys", ("one head", "two heads", "one head and padding", "short and long texts together"), {"dim=-1": "dim=-2"}),
        Wrong(
            "the mask still comes after the softmax: the padding has taken its share by then; hide its scores before",
            ("one head and padding", "short and long texts together"),
            {"    scores = scores.masked_fill(attention_mask[:, None, None, :] == 0, -torch.inf)\n": "", "F.softmax(scores, dim=-1)": "F.softmax(scores, dim=-1) * attention_mask[:, None, None, :]"},
        ),
        Wrong("the mask is gone altogether: real tokens read the padding", ("one head and padding", "short and long texts together"), {"    scores = scores.masked_fill(attention_mask[:, None, None, :] == 0, -torch.inf)\n": ""}),
        Wrong("a new mistake: the scores are divided by √D; each head has the width K = D/H, and that part was right", ("two heads", "short and long texts together"), {"math.sqrt(width // n_heads)": "math.sqrt(width)"}),
    ),
)

TASKS = (POSITIONS, VISIBLE, ATTENTION, NORM, CACHE, MENDED)
