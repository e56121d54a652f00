"""PEFT's names: how a LoRA of ours is called in an adapter folder of the `peft` library, and the other way round.

    adapter_config.json          peft_type, r, lora_alpha, target_modules, ...
    adapter_model.safetensors    base_model.model.<module>.lora_A.weight [R,d_in], .lora_B.weight [d_out,R]

GPT-2 keeps q, k and v in one matrix, c_attn, and so does its LoRA: A of the three below each other, B block by block.  Read
back, each of the three gets the whole A and its own rows of B, which does the same.
Any tensor comes and goes under its path here, `layers.0.attn.q_proj.lora_A`; this file knows names and shapes, not deltas.
"""

import json
import re
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from minidelta.errors import CheckpointError
from minidelta.model import TransformerConfig

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
OUTER = "base_model.model."

# Module of a layer there -> ours.  GPT-2's c_attn holds three.
BERT = {
    "attention.self.query": "attn.q_proj", "attention.self.key": "attn.k_proj", "attention.self.value": "attn.v_proj",
    "attention.output.dense": "attn.o_proj", "intermediate.dense": "ffn.up_proj", "output.dense": "ffn.down_proj",
}  # fmt: skip
GPT2 = {"attn.c_attn": "attn.qkv", "attn.c_proj": "attn.o_proj", "mlp.c_fc": "ffn.up_proj", "mlp.c_proj": "ffn.down_proj"}
T5_ATTENTION = {f"layer.0.SelfAttention.{part}": f"attn.{part}_proj" for part in "qkvo"}
T5_FEED_FORWARD = {"wi": "up_proj", "wi_0": "gate_proj", "wi_1": "up_proj", "wo": "down_proj"}
T5_ENCODER = T5_ATTENTION | {f"layer.1.DenseReluDense.{theirs}": f"ffn.{ours}" for theirs, ours in T5_FEED_FORWARD.items()}
T5_DECODER = (
    T5_ATTENTION
    | {f"layer.1.EncDecAttention.{part}": f"cross.{part}_proj" for part in "qkvo"}
    | {f"layer.2.DenseReluDense.{theirs}": f"ffn.{ours}" for theirs, ours in T5_FEED_FORWARD.items()}
)
STACKS = [("bert.encoder.layer", "layers", BERT), ("transformer.h", "layers", GPT2), ("encoder.block", "encoder.layers", T5_ENCODER), ("decoder.block", "decoder.layers", T5_DECODER)]
FUSED = ("q_proj", "k_proj", "v_proj")


def module_of(path: str, config: TransformerConfig) -> str:
    """The name there of the linear at one of our paths; that of the fused matrix for GPT-2's q, k and v.

    Raises: CheckpointError for a path that has no name there.

    >>> from minidelta.model import bert_config, gpt2_config
    >>> sizes = dict(vocab_size=9, d_model=8, n_layers=1, n_heads=2, d_ff=8)
    >>> module_of("layers.3.attn.q_proj", bert_config(**sizes)), module_of("layers.3.attn.q_proj", gpt2_config(**sizes))
    ('bert.encoder.layer.3.attention.self.query', 'transformer.h.3.attn.c_attn')
    """
    root = {"encoder": STACKS[:1], "decoder": STACKS[1:2], "encoder-decoder": STACKS[2:]}[config.shape]
    for theirs, ours, names in root:
        if found := re.fullmatch(rf"{re.escape(ours)}\.(\d+)\.(.+)", path):
            place = "attn.qkv" if names is GPT2 and found[2].removeprefix("attn.") in FUSED else found[2]
            wanted = "wi_1" if config.gated else "wi"  # up_proj is called by either
            candidates = [name for name, mine in names.items() if mine == place and not (place == "ffn.up_proj" and "Dense" in name and not name.endswith("." + wanted))]
            if candidates:
                return f"{theirs}.{found[1]}.{candidates[0]}"
    raise CheckpointError(f"{path} has no name in a PEFT folder; only deltas on the linear layers of BERT, GPT-2 and T5 can be written there.")


def path_of(module: str) -> list[str]:
    """Our paths for a module there: one, or q, k and v of a fused matrix.

    Raises: CheckpointError for a module that is not in our models.

    >>> path_of("decoder.block.1.layer.1.EncDecAttention.v"), path_of("transformer.h.0.attn.c_attn")[0]
    (['decoder.layers.1.cross.v_proj'], 'layers.0.attn.q_proj')
    """
    for theirs, ours, names in STACKS:
        found = re.fullmatch(rf"{re.escape(theirs)}\.(\d+)\.(.+)", module)
        if found and found[2] in names:
            place = names[found[2]]
            return [f"{ours}.{found[1]}.{name}" for name in ([f"attn.{part}" for part in FUSED] if place == "attn.qkv" else [place])]
    raise CheckpointError(f"the PEFT folder adapts {module!r}, which is no linear layer of a BERT, GPT-2 or T5 here; only those can be read.")


