"""Tests and wrong answers of the exercises on real backbones, real data and the toolkits."""

import torch

from minidelta.grading.spec import Draw, Task, Test, Wrong

# -- 1: bert_parameters --------------------------------------------------------------------------------------


def configured(draw: Draw) -> dict:
    heads, width = draw.choice((4, 6, 8, 12)), draw.choice((32, 48, 64))
    return {
        "config": {
            "vocab_size": draw.integer(20_000, 40_000), "hidden_size": heads * width, "num_hidden_layers": draw.integer(4, 24), "num_attention_heads": heads,
            "intermediate_size": draw.choice((3, 4, 5)) * heads * width + 64, "max_position_embeddings": draw.choice((256, 512, 1024)), "type_vocab_size": draw.choice((3, 4, 5)),
        }
    }  # fmt: skip


def its_embeddings(bert_parameters, config):
    return bert_parameters(config)["embeddings"]


def its_layer(bert_parameters, config):
    return bert_parameters(config)["layer"]


def its_total(bert_parameters, config):
    return bert_parameters(config)["total"]


BERT = Task(
    "bert_parameters",
    tests=(
        Test("the embeddings", 1, configured, use=its_embeddings, hint="three tables and a LayerNorm"),
        Test("a layer", 1, configured, use=its_layer, hint="six linears with biases and two LayerNorms"),
        Test("the whole model", 1, configured, use=its_total, hint="the embeddings, all layers, and the pooler once"),
        Test("another model", 1, configured, hidden=True),
    ),
    wrong=(
        Wrong("the linears have no biases here: from a to b they are ab + b", ("a layer", "the whole model", "another model"), {"4 * (d * d + d)": "4 * d * d", "(d * f + f) + (f * d + d)": "2 * d * f", "pooler = d * d + d": "pooler = d * d"}),
        Wrong("attention has a fourth matrix: behind query, key and value stands the output projection", ("a layer", "the whole model", "another model"), {"4 * (d * d + d)": "3 * (d * d + d)"}),
        Wrong("every head was given D x D matrices of its own: heads share the columns of one, so their number changes nothing", ("a layer", "the whole model", "another model"), {"4 * (d * d + d)": 'config["num_attention_heads"] * 4 * (d * d + d)'}),
        Wrong("a LayerNorm has a bias as well as a weight: 2 D", ("the embeddings", "a layer", "the whole model", "another model"), {"norm = 2 * d": "norm = d"}),
        Wrong("a layer has two LayerNorms, one behind the attention and one behind the feed-forward", ("a layer", "the whole model", "another model"), {"+ 2 * norm": "+ norm"}),
        Wrong("the LayerNorm behind the embeddings is missing", ("the embeddings", "the whole model", "another model"), {"tables * d + norm": "tables * d"}),
        Wrong("the positions are missing: BERT learns a vector for each", ("the embeddings", "the whole model", "another model"), {' + config["max_position_embeddings"]': ""}),
        Wrong("the token types are missing: a small table, but a table", ("the embeddings", "the whole model", "another model"), {' + config["type_vocab_size"]': ""}),
        Wrong("the pooler is missing: D x D + D, and you are short by just that", ("the whole model", "another model"), {" * layer + pooler": " * layer"}),
        Wrong("there is a pooler in every layer here; the model has one", ("the whole model", "another model"), {'config["num_hidden_layers"] * layer + pooler': 'config["num_hidden_layers"] * (layer + pooler)'}),
        Wrong("the feed-forward has two matrices: up to F, and down again", ("a layer", "the whole model", "another model"), {"(d * f + f) + (f * d + d)": "(d * f + f)"}),
        Wrong("only one layer is in the total", ("the whole model", "another model"), {'config["num_hidden_layers"] * layer': "layer"}),
    ),
)

# -- 2: from_hub_rows ----------------------------------------------------------------------------------------

TEXTS = ("a warm film ", "painfully slow ", "superb acting ", "the plot limps ", "i laughed all evening ", "a lifeless mess ", "it hardly matters ", "see it twice ", "no spark at all ", "a quiet joy ")


