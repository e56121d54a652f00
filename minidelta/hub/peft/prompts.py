"""Methods that put vectors before the text: prompt tuning, P-tuning, prefix tuning.

PEFT writes one tensor, prompt_embeddings, and needs a task_type to know how a model is called: FEATURE_EXTRACTION for BERT,
CAUSAL_LM for GPT-2, SEQ_2_SEQ_LM for T5.  It keeps a prompt's or prefix's values alone, not the network that made them.

A prefix [P, 2 slots H K] becomes the past of the model: keys and values of slot 0, of slot 1, and so on.  So the text begins
at position P, as ours does with positions=True.  In a T5 it stands in the decoder's self-attention alone, and layer l reads
slot 2 l, counted round and round, so that with PEFT's own number of slots, L, pairs of layers share one.
"""

from typing import Any

import torch
from torch import Tensor, nn

from minidelta.errors import CheckpointError
from minidelta.hub.peft.folder import Adapter, Parts, Written
from minidelta.model import TransformerConfig

TASKS = {"encoder": "FEATURE_EXTRACTION", "decoder": "CAUSAL_LM", "encoder-decoder": "SEQ_2_SEQ_LM"}
SHAPES = {task: shape for shape, task in TASKS.items()} | dict.fromkeys(("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS"), "encoder")


def about_prompt(kind: str, length: int, config: TransformerConfig) -> dict[str, Any]:
    """The configuration of a method that puts `length` vectors before the text."""
    return {
        "peft_type": kind, "task_type": TASKS[config.shape], "num_virtual_tokens": length, "token_dim": config.d_model, "num_transformer_submodules": 1,
        "num_attention_heads": config.n_heads, "num_layers": config.n_layers,
    }  # fmt: skip


def write_prompt(parts: Parts, settings: dict[str, Any], config: TransformerConfig, kind: str = "PROMPT_TUNING") -> Written:
    (tensors,) = parts.values()
    return about_prompt(kind, len(tensors["prompt"]), config), {"prompt_embeddings": tensors["prompt"]}


def write_p_tuning(parts: Parts, settings: dict[str, Any], config: TransformerConfig) -> Written:
    about, stored = write_prompt(parts, settings, config, "P_TUNING")
    return about | {"encoder_reparameterization_type": "MLP", "encoder_hidden_size": config.d_model}, stored


def read_prompt(about: dict[str, Any], stored: dict[str, Tensor]) -> Adapter:
    """A prompt alone, of whichever network it came."""
    prompt = only_prompt(about, stored)[: about["num_virtual_tokens"]]  # T5 has a second one in the file, which PEFT does not use
    path = "encoder.embed_out" if about["task_type"] == "SEQ_2_SEQ_LM" else "embed_out"
    return Adapter("prompt-tuning", {"prompt_length": len(prompt)}, {f"{path}.prompt": prompt.clone()})


def only_prompt(about: dict[str, Any], stored: dict[str, Tensor]) -> Tensor:
    """prompt_embeddings.  Raises: CheckpointError for a task that is not one of ours, or a head that trained along."""
    if about.get("task_type") not in SHAPES:
        raise CheckpointError(f"its task_type is {about.get('task_type')!r}; expected one of {', '.join(SHAPES)}.")
    if stored.keys() != {"prompt_embeddings"}:
        raise CheckpointError(f"it holds {', '.join(sorted(stored.keys() - {'prompt_embeddings'})) or 'nothing'} beside or instead of prompt_embeddings; expected that alone.")
    return stored["prompt_embeddings"]


def write_prefix(parts: Parts, settings: dict[str, Any], config: TransformerConfig) -> Written:
    two = config.shape == "encoder-decoder"
    wanted = [f"{'decoder.' if two else ''}layers.{i}.attn.kv" for i in range(config.n_decoder_layers if two else config.n_layers)]
    if list(parts) != wanted:
        where = "targets=r'decoder\\..*attn\\.kv'" if two else "the default targets"
        raise CheckpointError(f"PEFT puts a prefix into {'the self-attention of every layer of the decoder' if two else 'every layer'} and nowhere else; write one with {where}.")
    pairs = [torch.cat((tensors["prefix_k"], tensors["prefix_v"]), dim=1) for tensors in parts.values()]  # [P,2HK] each
    slots = [pair for own in pairs for pair in (own, torch.zeros_like(own))] if two else pairs  # layer l reads slot 2 l
    about = about_prompt("PREFIX_TUNING", len(pairs[0]), config) | {"token_dim": config.n_heads * config.d_head, "num_layers": len(slots), "num_transformer_submodules": 1 + two}
    return about | {"prefix_projection": False, "encoder_hidden_size": config.d_model}, {"prompt_embeddings": torch.cat(slots, dim=1)}


def read_prefix(about: dict[str, Any], stored: dict[str, Tensor]) -> Adapter:
    slots = only_prompt(about, stored).chunk(about["num_layers"], dim=1)  # [P,2HK] each
    two = SHAPES[about["task_type"]] == "encoder-decoder"

    def by_layer(model: nn.Module) -> dict[str, Tensor]:
        n = model.config.n_decoder_layers if two else model.config.n_layers
        if not two and n != len(slots):
            raise CheckpointError(f"The prefix is one for {len(slots)} layers, and the model has {n}. Load the model it was trained on.")
        values = {}
        for i in range(n):
            k, v = slots[2 * i % len(slots) if two else i].chunk(2, dim=1)
            path = f"{'decoder.' if two else ''}layers.{i}.attn.kv"
            values |= {f"{path}.prefix_k": k.clone(), f"{path}.prefix_v": v.clone()}
        return values

    return Adapter("p-tuning-v2", {"prefix_length": about["num_virtual_tokens"], "positions": True, "targets": r"decoder\..*attn\.kv" if two else ["kv"]}, by_layer)
