"""Random transformers models, the judges of ours: small, odd in their sizes, with weights large enough to matter."""

import json
from pathlib import Path

import torch
import transformers
from transformers import BertConfig, GPT2Config, PreTrainedModel, T5Config

BERT = {"vocab_size": 61, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40, "max_position_embeddings": 32}
GPT2 = {"vocab_size": 61, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 48, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
T5 = {"vocab_size": 61, "d_model": 24, "d_kv": 5, "d_ff": 40, "num_layers": 2, "num_heads": 3, "decoder_start_token_id": 0}
NARROW = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 12}
NEW_T5 = T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}  # version 1.1

# name -> (transformers class, settings): the shapes that every test of equality runs through
CASES = {
    "bert": ("BertForPreTraining", BERT),
    "bert-masked-lm": ("BertForMaskedLM", BERT | {"num_hidden_layers": 1, "num_attention_heads": 1, "hidden_act": "relu", "layer_norm_eps": 1e-5}),
    "bert-tanh-types": ("BertForPreTraining", BERT | {"hidden_act": "gelu_new", "type_vocab_size": 4, "num_hidden_layers": 3, "intermediate_size": 7}),
    "bert-untied": ("BertForMaskedLM", BERT | {"hidden_act": "silu", "type_vocab_size": 1, "tie_word_embeddings": False}),
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "gpt2-exact": ("GPT2LMHeadModel", GPT2 | {"n_head": 1, "n_layer": 1, "n_inner": 17, "activation_function": "gelu", "layer_norm_epsilon": 1e-3}),
    "gpt2-unscaled": ("GPT2LMHeadModel", GPT2 | {"n_head": 12, "scale_attn_weights": False, "tie_word_embeddings": False, "activation_function": "relu"}),
    "t5": ("T5ForConditionalGeneration", T5),
    "t5-uneven": ("T5ForConditionalGeneration", T5 | {"num_layers": 1, "num_decoder_layers": 3} | NARROW),
    "t5-v1.1": ("T5ForConditionalGeneration", NEW_T5),
    "t5-v1.1-silu": ("T5ForConditionalGeneration", NEW_T5 | {"feed_forward_proj": "gated-silu", "d_kv": 16, "num_heads": 2}),
    "t5-gelu": ("T5ForConditionalGeneration", T5 | {"feed_forward_proj": "gelu"}),
}


def make(kind: str, settings: dict, seed: int = 0) -> PreTrainedModel:
    """A model of a transformers class, with random weights of a size that makes every part count."""
    config_class = BertConfig if kind.startswith("Bert") else GPT2Config if kind.startswith("GPT2") else T5Config
    model = getattr(transformers, kind)(config_class(**settings)).eval()
    generator = torch.Generator().manual_seed(seed)
    if settings.get("tie_word_embeddings") is False and kind == "T5ForConditionalGeneration":
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))  # transformers ties all new T5
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            is_norm = weight.dim() == 1 and name.endswith("weight")
            weight.copy_(1 + 0.2 * noise if is_norm else 0.1 * noise if weight.dim() == 1 else noise * weight.shape[-1] ** -0.5)
    return model


def case(name: str, folder: Path, **save) -> PreTrainedModel:
    """Make one of CASES and save it to a folder."""
    kind, settings = CASES[name]
    model = make(kind, settings)
    model.save_pretrained(folder, **save)
    return model


def edit(folder: Path, **changes) -> None:
    """Change settings in config.json; a value of ... removes the key."""
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))


def batch(model: PreTrainedModel, side: str = "right") -> dict[str, torch.Tensor]:
    """Three texts of unequal length, padded on one side; with token types for BERT, and what T5's decoder has read."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(4, model.config.vocab_size, (3, 9), generator=generator)
    mask = torch.ones_like(ids)
    for row, padding in enumerate([0, 3, 7]):
        mask[row, 9 - padding :] = 0
    if side == "left":
        mask = mask.flip(1)
    inputs = {"input_ids": ids.masked_fill(mask == 0, 0), "attention_mask": mask}
    if model.config.model_type == "bert":
        inputs["token_type_ids"] = torch.randint(0, model.config.type_vocab_size, (3, 9), generator=generator)
    if model.config.model_type == "t5":
        inputs["decoder_input_ids"] = torch.randint(4, model.config.vocab_size, (3, 6), generator=generator)
    return inputs


@torch.no_grad()
def theirs(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """What transformers computes: logits [B,T,V] and the last hidden states [B,T,D]."""
    output = model(**inputs, output_hidden_states=True)
    logits = output.prediction_logits if "prediction_logits" in output else output.logits
    return logits, (output.decoder_hidden_states if "decoder_hidden_states" in output else output.hidden_states)[-1]