def films(*labels: int, blank: tuple[int, ...] = ()):
    """SST-2: texts end with a blank, as they are published."""

    def inputs(draw: Draw) -> dict:
        first, texts = draw.integer(100, 900), draw.sample(TEXTS, len(labels))
        rows = [{"idx": first + place, "sentence": "   " if place in blank else text, "label": label} for place, (text, label) in enumerate(zip(texts, labels))]
        return {"rows": rows, "columns": {"text": "sentence", "label": "label"}, "names": ["negative", "positive"]}

    return inputs


def pairs(*labels: int, blank: tuple[int, ...] = ()):
    """MNLI with columns of other names, and some that are not filled."""

    def inputs(draw: Draw) -> dict:
        texts = draw.sample(TEXTS, len(labels))
        rows = [{"premise": "" if place in blank else text, "hypothesis": f"that is {text}", "genre": draw.choice(("fiction", "travel")), "note": None, "gold": label} for place, (text, label) in enumerate(zip(texts, labels))]
        return {"rows": rows, "columns": {"text": "premise", "text_b": "hypothesis", "label": "gold"}, "names": ["entailment", "neutral", "contradiction"]}

    return inputs


def no_name(from_hub_rows, rows, columns, names):
    found = []
    for number in (len(names), -2):
        try:
            from_hub_rows([row | {columns["label"]: number} for row in rows], columns, names)
            found.append(f"with the label {number} nothing was raised")
        except (ValueError, LookupError, TypeError) as problem:
            found.append(type(problem).__name__)
    return found


EXAMPLES = ("SST-2", "a pair", "hidden labels", "texts of blanks", "all at once")
ROWS = Task(
    "from_hub_rows",
    tests=(
        Test("SST-2", 1, films(1, 0, 0, 1), hint="the label by name, everything as it was published"),
        Test("a pair", 1, pairs(2, 0, 1), hint="the columns have other names, and there are two texts"),
        Test("hidden labels", 1, films(1, -1, 0, -1, -1), hint="-1 is no number of a name"),
        Test("a number without a name", 1, films(1, 0), use=no_name, hint="ValueError"),
        Test("texts of blanks", 1, films(0, 1, 1, 0, blank=(1, 2)), hint="blanks are no text"),
        Test("all at once", 1, pairs(0, -1, 2, 1, -1, 1, 0, blank=(1, 3)), hidden=True),
    ),
    wrong=(
        Wrong("-1 is the last place of a list: every hidden label has become the last name, and the score will mean nothing", ("hidden labels", "all at once"), {"if number == -1:": "if False:", "not 0 <= number < len(names)": "not -1 <= number < len(names)"}),
        Wrong("the label is still a number: the words of a task are its names", EXAMPLES, {'"label": names[number]': '"label": number'}),
        Wrong("the numbers begin with 0, and here they were counted from 1", EXAMPLES, {"names[number], ": "names[number - 1], "}),
        Wrong("every negative number was taken for hidden: that is -1 alone, another one says that the table is not the one you think", ("a number without a name",), {"if number == -1:": "if number < 0:"}),
        Wrong("rows whose number has no name were left out in silence: such a table is another one than you think, so stop", ("a number without a name",), {'raise ValueError(f"the label {number} has no name; expected 0 to {len(names) - 1}, or -1")': "continue"}),
        Wrong("a number beyond the names raises an IndexError of Python's, and -2 none: look at the number before you look up the name", ("a number without a name",), {"if not 0 <= number < len(names):": "if False:"}),
        Wrong("the second text of a pair is lost: without the hypothesis nobody can say what follows", ("a pair", "all at once"), {'row[columns["text_b"]] if "text_b" in columns else None': "None"}),
        Wrong("the two texts of a pair were glued together: the model wants to know where one ends", ("a pair", "all at once"), {'examples.append({"text": text, ': 'examples.append({"text": text if text_b is None else f"{text} {text_b}", '}),
        Wrong("text and label stand in meta once more: it holds what has found no place elsewhere", EXAMPLES, {"key not in columns.values() and value is not None": "value is not None"}),
        Wrong("columns that are None in this row stand in meta", ("a pair", "all at once"), {"key not in columns.values() and value is not None": "key not in columns.values()"}),
        Wrong("the further columns are lost: with the number of a row one finds it again", EXAMPLES, {'"meta": meta': '"meta": {}'}),
        Wrong("a text of blanks is truthy in Python and still no text", ("texts of blanks",), {"if not text.strip():": "if not text:"}),
        Wrong("empty texts have become examples: there is nothing in them to learn from", ("texts of blanks", "all at once"), {"if not text.strip():": "if False:"}),
        Wrong("the text was stripped: it is wanted as it was published, or nobody finds it again", EXAMPLES, {'examples.append({"text": text, ': 'examples.append({"text": text.strip(), '}),
        Wrong("a row that is hidden and empty counts as hidden", ("all at once",), {"if number == -1:": "if number == -1 and text.strip():", "if not 0 <= number": "if number != -1 and not 0 <= number"}),
        Wrong("the rows were changed: pop takes the column out of the caller's own dictionary", EXAMPLES, {'row[columns["label"]], row[columns["text"]]': 'row.pop(columns["label"]), row.pop(columns["text"])'}),
    ),
)

