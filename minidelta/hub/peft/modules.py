"""Where PEFT hangs what: the modules of transformers' BERT, GPT-2 and T5, and our paths for them.

GPT-2 keeps q, k and v in one matrix, c_attn: there a module stands for three paths of ours.  Its linears are "Conv1D", which
some of PEFT's methods do not know.
"""

import re
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from minidelta.errors import CheckpointError
from minidelta.model import TransformerConfig

OUTER = "base_model.model."

# Module of a layer there -> ours.  GPT-2's c_attn holds three.
BERT = {
    "attention.self.query": "attn.q_proj", "attention.self.key": "attn.k_proj", "attention.self.value": "attn.v_proj",
    "attention.output.dense": "attn.o_proj", "attention.output.LayerNorm": "attn_norm",
    "intermediate.dense": "ffn.up_proj", "output.dense": "ffn.down_proj", "output.LayerNorm": "ffn_norm",
}  # fmt: skip
GPT2 = {"ln_1": "attn_norm", "attn.c_attn": "attn.qkv", "attn.c_proj": "attn.o_proj", "ln_2": "ffn_norm", "mlp.c_fc": "ffn.up_proj", "mlp.c_proj": "ffn.down_proj"}
T5_ATTENTION = {f"layer.0.SelfAttention.{part}": f"attn.{part}_proj" for part in "qkvo"} | {"layer.0.layer_norm": "attn_norm"}
T5_FEED_FORWARD = {"DenseReluDense.wi": "ffn.up_proj", "DenseReluDense.wi_0": "ffn.gate_proj", "DenseReluDense.wi_1": "ffn.up_proj", "DenseReluDense.wo": "ffn.down_proj", "layer_norm": "ffn_norm"}
T5_CROSS = {f"layer.1.EncDecAttention.{part}": f"cross.{part}_proj" for part in "qkvo"} | {"layer.1.layer_norm": "cross_norm"}
T5_ENCODER = T5_ATTENTION | {f"layer.1.{theirs}": ours for theirs, ours in T5_FEED_FORWARD.items()}
T5_DECODER = T5_ATTENTION | T5_CROSS | {f"layer.2.{theirs}": ours for theirs, ours in T5_FEED_FORWARD.items()}

# Shape -> the prefix that a model without a task head lacks, the stacks, and what stands around them.
FAMILIES = {
    "encoder": ("bert.", [("encoder.layer", "layers", BERT)], {"embeddings.LayerNorm": "embedding_norm", "embeddings.word_embeddings": "embed_out"}),
    "decoder": ("transformer.", [("h", "layers", GPT2)], {"ln_f": "final_norm", "wte": "embed_out"}),
    "encoder-decoder": (
        "",
        [("encoder.block", "encoder.layers", T5_ENCODER), ("decoder.block", "decoder.layers", T5_DECODER)],
        {"encoder.final_layer_norm": "encoder.final_norm", "decoder.final_layer_norm": "decoder.final_norm"},
    ),
}  # fmt: skip
FUSED = ("q_proj", "k_proj", "v_proj")


def module_of(path: str, config: TransformerConfig) -> str:
    """The name there of what stands at one of our paths; that of the fused matrix for GPT-2's q, k and v.

    Raises: CheckpointError for a path that has no name there.

    >>> from minidelta.model import bert_config, gpt2_config
    >>> sizes = dict(vocab_size=9, d_model=8, n_layers=1, n_heads=2, d_ff=8)
    >>> module_of("layers.3.attn.q_proj", bert_config(**sizes)), module_of("layers.3.attn.q_proj", gpt2_config(**sizes))
    ('bert.encoder.layer.3.attention.self.query', 'transformer.h.3.attn.c_attn')
    """
    prefix, stacks, around = FAMILIES[config.shape]
    prefix = prefix if config.lm_head or config.next_sentence else ""  # a bare BertModel or GPT2Model
    for theirs, ours in around.items():
        if path == ours:
            return prefix + theirs
    for theirs, ours, names in stacks:
        if found := re.fullmatch(rf"{re.escape(ours)}\.(\d+)\.(.+)", path):
            place = "attn.qkv" if names is GPT2 and found[2].removeprefix("attn.") in FUSED else found[2]
            absent = ".wi" if config.gated else ".wi_1"  # up_proj is called by either
            for name, mine in names.items():
                if mine == place and not name.endswith(absent):
                    return f"{prefix}{theirs}.{found[1]}.{name}"
    raise CheckpointError(f"{path} has no name in a PEFT folder; only deltas on BERT, GPT-2 and T5 can be written there.")


