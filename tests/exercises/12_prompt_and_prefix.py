"""Tests and wrong answers of the exercises on prompts and prefixes."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: trained_and_kept -------------------------------------------------------------------------------------


def sizes(method: str):
    def inputs(draw: Draw) -> dict:
        return {"method": method, "prompt_length": draw.integer(3, 30), "d_model": draw.integer(5, 40), "n_layers": draw.integer(3, 12), "hidden_dim": draw.integer(41, 80)}

    return inputs


COUNT = Task(
    "trained_and_kept",
    tests=(
        Test("a prompt", 1, sizes("prompt"), hint="one vector for each place, at the embeddings alone"),
        Test("a prefix that trains directly", 1, sizes("p-tuning-v2"), hint="a key and a value for each place, in every layer"),
        Test("a prefix that is made", 2, sizes("prefix"), hint="P', two linears with biases; kept is what they give"),
    ),
    wrong=(
        Wrong("a place of a prefix has two vectors, a key and a value", ("a prefix that trains directly", "a prefix that is made"), {"n_layers * 2 * d_model": "n_layers * d_model"}),
        Wrong("a prefix stands in every layer, so each layer has keys and values of its own", ("a prefix that trains directly", "a prefix that is made"), {"n_layers * 2 * d_model": "2 * d_model"}),
        Wrong("the network is scaffolding: after the training only its keys and values are kept, not its weights", ("a prefix that is made",), {"return made_from + (d_model + 1) * hidden_dim + (hidden_dim + 1) * width, kept": "return (made_from + (d_model + 1) * hidden_dim + (hidden_dim + 1) * width,) * 2"}),
        Wrong("the biases of the two linears are missing", ("a prefix that is made",), {"(d_model + 1) * hidden_dim + (hidden_dim + 1) * width": "d_model * hidden_dim + hidden_dim * width"}),
        Wrong("the numbers that the network reads, P', train as well", ("a prefix that is made",), {"return made_from + (d_model": "return (d_model"}),
        Wrong("while the network trains, the keys and values are what it gives and no parameters: they are not counted a second time", ("a prefix that is made",), {"return made_from + (": "return kept + made_from + ("}),
        Wrong("a prompt stands at the embeddings alone, not in every layer", ("a prompt",), {"return prompt_length * d_model, prompt_length * d_model": "return (n_layers * prompt_length * d_model,) * 2"}),
    ),
)


# -- 2: prompted_input ---------------------------------------------------------------------------------------


def padded(draw: Draw, side: str) -> dict:
    """Three texts of lengths 5, 3 and 2."""
    rows = [[1] * length + [0] * (5 - length) for length in (5, 3, 2)]
    mask = torch.tensor([row if side == "right" else row[::-1] for row in rows])
    return {"prompt": draw.tensor(draw.integer(2, 4), 4), "embeddings": draw.tensor(3, 5, 4), "attention_mask": mask}


def its_vectors(prompted_input, **inputs):
    return prompted_input(**inputs)["vectors"]


def its_mask(prompted_input, **inputs):
    return prompted_input(**inputs)["mask"]


def real_positions(prompted_input, prompt, embeddings, attention_mask):
    positions = prompted_input(prompt, embeddings, attention_mask)["positions"]
    real = torch.cat((torch.ones(len(embeddings), len(prompt), dtype=torch.int64), attention_mask), dim=1)
    return positions * real


def gradient_of_the_prompt(prompted_input, prompt, embeddings, attention_mask):
    leaf = prompt.clone().requires_grad_()
    prompted_input(leaf, embeddings, attention_mask)["vectors"].square().sum().backward()
    return leaf.grad


PROMPTED = Task(
    "prompted_input",
    tests=(
        Test("the vectors", 1, lambda draw: padded(draw, "right"), use=its_vectors, hint="the prompt first, once for each text of the batch"),
        Test("the mask", 1, lambda draw: padded(draw, "right"), use=its_mask, hint="P ones, then the mask of the text"),
        Test("positions", 1, lambda draw: padded(draw, "right"), use=real_positions, hint="the text begins at position P"),
        Test("positions with padding on the left", 1, lambda draw: padded(draw, "left"), use=real_positions, hint="padding takes no position: count the real columns only"),
        Test("a gradient reaches the prompt", 1, lambda draw: padded(draw, "left"), use=gradient_of_the_prompt, hidden=True),
    ),
    wrong=(
        Wrong("the mask hides the prompt: with zeros nobody may look at it, and it can learn nothing", ("the mask", "positions", "positions with padding on the left"), {"(len(prompt), 0), value=1)": "(len(prompt), 0))"}),
        Wrong("the columns are counted, with the padding: on the left that leaves a gap between the prompt and the text", ("positions with padding on the left",), {"mask.cumsum(dim=1) - mask": "torch.arange(mask.size(1)).expand_as(mask)"}),
        Wrong("the text begins at position 0 again, where the prompt stands already: it is moved by P", ("positions", "positions with padding on the left"), {"mask.cumsum(dim=1) - mask": "torch.cat((torch.arange(len(prompt)).expand(len(mask), -1), attention_mask.cumsum(dim=1) - attention_mask), dim=1)"}),
        Wrong("positions begin at 0, and a running sum begins at 1", ("positions", "positions with padding on the left"), {"mask.cumsum(dim=1) - mask": "mask.cumsum(dim=1)"}),
        Wrong("the prompt stands behind the text; it comes first, and so does its part of the mask", ("the vectors", "the mask", "positions", "positions with padding on the left"), {"torch.cat((before, embeddings), dim=1)": "torch.cat((embeddings, before), dim=1)", "(len(prompt), 0), value=1)": "(0, len(prompt)), value=1)"}),
        Wrong("the prompt was cut off from its gradient: it enters as it is, without detach or .data", ("a gradient reaches the prompt",), {"prompt.expand(": "prompt.detach().expand("}),
        Wrong("the prompt takes the place of the first words; it is put before them, and the text grows", ("the vectors", "the mask", "positions", "positions with padding on the left"), {"torch.cat((before, embeddings), dim=1)": "torch.cat((before, embeddings[:, len(prompt):]), dim=1)", "F.pad(attention_mask, (len(prompt), 0), value=1)": "F.pad(attention_mask[:, len(prompt):], (len(prompt), 0), value=1)"}),
    ),
)


# -- 3: attention_with_prefix --------------------------------------------------------------------------------


def heads(draw: Draw, heads: int = 2, causal: bool = False, lengths: tuple[int, ...] = (4, 4), high: float = 3.0) -> dict:
    shape = (len(lengths), heads, 4, 3)
    mask = torch.tensor([[1] * length + [0] * (4 - length) for length in lengths])
    length = draw.integer(2, 3)
    text = {name: draw.tensor(*shape, low=-high, high=high) for name in "qkv"}
    return text | {"prefix_k": draw.tensor(length, heads * 3, low=-high, high=high), "prefix_v": draw.tensor(length, heads * 3, low=-high, high=high), "attention_mask": mask, "causal": causal}


ATTENTION = Task(
    "attention_with_prefix",
    tests=(
        Test("one head", 1, lambda draw: heads(draw, heads=1), hint="learned keys and values first, one softmax over all"),
        Test("several heads", 2, heads, hint="the first K numbers of a row of the prefix belong to the first head"),
        Test("padding", 1, lambda draw: heads(draw, heads=1, lengths=(2, 3)), hint="padding is hidden, the prefix never"),
        Test("causal", 1, lambda draw: heads(draw, heads=1, causal=True), hint="each query sees the whole prefix, and the text up to its own place"),
        Test("causal, with padding and several heads", 1, lambda draw: heads(draw, causal=True, lengths=(3, 2)), hidden=True),
    ),
    wrong=(
        Wrong("the prefix is masked like padding: P columns of True belong before the mask of the text", ("one head", "several heads", "padding", "causal", "causal, with padding and several heads"), {"attention_mask.bool(), (length, 0), value=True)": "attention_mask.bool(), (length, 0), value=False)", "F.pad(triangle, (length, 0), value=True)": "F.pad(triangle, (length, 0), value=True) | torch.ones(tokens, length + tokens, dtype=torch.bool).tril(-tokens - length)", ".softmax(-1) @ values": ".softmax(-1).nan_to_num() @ values"}),
        Wrong("the triangle begins at the prefix: it hides the text from queries that may see it, for a prefix of P moves the diagonal by P", ("causal", "causal, with padding and several heads"), {"visible & F.pad(triangle, (length, 0), value=True)": "visible & torch.ones(tokens, length + tokens, dtype=torch.bool).tril()"}),
        Wrong("the heads are split in the wrong order: a row of the prefix holds the heads one after another, so P is the first size of the view", ("several heads", "causal, with padding and several heads"), {"learned.view(length, heads, width).transpose(0, 1)": "learned.view(heads, length, width)"}),
        Wrong("padding gets attention: its scores must be minus infinity", ("padding", "causal, with padding and several heads"), {"F.pad(attention_mask.bool(), (length, 0), value=True)[:, None, None]": "F.pad(torch.ones_like(attention_mask).bool(), (length, 0), value=True)[:, None, None]"}),
        Wrong("the scores are not divided by the root of the width of a head", ("one head", "several heads", "padding", "causal", "causal, with padding and several heads"), {" / width**0.5": ""}),
        Wrong("the scores are divided by the root of the width of all heads together; each head has its own width K", ("several heads", "causal, with padding and several heads"), {" / width**0.5": " / (heads * width) ** 0.5"}),
        Wrong("causal is ignored: queries see what comes after them", ("causal", "causal, with padding and several heads"), {"    if causal:": "    if False:"}),
        Wrong("prefix and text have a softmax each, and the two are added: there is only one softmax, in which they compete", ("one head", "several heads", "padding", "causal", "causal, with padding and several heads"), {"scores.masked_fill(~visible, float(\"-inf\")).softmax(-1) @ values": "scores[..., :length].softmax(-1) @ values[:, :, :length] + scores.masked_fill(~visible, float(\"-inf\"))[..., length:].softmax(-1) @ v"}),
        Wrong("the values of the prefix are its keys: P_k is compared, P_v is what is read", ("one head", "several heads", "padding", "causal", "causal, with padding and several heads"), {"torch.cat((split(prefix_v), v), dim=2)": "torch.cat((split(prefix_k), v), dim=2)"}),
    ),
    forbidden=("torch.nn.functional.scaled_dot_product_attention", "torch.nn.functional.multi_head_attention_forward"),
)


# -- 4: FoldablePrefix ---------------------------------------------------------------------------------------


def made(FoldablePrefix, seed, first, bias, second, n_layers):
    part = FoldablePrefix(seed.shape[0], seed.shape[1], first.shape[0], n_layers)
    with torch.no_grad():
        part.seed.copy_(seed)
        part.first.weight.copy_(first)
        part.first.bias.copy_(bias)
        part.second.weight.copy_(second)
        part.second.bias.zero_()
    return part()


def what_trains(FoldablePrefix, prefix_length, d_model, hidden_dim, n_layers):
    part = FoldablePrefix(prefix_length, d_model, hidden_dim, n_layers)
    return {name: list(item.shape) for name, item in sorted(part.named_parameters())}


def folded(FoldablePrefix, seed, first, bias, second, n_layers):
    part = FoldablePrefix(seed.shape[0], seed.shape[1], first.shape[0], n_layers)
    with torch.no_grad():
        part.seed.copy_(seed)
        part.first.weight.copy_(first)
        part.first.bias.copy_(bias)
        part.second.weight.copy_(second)
        part.second.bias.zero_()
    part.fold()
    return part()


def what_is_kept(FoldablePrefix, prefix_length, d_model, hidden_dim, n_layers):
    part = FoldablePrefix(prefix_length, d_model, hidden_dim, n_layers)
    part.fold()
    shapes = {name: list(item.shape) for name, item in part.state_dict().items()}
    return {"state_dict": shapes, "parameters": sorted(name for name, _ in part.named_parameters())}


def trains_further(FoldablePrefix, prefix_length, d_model, hidden_dim, n_layers):
    part = FoldablePrefix(prefix_length, d_model, hidden_dim, n_layers)
    part.fold()
    before = part().detach().clone()
    part().sum().backward()
    torch.optim.SGD(part.parameters(), lr=0.5).step()
    return part().detach() - before


def network(draw: Draw, length: int, layers: int) -> dict:
    return {"seed": draw.tensor(length, 4, low=-2, high=2), "first": draw.tensor(5, 4), "bias": draw.tensor(5), "second": draw.tensor(layers * 8, 5), "n_layers": layers}


def lengths(draw: Draw) -> dict:
    return {"prefix_length": draw.integer(2, 5), "d_model": draw.integer(4, 7), "hidden_dim": draw.integer(8, 9), "n_layers": draw.integer(2, 3)}


FOLDABLE = Task(
    "FoldablePrefix",
    tests=(
        Test("the prefixes", 2, lambda draw: network(draw, 3, 2), use=made, hint="two linears with a tanh between them, then the order [L,2,P,D]"),
        Test("what trains", 1, lengths, use=what_trains, hint="P', and the two linears with their biases"),
        Test("folding changes nothing", 1, lambda draw: network(draw, 2, 3), use=folded, hint="kept is what the network gave"),
        Test("what is left after folding", 1, lengths, use=what_is_kept, hint="one parameter, and nothing else in state_dict()"),
        Test("it trains further", 1, lengths, use=trains_further, hidden=True),
    ),
    wrong=(
        Wrong("a view straight to [L,2,P,D] mixes the places: the place comes first in what `second` gives, so split first, then permute", ("the prefixes", "folding changes nothing"), {"made.view(self.shape).permute(1, 2, 0, 3)": "made.view(self.shape[1], 2, self.shape[0], self.shape[3])"}),
        Wrong("the tanh is missing: two linears after each other are one linear", ("the prefixes", "folding changes nothing"), {"self.first(self.seed).tanh()": "self.first(self.seed)"}),
        Wrong("the network is still there after folding: it would be saved and trained with the rest", ("what is left after folding",), {"        del self.seed, self.first, self.second\n": ""}),
        Wrong("keys come first for all layers here; the row is ordered by layer, with key and value side by side", ("the prefixes", "folding changes nothing"), {"made.view(self.shape).permute(1, 2, 0, 3)": "made.view(self.shape[0], 2, self.shape[1], self.shape[3]).permute(2, 1, 0, 3)"}),
        Wrong("what is kept is a buffer: it is saved, but it can no longer train", ("what is left after folding", "it trains further"), {"self.kept = nn.Parameter(self().detach().clone())": 'self.register_buffer("kept", self().detach().clone())'}),
        Wrong("P' alone is kept, but without the network nobody can make keys and values of it: keep what the network gave", ("folding changes nothing", "what is left after folding", "it trains further"), {"self.kept = nn.Parameter(self().detach().clone())": "self.kept = nn.Parameter(self.seed.detach().clone())"}),
        Wrong("P' is a buffer: it is random and stays random, where it should train with the network", ("what trains",), {"self.seed = nn.Parameter(torch.randn(prefix_length, d_model))": 'self.register_buffer("seed", torch.randn(prefix_length, d_model))'}),
        Wrong("the nonlinearity stands before the first linear; it belongs between the two", ("the prefixes", "folding changes nothing"), {"self.first(self.seed).tanh()": "self.first(self.seed.tanh())"}),
    ),
)


# -- 5: prefix_share -----------------------------------------------------------------------------------------


def shares(draw: Draw, lengths: tuple[int, ...] = (5, 5), high: float = 2.0) -> dict:
    mask = torch.tensor([[1] * length + [0] * (5 - length) for length in lengths])
    return {"q": draw.tensor(len(lengths), 2, 3, 4, low=-high, high=high), "k": draw.tensor(len(lengths), 2, 5, 4, low=-high, high=high), "prefix_k": draw.tensor(2, draw.integer(2, 3), 4, low=-high, high=high), "attention_mask": mask}


def equal_scores(draw: Draw) -> dict:
    return shares(draw) | {"q": torch.zeros(2, 2, 3, 4)}


def large_scores(draw: Draw) -> dict:
    """Scores of about 400 that differ by little."""
    near = {"k": draw.tensor(2, 2, 5, 4, low=9.9, high=10.1), "prefix_k": draw.tensor(2, 2, 4, low=9.9, high=10.1)}
    return shares(draw) | near | {"q": draw.tensor(2, 2, 3, 4, low=15, high=25)}


def two_softmaxes(prefix_share, q, k, prefix_k, attention_mask, v, prefix_v):
    share = prefix_share(q, k, prefix_k, attention_mask).unsqueeze(-1)
    own = (q @ k.transpose(-1, -2) / 2).masked_fill(attention_mask[:, None, None] == 0, float("-inf")).softmax(-1) @ v
    return (1 - share) * own + share * ((q @ prefix_k.transpose(-1, -2) / 2).softmax(-1) @ prefix_v)


def with_values(draw: Draw) -> dict:
    inputs = shares(draw, (3, 2))
    return inputs | {"v": draw.tensor(2, 2, 5, 4, low=-3, high=0), "prefix_v": draw.tensor(*inputs["prefix_k"].shape, low=1, high=3)}


SHARE = Task(
    "prefix_share",
    tests=(
        Test("all scores equal", 1, equal_scores, hint="P keys among P + S: what is their share?"),
        Test("a share for each query", 1, shares, hint="a sum of exponentials over the sum of all of them"),
        Test("padding", 1, lambda draw: shares(draw, (2, 3)), hint="padding is no competitor of the prefix"),
        Test("large scores", 1, large_scores, hint="do not form exponentials of several hundred", tolerance=1e-3),
        Test("the two parts make the whole", 1, with_values, use=two_softmaxes, hidden=True),
    ),
    wrong=(
        Wrong("the exponentials overflow: work with their logarithms, which logsumexp gives", ("large scores",), {"(learned.logsumexp(-1) - own.logsumexp(-1)).sigmoid()": "learned.exp().sum(-1) / (learned.exp().sum(-1) + own.exp().sum(-1))"}),
        Wrong("this is 1 − λ, the share of the text", ("all scores equal", "a share for each query", "padding", "large scores", "the two parts make the whole"), {"(learned.logsumexp(-1) - own.logsumexp(-1))": "(own.logsumexp(-1) - learned.logsumexp(-1))"}),
        Wrong("the padding competes with the prefix: hide its scores before the sum", ("padding", "the two parts make the whole"), {"own.masked_fill(~attention_mask.bool()[:, None, None], float(\"-inf\"))": "own"}),
        Wrong("the mean of the exponentials is compared, so the lengths P and S do not count: the softmax sums them", ("all scores equal", "a share for each query", "padding", "large scores", "the two parts make the whole"), {"(learned.logsumexp(-1) - own.logsumexp(-1)).sigmoid()": "(learned.logsumexp(-1) - own.logsumexp(-1) - torch.tensor(float(learned.size(-1))).log() + attention_mask.sum(-1)[:, None, None].log()).sigmoid()"}),
        Wrong("this is a / b; the share is a / (a + b), since the prefix itself stands under the line as well", ("all scores equal", "a share for each query", "padding", "large scores", "the two parts make the whole"), {".sigmoid()": ".exp()"}),
        Wrong("the scores are not divided by the root of the width: the gate is that of another softmax", ("a share for each query", "padding", "large scores", "the two parts make the whole"), {"scale = q.size(-1) ** -0.5": "scale = 1.0"}),
        Wrong("only the largest scores are compared, and a softmax sums over all keys", ("all scores equal", "a share for each query", "padding", "large scores", "the two parts make the whole"), {"(learned.logsumexp(-1) - own.logsumexp(-1))": "(learned.amax(-1) - own.amax(-1))"}),
    ),
)


# -- 6: MendedPrompt -----------------------------------------------------------------------------------------


def table_after_a_step(MendedPrompt, table, prompt_length, embeddings, attention_mask):
    part = MendedPrompt(table, prompt_length)
    part(embeddings, attention_mask)[0].square().sum().backward()
    torch.optim.SGD(part.parameters(), lr=0.1).step()
    return table


def prompt_after_a_step(MendedPrompt, table, prompt_length, embeddings, attention_mask):
    part = MendedPrompt(table.clone(), prompt_length)
    part(embeddings, attention_mask)[0].square().sum().backward()
    torch.optim.SGD(part.parameters(), lr=0.1).step()
    return part.prompt


def vectors_and_mask(MendedPrompt, table, prompt_length, embeddings, attention_mask):
    return MendedPrompt(table, prompt_length)(embeddings, attention_mask)[1]


def state_of_cls(MendedPrompt, table, prompt_length, hidden):
    return MendedPrompt(table, prompt_length).cls_state(hidden)


def broken(draw: Draw) -> dict:
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    return {"table": draw.tensor(7, 3, low=0.2, high=2), "prompt_length": draw.integer(2, 4), "embeddings": draw.tensor(2, 4, 3), "attention_mask": mask}


def states(draw: Draw) -> dict:
    length = draw.integer(2, 4)
    return {"table": draw.tensor(7, 3), "prompt_length": length, "hidden": draw.tensor(2, length + 5, 3)}


MENDED = Task(
    "MendedPrompt",
    tests=(
        Test("the table stays", 1, broken, use=table_after_a_step, hint="a slice is a window on the same memory"),
        Test("the prompt can be seen", 1, broken, use=vectors_and_mask, hint="what does the mask say about the P new columns?"),
        Test("the state of [CLS]", 1, states, use=state_of_cls, hint="P columns stand before it"),
        Test("the prompt learns", 1, broken, use=prompt_after_a_step, hidden=True),
    ),
    wrong=(
        Wrong("the prompt shares its memory with the embedding table, so training it changes the words: copy the rows (detach alone cuts off the history, not the memory)", ("the table stays",), {"table[:prompt_length].detach().clone()": "table[:prompt_length]"}),
        Wrong("F.pad writes zeros unless it is told otherwise: the mask hides the prompt from everybody", ("the prompt can be seen",), {"(len(self.prompt), 0), value=1)": "(len(self.prompt), 0))"}),
        Wrong("column 0 is the first vector of the prompt; [CLS] stands behind all of them", ("the state of [CLS]",), {"hidden[:, len(self.prompt)]": "hidden[:, 0]"}),
        Wrong("this is the last vector of the prompt: counted from 0, the text begins in column P", ("the state of [CLS]",), {"hidden[:, len(self.prompt)]": "hidden[:, len(self.prompt) - 1]"}),
        Wrong("the prompt is a buffer: it begins right, and never learns", ("the table stays", "the prompt learns"), {"self.prompt = nn.Parameter(table[:prompt_length].detach().clone())": 'self.register_buffer("prompt", table[:prompt_length].detach().clone())'}),
    ),
)

TASKS = (COUNT, PROMPTED, ATTENTION, FOLDABLE, SHARE, MENDED)