# -- 3: unfused ----------------------------------------------------------------------------------------------


def fused(layout: str, heads: int = 2, width: int = 2):
    def inputs(draw: Draw) -> dict:
        d = heads * width
        return {"weight": draw.tensor(*((d, 3 * d) if layout == "gpt2" else (3 * d, d)), low=0.1, high=2), "bias": draw.tensor(3 * d, low=0.1, high=2), "n_heads": heads, "layout": layout}

    return inputs


def its_weights(unfused, weight, bias, n_heads, layout):
    return {name: part["weight"] for name, part in unfused(weight, bias, n_heads, layout).items()}


def its_biases(unfused, weight, bias, n_heads, layout):
    return {name: part["bias"] for name, part in unfused(weight, bias, n_heads, layout).items()}


def own_memory(unfused, weight, bias, n_heads, layout):
    kept = weight.clone(), bias.clone()
    made = unfused(weight, bias, n_heads, layout)
    other = made["k_proj"]["weight"].clone()
    made["q_proj"]["weight"].add_(1.0)
    made["q_proj"]["bias"].add_(1.0)
    return {"the file's weight is as it was": torch.equal(weight, kept[0]), "its bias": torch.equal(bias, kept[1]), "k": torch.equal(made["k_proj"]["weight"], other)}


BY_HEAD, BIAS_BY_HEAD = "weight.unflatten(0, (n_heads, 3, -1)).unbind(1)", "bias.unflatten(0, (n_heads, 3, -1)).unbind(1)"
FUSED = Task(
    "unfused",
    tests=(
        Test("GPT-2's weights", 1, fused("gpt2"), use=its_weights, hint="a Conv1D lies on its side"),
        Test("GPT-2's biases", 1, fused("gpt2"), use=its_biases, hint="all of q, all of k, all of v"),
        Test("GPT-NeoX, head by head", 1, fused("neox"), hint="K rows of q, K of k, K of v, and then the next head"),
        Test("memory of its own", 1, fused("gpt2"), use=own_memory, hint="a view is a window onto the file's tensor"),
        Test("GPT-NeoX with three heads", 1, fused("neox", heads=3), hidden=True),
    ),
    wrong=(
        Wrong("the Conv1D was cut and not turned: the parts are square, so no shape complains, and x W has become x Wᵀ", ("GPT-2's weights",), {"weight.T.chunk(3)": "weight.chunk(3, dim=1)"}),
        Wrong("GPT-NeoX was cut into thirds, as GPT-2 is: its rows come head by head", ("GPT-NeoX, head by head", "GPT-NeoX with three heads"), {BY_HEAD: "weight.unflatten(0, (3, n_heads, -1)).unbind(0)", BIAS_BY_HEAD: "bias.unflatten(0, (3, n_heads, -1)).unbind(0)"}),
        Wrong("the parts are views of the tensor that was read: what happens to q happens to the file's tensor", ("memory of its own",), {'"weight": w.clone(), "bias": b.clone()': '"weight": w, "bias": b'}),
        Wrong("GPT-2 was cut head by head: there all of q comes first", ("GPT-2's weights", "GPT-2's biases"), {"weight.T.chunk(3), bias.chunk(3)": "[rows.flatten(0, 1) for rows in weight.T.unflatten(0, (n_heads, 3, -1)).unbind(1)], [rows.flatten() for rows in bias.unflatten(0, (n_heads, 3, -1)).unbind(1)]"}),
        Wrong("every third row was taken: q, k and v lie in blocks, not in turns", ("GPT-2's weights", "GPT-2's biases"), {"weight.T.chunk(3), bias.chunk(3)": "weight.T.unflatten(0, (-1, 3)).unbind(1), bias.unflatten(0, (-1, 3)).unbind(1)"}),
        Wrong("[D,3D] was reshaped to [3,D,D]: a reshape counts on in memory, and cuts the inputs and not the outputs", ("GPT-2's weights",), {"weight.T.chunk(3)": "weight.reshape(3, len(weight), -1).mT.unbind(0)"}),
        Wrong("the first part is q, the second k, the third v", ("GPT-2's weights", "GPT-2's biases", "GPT-NeoX, head by head", "GPT-NeoX with three heads"), {'("q_proj", "k_proj", "v_proj")': '("k_proj", "q_proj", "v_proj")'}),
        Wrong("the bias of GPT-NeoX is sorted as its weight is, head by head", ("GPT-NeoX, head by head", "GPT-NeoX with three heads"), {"[rows.flatten() for rows in " + BIAS_BY_HEAD + "]": "bias.chunk(3)"}),
        Wrong("in GPT-NeoX a head has K rows of q, then K of k: they do not alternate row by row", ("GPT-NeoX, head by head", "GPT-NeoX with three heads"), {BY_HEAD: "weight.unflatten(0, (n_heads, -1, 3)).unbind(2)", BIAS_BY_HEAD: "bias.unflatten(0, (n_heads, -1, 3)).unbind(2)"}),
        Wrong("GPT-NeoX was turned as well: it is a linear in the file already", ("GPT-NeoX, head by head", "GPT-NeoX with three heads"), {"[rows.flatten(0, 1) for": "[rows.flatten(0, 1).T for"}),
    ),
)