def paths_of(module: str) -> list[str]:
    """Our paths for a module there: one, or q, k and v of a fused matrix.

    Raises: CheckpointError for a module that is not in our models.

    >>> paths_of("decoder.block.1.layer.1.EncDecAttention.v"), paths_of("transformer.h.0.attn.c_attn")[0]
    (['decoder.layers.1.cross.v_proj'], 'layers.0.attn.q_proj')
    """
    for prefix, stacks, around in FAMILIES.values():
        bare = module.removeprefix(prefix)
        if bare in around:
            return [around[bare]]
        for theirs, ours, names in stacks:
            found = re.fullmatch(rf"{re.escape(theirs)}\.(\d+)\.(.+)", bare)
            if found and found[2] in names:
                place = names[found[2]]
                return [f"{ours}.{found[1]}.{name}" for name in ([f"attn.{part}" for part in FUSED] if place == "attn.qkv" else [place])]
    raise CheckpointError(f"it adapts {module!r}, where nothing of ours can hang in a BERT, GPT-2 or T5.")


def by_module(parts: dict[str, dict[str, Tensor]], config: TransformerConfig) -> dict[str, dict[str, dict[str, Tensor]]]:
    """Our parts under the module that each belongs to: module -> last name of the path -> its tensors."""
    modules: dict[str, dict[str, dict[str, Tensor]]] = {}
    for path, tensors in parts.items():
        modules.setdefault(module_of(path, config), {})[path.rsplit(".", 1)[1]] = tensors
    return modules


def named(stored: dict[str, Tensor], tensors: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """PEFT's tensors by module: module -> the tensor's last name -> its values.

    Raises: CheckpointError for a tensor that is none of those expected, such as a bias or a head that trained along.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    for name, value in stored.items():
        found = re.fullmatch(rf"{re.escape(OUTER)}(.+?)\.({'|'.join(tensors)})(?:\.weight)?", name)
        if not found:
            raise CheckpointError(f"it holds {name}, which has no place here; expected only {', '.join(tensors)}.")
        modules.setdefault(found[1], {})[found[2]] = value
    return modules


def apart(modules: dict[str, dict[str, Tensor]], names: dict[str, str], by_rows: str) -> dict[str, Tensor]:
    """PEFT's tensors under our names; of a fused matrix each gets its own rows of `by_rows`, and all of the others."""
    values = {}
    for module, tensors in modules.items():
        paths = paths_of(module)
        for theirs, ours in names.items():
            pieces = tensors[theirs].chunk(len(paths)) if theirs == by_rows else [tensors[theirs]] * len(paths)
            values |= {f"{path}.{ours}": piece.clone() for path, piece in zip(paths, pieces)}
    return values


def targets(values: dict[str, Tensor]) -> list[str]:
    """The paths that tensors belong to."""
    return sorted({name.rsplit(".", 1)[0] for name in values})


def about_modules(kind: str, modules: Iterable[str], **settings: Any) -> dict[str, Any]:
    """The configuration of a method that hangs on modules."""
    return {"peft_type": kind, "target_modules": sorted(modules), **settings}


def fan(config: TransformerConfig) -> dict[str, bool]:
    """Whether the linears are stored as [d_in,d_out]: GPT-2's are, and those of PEFT's methods that know it want to be told."""
    return {"fan_in_fan_out": config.shape == "decoder"}


def no_conv1d(kind: str, config: TransformerConfig) -> None:
    """Refuse GPT-2 for the methods of PEFT that do not know its linears."""
    if config.shape == "decoder":
        raise CheckpointError(f"PEFT's {kind} knows no Conv1D, of which GPT-2's linears are made; it cannot be written for a GPT-2.")