def write_lora(folder: Path, parts: dict[str, dict[str, Tensor]], scaling: float, config: TransformerConfig, *, dora: bool = False) -> None:
    """Write LoRA or DoRA as a PEFT folder.

    Args:
        folder: there already.
        parts: path -> {"lora_A": [R,d_in], "lora_B": [d_out,R]}, for DoRA also "magnitude" [d_out].
        scaling: alpha / R of ours, whatever the method calls it.
        config: of the backbone.
        dora: say so in the configuration.
    Raises: CheckpointError for a path that has no name there, or a DoRA on GPT-2's q, k or v.
    """
    modules: dict[str, dict[str, dict[str, Tensor]]] = {}
    for path, tensors in parts.items():
        modules.setdefault(module_of(path, config), {})[path.rsplit(".", 1)[1]] = tensors
    stored, pairs = {}, {}
    for module, own in modules.items():
        if module.endswith("c_attn"):
            if dora:
                raise CheckpointError("PEFT normalises the rows of GPT-2's fused q, k and v together with their one A; a DoRA on them cannot be written. Write LoRA, or target o_proj and the feed-forward.")
            a, b = _fuse(own)
        else:
            (only,) = own.values()
            a, b = only["lora_A"], only["lora_B"]
            if dora:
                stored[f"{OUTER}{module}.lora_magnitude_vector"] = only["magnitude"]
        pairs[module] = a, b
    rank = max(len(a) for a, _ in pairs.values())
    for module, (a, b) in pairs.items():  # beside a fused matrix the others are filled up with zeros to its rank
        stored[f"{OUTER}{module}.lora_A.weight"] = F.pad(a, (0, 0, 0, rank - len(a)))
        stored[f"{OUTER}{module}.lora_B.weight"] = F.pad(b, (0, rank - len(a)))
    about: dict[str, Any] = {
        "peft_type": "LORA", "task_type": None, "base_model_name_or_path": None, "inference_mode": True, "bias": "none", "lora_dropout": 0.0,
        "r": rank, "lora_alpha": scaling * rank, "target_modules": sorted(modules), "fan_in_fan_out": config.shape == "decoder", "use_dora": dora, "use_rslora": False,
    }  # fmt: skip
    save_file({name: value.detach().float().cpu().contiguous() for name, value in stored.items()}, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def read_lora(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read LoRA or DoRA from a PEFT folder.

    Returns: {"rank", "alpha", "dropout", "dora", "targets"} and the tensors by our names.  A scaling by the root of the rank
        is written into alpha.
    Raises: CheckpointError for another method, patterns of ranks, trained biases, or modules that are not in our models.
    """
    try:
        about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        stored = load_file(folder / WEIGHTS)
        kind, rank, alpha = about["peft_type"], about.get("r"), about.get("lora_alpha")
    except Exception as problem:
        raise CheckpointError(f"{folder} does not hold a readable PEFT adapter ({problem}). Give the folder that PeftModel.save_pretrained wrote.") from problem
    if kind != "LORA":
        raise CheckpointError(f"{folder} holds a PEFT adapter of the type {kind}; LORA is what can be read (DoRA and rsLoRA with it).")
    for key in ("rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication"):
        if about.get(key):
            raise CheckpointError(f"{folder}/{CONFIG} sets {key} to {about[key]!r}, which cannot be represented here; expected none.")
    values: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        found = re.fullmatch(rf"{re.escape(OUTER)}(.+?)\.(lora_A|lora_B|lora_magnitude_vector)(?:\.weight)?", name)
        if not found:
            raise CheckpointError(f"{folder}/{WEIGHTS} holds {name}, which is neither A nor B of a LoRA; expected nothing else.")
        paths = path_of(found[1])
        if len(paths) > 1 and found[2] == "lora_magnitude_vector":
            raise CheckpointError(f"{folder} holds a DoRA on GPT-2's fused q, k and v, which cannot be taken apart; expected LoRA there.")
        ours = found[2].replace("lora_magnitude_vector", "magnitude")
        pieces = tensor.chunk(len(paths)) if ours != "lora_A" else [tensor] * len(paths)
        values |= {f"{path}.{ours}": piece.reshape(-1).clone() if ours == "magnitude" else piece.clone() for path, piece in zip(paths, pieces)}
    alpha = alpha * rank**0.5 if about.get("use_rslora") else alpha
    targets = sorted({name.rsplit(".", 1)[0] for name in values})
    return {"rank": rank, "alpha": float(alpha), "dropout": float(about.get("lora_dropout") or 0.0), "dora": bool(about.get("use_dora")), "targets": targets}, values


def _fuse(own: dict[str, dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """A and B of GPT-2's fused matrix from those of q, k and v: the As below each other, each B in its own block of rows."""
    d_out = len(next(iter(own.values()))["lora_B"])
    a = torch.cat([own[name]["lora_A"] for name in FUSED if name in own])  # [sum of R, d_in]
    blocks, begin = a.new_zeros(3 * d_out, len(a)), 0
    for place, name in enumerate(FUSED):
        if name in own:
            b = own[name]["lora_B"]  # [d_out,R]
            blocks[place * d_out : (place + 1) * d_out, begin : begin + b.size(1)] = b
            begin += b.size(1)
    return a, blocks