# -- 4: adapter_updates --------------------------------------------------------------------------------------


def adapter(*ranks: int, usual: int = 2, rslora: bool = False, conv1d: bool = False, dtype: torch.dtype = torch.float32, head: bool = False):
    """LoRAs on query and value of BERT, one rank for each, or on c_attn of GPT-2."""

    def inputs(draw: Draw) -> dict:
        stored = {}
        for place, rank in enumerate(ranks):
            module = f"transformer.h.{place}.attn.c_attn" if conv1d else f"bert.encoder.layer.{place // 2}.attention.self.{('query', 'value')[place % 2]}"
            stored[f"base_model.model.{module}.lora_A.weight"] = draw.tensor(rank, 4, low=0.3, high=1).to(dtype)
            stored[f"base_model.model.{module}.lora_B.weight"] = draw.tensor(6, rank, low=0.3, high=1).to(dtype)
        if head:
            stored["base_model.model.classifier.weight"] = draw.tensor(2, 6)
        return {"about": {"peft_type": "LORA", "r": usual, "lora_alpha": draw.choice((8, 16, 32)), "use_rslora": rslora, "fan_in_fan_out": conv1d}, "stored": stored}

    return inputs


PLAIN = ("one layer", "a rank of its own", "a Conv1D below", "half precision, and a head")
EACH = ("one layer", "a rank of its own", "rank-stabilised", "a Conv1D below", "half precision, and a head")
SCALED = 'about["lora_alpha"] / (math.sqrt(rank) if about["use_rslora"] else rank)'
PREFIX = 'module.removeprefix("base_model.model.") + ".weight"'
UPDATES = Task(
    "adapter_updates",
    tests=(
        Test("one layer", 1, adapter(2, 2), hint="alpha / R times B A, under the backbone's own name"),
        Test("a rank of its own", 1, adapter(2, 4), hint="A has R rows"),
        Test("rank-stabilised", 1, adapter(2, 2, rslora=True), hint="alpha divided by the root of R"),
        Test("a Conv1D below", 1, adapter(2, conv1d=True), hint="the weight is stored as [d_in,d_out]"),
        Test("half precision, and a head", 1, adapter(4, 2, 3, dtype=torch.bfloat16, head=True), hidden=True, hint="compute in float32; a head is no update"),
    ),
    wrong=(
        Wrong("the scaling is forgotten: PEFT trained B A together with alpha / R", EACH, {f"scaling = {SCALED}": "scaling = 1.0"}),
        Wrong("alpha is not divided by R", EACH, {f"scaling = {SCALED}": 'scaling = about["lora_alpha"]'}),
        Wrong("use_rslora was not read: the update is too small by the root of R", ("rank-stabilised",), {SCALED: 'about["lora_alpha"] / rank'}),
        Wrong("every adapter was read as a rank-stabilised one", PLAIN, {SCALED: 'about["lora_alpha"] / math.sqrt(rank)'}),
        Wrong("the root was drawn of alpha / R: it belongs to R alone", ("rank-stabilised",), {SCALED: 'math.sqrt(about["lora_alpha"] / rank) if about["use_rslora"] else about["lora_alpha"] / rank'}),
        Wrong("r of the settings was taken for all layers: one with another rank is scaled by its own, and A says which", ("a rank of its own", "half precision, and a head"), {"rank = len(lora_A)": 'rank = about["r"]'}),
        Wrong("fan_in_fan_out was not read: this weight is stored as [d_in,d_out], and so must be what is added to it", ("a Conv1D below",), {'update.T if about["fan_in_fan_out"] else update': "update"}),
        Wrong("every update was turned: only a Conv1D lies on its side", ("one layer", "a rank of its own", "rank-stabilised", "half precision, and a head"), {'update.T if about["fan_in_fan_out"] else update': "update.T"}),
        Wrong("lstrip takes off letters, not a word: it went on into the b and e of bert", ("one layer", "a rank of its own", "rank-stabilised", "half precision, and a head"), {PREFIX: 'module.lstrip("base_model.model.") + ".weight"'}),
        Wrong("the names still begin with base_model.model.: the backbone does not know PEFT's wrapping", EACH, {PREFIX: 'module + ".weight"'}),
        Wrong("these are the names of the modules; what is added to is their weight, with .weight at the end", EACH, {' + ".weight"] = update.T': "] = update.T"}),
        Wrong("the product was computed in half precision: three digits are left, and merged into a weight they stay", ("half precision, and a head",), {'stored[name].float(), stored[f"{module}.lora_B.weight"].float()': 'stored[name], stored[f"{module}.lora_B.weight"]', "scaling * (lora_B @ lora_A)": "(scaling * (lora_B @ lora_A)).float()"}),
        Wrong("the update is still in half precision: float32 was asked for", ("half precision, and a head",), {'stored[name].float(), stored[f"{module}.lora_B.weight"].float()': 'stored[name], stored[f"{module}.lora_B.weight"]'}),
        Wrong("the head of the task has become an update: it stands whole in the file, and would be added to something", ("half precision, and a head",), {"            continue\n": '            if ".lora_" not in name:\n                updates[name.removeprefix("base_model.model.")] = stored[name]\n            continue\n'}),
    ),
)

# -- 5: what_fits --------------------------------------------------------------------------------------------

GIB = 2**30


def some_model(draw: Draw) -> dict:
    model = {"parameters": draw.integer(100, 3000) * 10**6 + draw.integer(1, 999), "n_layers": draw.integer(12, 48), "d_model": 64 * draw.integer(10, 30), "activations": 2 * draw.integer(10**8, 10**9)}
    return {"model": model, "gib": 80, "batch": 32, "precision": "float32", "rank": draw.choice((4, 8, 16))}


def with_a_rest(draw: Draw) -> dict:
    """About half of the card is taken by full tuning, and a little more than k texts fit beside."""
    drawn, k = some_model(draw), draw.integer(5, 8)
    drawn["gib"] = draw.choice((16, 24, 32))
    drawn["model"]["parameters"] = drawn["gib"] * GIB // 32 + draw.integer(1, 10**6)
    drawn["model"]["activations"] = 2 * int((drawn["gib"] * GIB - 16 * drawn["model"]["parameters"]) / (2 * (k + 0.02)))
    return drawn | {"batch": k * (k + 2) - 1}


def to_the_byte(draw: Draw) -> dict:
    """Full tuning and exactly k texts are as large as the card."""
    drawn, k, m = some_model(draw), draw.integer(5, 7), draw.integer(20, 30) * 10**6
    drawn["model"] |= {"activations": 16 * m, "parameters": 16 * GIB // 16 - k * m}
    return drawn | {"gib": 16, "batch": 2 * k}


def too_large(draw: Draw) -> dict:
    """Full tuning alone is larger than the card; beside LoRA there is room for four and a half texts."""
    drawn = some_model(draw)
    drawn["model"]["parameters"] = draw.integer(2800, 3200) * 10**6
    drawn["model"] |= {"n_layers": 24, "d_model": 1024}
    drawn["model"]["activations"] = 2 * int((24 * GIB - 4 * drawn["model"]["parameters"] - 16 * 24 * 4 * drawn["rank"] * 1024) / 9)
    return drawn | {"gib": 24, "batch": 49}


def in_half(draw: Draw) -> dict:
    """Full tuning leaves room for six tenths of a text, LoRA for a little more than t."""
    drawn, t = some_model(draw), draw.integer(6, 9)
    drawn["model"] |= {"n_layers": 24, "d_model": 1024}
    card, thin = 16 * GIB, 16 * 24 * 4 * drawn["rank"] * 1024
    text = (7 * card / 8 - thin) / ((t + 0.1) / 2 - 0.0375)
    drawn["model"] |= {"activations": 2 * int(text / 2), "parameters": int((card - 0.3 * text) / 16)}
    return drawn | {"gib": 16, "batch": t * (t + 2) - 1, "precision": "mixed"}


def full_held(what_fits, model, gib, batch, precision, rank):
    return {word: what_fits(model, gib, batch, word, rank)["held"]["full"] for word in ("float32", "mixed")}


def lora_held(what_fits, model, gib, batch, precision, rank):
    return {word: what_fits(model, gib, batch, word, rank)["held"]["lora"] for word in ("float32", "mixed")}


def full_passes(what_fits, model, gib, batch, precision, rank):
    return what_fits(model, gib, batch, precision, rank)["passes"]["full"]


def both_passes(what_fits, model, gib, batch, precision, rank):
    return what_fits(model, gib, batch, precision, rank)["passes"]


MIXED_OR_NOT = "2 + 2 + 4 + 8 if mixed else 4 + 4 + 8"
FITS = Task(
    "what_fits",
    tests=(
        Test("what full tuning holds", 1, some_model, use=full_held, hint="add up the columns of the table"),
        Test("what LoRA holds", 1, some_model, use=lora_held, hint="the frozen backbone, and beside it two linears a layer with an A and a B each"),
        Test("how many passes", 1, with_a_rest, use=full_passes, hint="texts down, passes up, and a GiB is 2^30"),
        Test("it fits exactly", 1, to_the_byte, use=full_passes, hint="the last byte may be used"),
        Test("not even one text", 1, too_large, use=both_passes, hint="None, and not a number below one"),
        Test("in mixed precision", 1, in_half, hidden=True, hint="activations take half"),
    ),
    wrong=(
        Wrong("in mixed precision everything was halved: the moments stay float32, and there is a float32 copy of what trains, so full tuning still holds 16 bytes a number", ("what full tuning holds", "in mixed precision"), {MIXED_OR_NOT: "2 + 2 + 4 if mixed else 4 + 4 + 8"}),
        Wrong("the float32 copy of the weights is missing: the optimizer's small steps would vanish in 16 bits", ("what full tuning holds", "in mixed precision"), {MIXED_OR_NOT: "2 + 2 + 8 if mixed else 4 + 4 + 8"}),
        Wrong("AdamW keeps two moments of each number that trains", ("what full tuning holds", "what LoRA holds", "how many passes", "it fits exactly", "in mixed precision"), {MIXED_OR_NOT: "2 + 2 + 4 + 4 if mixed else 4 + 4 + 4", "16 * lora": "12 * lora"}),
        Wrong("the frozen backbone has gradients and moments here: that is what LoRA saves", ("what LoRA holds", "not even one text", "in mixed precision"), {'(2 if mixed else 4) * model["parameters"]': 'training * model["parameters"]'}),
        Wrong("the frozen backbone is missing: it does not train, but it is there", ("what LoRA holds", "not even one text", "in mixed precision"), {'(2 if mixed else 4) * model["parameters"] + ': ""}),
        Wrong("the numbers of the LoRA have gradients and moments as well: 16 bytes each", ("what LoRA holds", "in mixed precision"), {"16 * lora": "4 * lora"}),
        Wrong("the delta was put into 16 bits along with the rest: it stays float32", ("what LoRA holds", "in mixed precision"), {"16 * lora": "(2 + 2 + 8 if mixed else 16) * lora"}),
        Wrong("only two thin matrices of R D numbers were counted in a layer: query and value have an A and a B each, which makes four", ("what LoRA holds", "in mixed precision"), {"* 2 * rank * 2 *": "* 2 * rank *"}),
        Wrong("a GiB is 2^30 bytes, seven per cent more than a GB", ("how many passes", "it fits exactly", "not even one text", "in mixed precision"), {"gib * 2**30": "gib * 10**9"}),
        Wrong("passes were rounded down: the texts that are left over need a pass as well", ("how many passes", "not even one text", "in mixed precision"), {"-(-batch // texts)": "batch // texts"}),
        Wrong("a pass was given a part of a text: round the texts down first, and then divide", ("not even one text", "in mixed precision"), {"(gib * 2**30 - taken) // a_text": "(gib * 2**30 - taken) / a_text", "-(-batch // texts) if texts >= 1": "math.ceil(batch / texts) if texts > 0"}),
        Wrong("texts were rounded up: a part of a text does not fit", ("how many passes", "not even one text", "in mixed precision"), {"(gib * 2**30 - taken) // a_text": "-(-(gib * 2**30 - taken) // a_text)"}),
        Wrong("what is exactly as large as the card was sent away: it fits", ("it fits exactly",), {"(gib * 2**30 - taken) // a_text": "(gib * 2**30 - taken - 1) // a_text"}),
        Wrong("what does not fit has a number of passes below zero: dividing by a negative room says nothing", ("not even one text",), {"if texts >= 1 else": "if texts else"}),
        Wrong("0 passes would mean that it is done already: None says that it cannot be", ("not even one text", "in mixed precision"), {"else None": "else 0"}),
        Wrong("at least one text was assumed to fit: it may not", ("not even one text", "in mixed precision"), {"texts = (gib * 2**30 - taken) // a_text": "texts = max(1, (gib * 2**30 - taken) // a_text)"}),
        Wrong("the activations of mixed precision take half", ("in mixed precision",), {'model["activations"] // 2 if mixed else model["activations"]': 'model["activations"]'}),
    ),
)

# -- 6: mended_conversion ------------------------------------------------------------------------------------


def gpt2_file(*layers: int, d: int = 3, d_ff: int = 5, masks: bool = False, head: bool = False):
    """The tensors of a GPT-2 in the order of the alphabet, in which files keep them; with a head of its own, in the order given."""

    def inputs(draw: Draw) -> dict:
        vectors, found = draw.sample([round(0.01 * number, 2) for number in range(-99, 100)], len(layers)), {}
        for layer, number in zip(layers, vectors):
            for place, sides in {"ln_1": (d,), "attn.c_attn": (d, 3 * d), "attn.c_proj": (d, d), "ln_2": (d,), "mlp.c_fc": (d, d_ff), "mlp.c_proj": (d_ff, d)}.items():
                found[f"h.{layer}.{place}.weight"] = draw.tensor(*sides) if place != "ln_1" else torch.full((d,), number)
                found[f"h.{layer}.{place}.bias"] = draw.tensor(sides[-1])
            if masks:
                found[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 4, 4).tril()
        found |= {"wte.weight": draw.tensor(6, d), "wpe.weight": draw.tensor(4, d), "ln_f.weight": draw.tensor(d), "ln_f.bias": draw.tensor(d)}
        if head:
            return {"stored": found | {"lm_head.weight": draw.tensor(6, d)}}
        return {"stored": dict(sorted(found.items()))}

    return inputs


def first_weights(mended_conversion, stored):
    made = mended_conversion(stored)
    return {name: made[f"layers.0.{name}.weight"] for name in ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.o_proj", "ffn.up_proj", "ffn.down_proj")}


def first_biases(mended_conversion, stored):
    made = mended_conversion(stored)
    return {name: made[f"layers.0.{name}.bias"] for name in ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.o_proj", "ffn.up_proj", "ffn.down_proj")}


def its_layers(mended_conversion, stored):
    made = mended_conversion(stored)
    return [made[f"layers.{layer}.attn_norm.weight"][0].item() for layer in range(12)]


def after_a_step(mended_conversion, stored):
    made = mended_conversion({name: tensor.clone() for name, tensor in stored.items()})
    made["token_embedding.weight"].add_(1.0)
    return [made["token_embedding.weight"], made["lm_head.weight"]]


def gaps_and_a_head(mended_conversion, stored):
    made = mended_conversion(stored)
    layers = {name: tensor for name, tensor in made.items() if name.endswith("attn_norm.weight")}
    return {"names": sorted(made), "layers": layers, "head": made["lm_head.weight"], "positions": made["position_embedding.weight"]}


CONVERSION = Task(
    "mended_conversion",
    tests=(
        Test("the weights of a layer", 1, gpt2_file(0), use=first_weights, hint="every one of them is a Conv1D, the square one too"),
        Test("the biases of a layer", 1, gpt2_file(0, 1, masks=True), use=first_biases, hint="a mask is no bias, and c_attn has one"),
        Test("twelve layers", 1, gpt2_file(*range(12), d=2, d_ff=3), use=its_layers, hint="the third layer is number 2, not number 10"),
        Test("one with the embedding", 1, gpt2_file(0), use=after_a_step, hint="what moves the one must move the other"),
        Test("gaps, and a head of its own", 1, gpt2_file(10, 1, 4, masks=True, head=True), use=gaps_and_a_head, hidden=True),
    ),
    wrong=(
        Wrong("the square weight was not turned: attn.c_proj is [D,D], and its shape does not tell that it lies on its side", ("the weights of a layer",), {"if tensor.dim() == 2:": "if tensor.dim() == 2 and tensor.size(0) != tensor.size(1):"}),
        Wrong("the layers stand in the order of the alphabet, where 10 comes before 2", ("twelve layers", "gaps, and a head of its own"), {'int(name.split(".")[1])': 'name.split(".")[1]', "layers.index(int(number))": "layers.index(number)"}),
        Wrong('the bias of c_attn was thrown away with the masks: its name ends with "attn.bias" too', ("the biases of a layer", "gaps, and a head of its own"), {'endswith(".attn.bias")': 'endswith("attn.bias")'}),
        Wrong("the output layer is a copy of the embedding: equal today, and apart after the first step", ("one with the embedding",), {'setdefault("lm_head.weight", made["token_embedding.weight"])': 'setdefault("lm_head.weight", made["token_embedding.weight"].clone())'}),
        Wrong("the output layer that the file brought was overwritten by the embedding", ("gaps, and a head of its own",), {'made.setdefault("lm_head.weight", made["token_embedding.weight"])': 'made["lm_head.weight"] = made["token_embedding.weight"]'}),
        Wrong("the layers kept their old numbers: after a cut there are gaps, and a model of three layers looks for 0, 1 and 2", ("gaps, and a head of its own",), {"layers.index(int(number))": "int(number)"}),
        Wrong("the layers stand in the order in which the file names them: a file is in no order of layers", ("twelve layers", "gaps, and a head of its own"), {'sorted({int(name.split(".")[1]) for name in stored if name.startswith("h.")})': 'list(dict.fromkeys(int(name.split(".")[1]) for name in stored if name.startswith("h.")))'}),
        Wrong("the causal masks were taken for weights: attn.bias in the layers of old files is none", ("the biases of a layer", "gaps, and a head of its own"), {' if not name.endswith(".attn.bias")}': "}"}),
        Wrong("all biases of the attention were thrown away: the mask is called attn.bias, and c_attn and c_proj have real ones", ("the biases of a layer", "gaps, and a head of its own"), {'if not name.endswith(".attn.bias")': 'if not (".attn." in name and name.endswith(".bias"))'}),
        Wrong("the output layer was tied to the positions; it is one with the word embedding", ("one with the embedding",), {'setdefault("lm_head.weight", made["token_embedding.weight"])': 'setdefault("lm_head.weight", made["position_embedding.weight"])'}),
        Wrong("without a lm_head in the file there is no output layer here: then it is the embedding under a second name", ("one with the embedding",), {'    made.setdefault("lm_head.weight", made["token_embedding.weight"])\n': ""}),
        Wrong("the embeddings were turned too: they are tables, [V,D] here and there", ("one with the embedding", "gaps, and a head of its own"), {'made[f"{TOPS[place]}.{part}"] = tensor': 'made[f"{TOPS[place]}.{part}"] = tensor.T if tensor.dim() == 2 else tensor'}),
        Wrong("no Conv1D was turned: they were cut along their outputs, and still lie on their side", ("the weights of a layer",), {"        if tensor.dim() == 2:\n            tensor = tensor.T\n": "", "tensor.chunk(len(PLACES[place]))": "tensor.chunk(len(PLACES[place]), dim=-1)"}),
    ),
)

TASKS = (BERT, ROWS, FUSED, UPDATES, FITS, CONVERSION)
