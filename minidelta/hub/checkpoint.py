"""Models in and out of Hugging Face folders: load_model, save_pretrained.

    config.json  --read_config-->  TransformerConfig  -->  Transformer  <--weights-->  model.safetensors

Every tensor of the file must find its place and every place must be filled: what is left over on either side is an
error that lists it.  How the names correspond is written in bert.py, gpt2.py and t5.py, and nowhere else.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from minidelta.errors import CheckpointError, ConfigError, near_misses
from minidelta.hub import bert, gpt2, t5
from minidelta.hub.device import device as choose_device
from minidelta.hub.locate import find_folder, read_json
from minidelta.hub.names import Weight, fill
from minidelta.hub.weights import INDEX, WEIGHTS, Stored, write_folder
from minidelta.model import Transformer, TransformerConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FAMILIES = {"bert": bert, "gpt2": gpt2, "t5": t5}  # model_type in config.json -> its translation
HEADS = {  # class in config.json's `architectures` -> the tensors by which its heads are known; others have none that counts here
    "BertForPreTraining": ("cls.predictions.transform.dense.weight", "bert.pooler.dense.weight", "cls.seq_relationship.weight"),
    "BertForMaskedLM": ("cls.predictions.transform.dense.weight",),
    "BertForNextSentencePrediction": ("bert.pooler.dense.weight", "cls.seq_relationship.weight"),
    "BertModel": ("bert.pooler.dense.weight",),
    "T5ForConditionalGeneration": ("decoder.block.", "lm_head.weight"),
    "T5Model": ("decoder.block.",),
}
GENERATION = ("eos_token_id", "pad_token_id", "decoder_start_token_id")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Pretrained(Transformer):
    """A Transformer that can be saved as a Hugging Face folder; what `load_model` returns."""

    def save_pretrained(self, folder: str | Path, tokenizer: "PreTrainedTokenizerFast | None" = None, dtype: torch.dtype | str | None = None) -> None:
        """Save the backbone, without any delta that hangs on it, with those that are merged.  See `save_pretrained`."""
        save_pretrained(self, folder, tokenizer, dtype)


def load_model(name_or_folder: str | Path, *, device: str | torch.device | None = None, dtype: torch.dtype | str | None = None) -> Pretrained:
    """Load a BERT, GPT-2 or T5 with its pre-trained weights.

    Args:
        name_or_folder: an embedded name ("bert-micro"), a Hugging Face folder, or a hub name ("bert-base-uncased").
        device: where to put it; default: MINIDELTA_DEVICE, else CUDA if there is one, else the CPU.
        dtype: torch.float32 (default, whatever the file stores), torch.float16 or torch.bfloat16, or their names.
    Returns: the model in evaluation mode.  A folder without a language-model head gives one that has hidden states only.
    Raises:  CheckpointError if the folder is missing, damaged, pickled, of another architecture, or if names or shapes
             of its tensors do not match its config.json.
    """
    where, number_type = choose_device(device), _dtype(dtype) or torch.float32
    folder = find_folder(name_or_folder)
    given = read_json(folder / "config.json")
    family = _family(given, folder)
    if family is t5 and number_type == torch.float16:
        raise ConfigError("T5's feed-forward exceeds what float16 can hold and turns into NaN; load it as bfloat16 or float32.")
    if (folder / "generation_config.json").is_file():  # newer folders keep there which pieces begin, end and fill a text
        pieces = fill(read_json(folder / "generation_config.json"), dict.fromkeys(GENERATION), {}, file="generation_config.json")
        given |= {key: value for key, value in pieces.items() if value is not None}
    stored = Stored(folder, family.canonical)
    config = family.read_config(given, stored)
    with torch.device("meta"):  # shapes without numbers: all of them come from the file, and no random number is drawn
        model = Pretrained(config).to(number_type)
    source = _match(model, family, stored)
    model.to_empty(device=where)
    _fill(model, stored, source)
    return model.eval()


def load_config(name_or_folder: str | Path) -> TransformerConfig:
    """The shape of a model alone: what `load_model` would build, without reading a number.

    Args:
        name_or_folder: as of `load_model`; here config.json is enough, and its `architectures` say which heads there are.
    Raises:  CheckpointError if there is no such folder, or its config.json is of another architecture.

    >>> load_config("bert-nano").d_model
    64
    """
    folder = find_folder(name_or_folder, weights=False)
    given = read_json(folder / "config.json")
    family = _family(given, folder)
    if any(folder.glob("*.safetensors")):
        return family.read_config(given, Stored(folder, family.canonical))
    return family.read_config(given, Promised(given))


class Promised(set):
    """What stands for `Stored` where there are no weights yet: the tensors of the heads that config.json names."""

    def __init__(self, given: dict) -> None:
        usual = {"bert": "BertForPreTraining", "t5": "T5ForConditionalGeneration"}.get(given["model_type"], "")
        names = [name for architecture in given.get("architectures") or [usual] for name in HEADS.get(architecture, ())]
        super().__init__(name for name in names if name != "lm_head.weight" or not given.get("tie_word_embeddings", True))

    def drop(self, name: str) -> None:
        self.discard(name)


def save_pretrained(model: Transformer, folder: str | Path, tokenizer: "PreTrainedTokenizerFast | None" = None, dtype: torch.dtype | str | None = None) -> None:
    """Save a model as a folder that transformers' AutoModelFor... opens.

    Args:
        model: any Transformer of the shape of a BERT, GPT-2 or T5; deltas that hang on it are not saved, merged ones are part of it.
        folder: where to; made if it is not there, its model files replaced.
        tokenizer: saved beside the weights, if given.
        dtype: store the weights as this type (torch.float16 halves the file); default: as they are.
    Raises:  CheckpointError if no family has this configuration, the model is int8, or the folder cannot be written.
    """
    family, folder = _family_of(model.config), Path(folder).expanduser()
    config = family.write_config(model.config)
    state = model.backbone_state()
    target = _dtype(dtype)
    tensors = {}
    for weight in family.weights(model.config):
        if absent := [name for name in weight.ours if name not in state]:
            raise CheckpointError(f"{absent[0]} is not there as floating-point numbers, so this model was turned into int8; save the model that it was made from.")
        packed = weight.pack([state[name].detach().cpu() for name in weight.ours])
        tensors[weight.theirs] = packed.to(target or packed.dtype).contiguous()
        if target and packed.isfinite().all() and not tensors[weight.theirs].isfinite().all():
            raise CheckpointError(f"{weight.theirs} reaches {packed.abs().max():.3g}, too large for {target}; save it as bfloat16 or float32.")
    config["dtype"] = str(next(iter(tensors.values())).dtype).removeprefix("torch.")

    def write(inside: Path) -> None:
        (inside / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_file(tensors, inside / WEIGHTS, metadata={"format": "pt"})
        (inside / WEIGHTS).chmod((inside / "config.json").stat().st_mode)  # save_file lets nobody but its owner read
        if tokenizer is not None:
            tokenizer.save_pretrained(inside)

    write_folder(folder, write)
    for stale in [folder / INDEX, *folder.glob("model-*-of-*.safetensors")]:  # an older, sharded save
        stale.unlink(missing_ok=True)


def _family(given: dict, folder: Path) -> ModuleType:
    """The translation that config.json asks for."""
    kind = given.get("model_type")
    if kind is None:
        raise CheckpointError(f'{folder / "config.json"} names no model_type; add "model_type": "bert", "gpt2" or "t5" if it is one of these.')
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise CheckpointError(f"{folder} holds a model of type {kind!r}, which this kit does not read. {near_misses(str(kind), FAMILIES)}")
    return FAMILIES[kind]


def _family_of(config: TransformerConfig) -> ModuleType:
    """The family whose shape a configuration has."""
    if config.shape == "decoder":
        return gpt2
    return t5 if config.shape == "encoder-decoder" or config.positions == "relative" else bert


def _match(model: Transformer, family: ModuleType, stored: Stored) -> list[tuple[Weight, str]]:
    """Find for every tensor of the model the stored one that fills it: pairs of (its entry in the name map, stored name)."""
    ours, wanted = model.backbone_state(), {weight.theirs: weight for weight in family.weights(model.config)}
    assert sorted(ours) == sorted(name for weight in wanted.values() for name in weight.ours), "the name map forgets or invents a tensor"
    source = {name: name for name in wanted if name in stored}  # name in the map -> name in the file
    surplus = [name for name in stored if name not in wanted]
    for alias, name in family.aliases(model.config).items():
        if alias in surplus:
            surplus.remove(alias)
            first = source.setdefault(name, alias)
            if first != alias and not stored.equal(first, alias):
                raise CheckpointError(f"{stored.folder} holds {first} and {alias}, which are one tensor in this architecture, with different numbers.")
    missing = [name for name in wanted if name not in source]
    if missing or surplus:
        raise CheckpointError(_mismatch(stored, list(wanted), missing, surplus))
    shapes = {name: (stored.shape(found), wanted[name].shape(ours)) for name, found in source.items()}
    wrong = [f"{name}: met {met}, expected {expected}" for name, (met, expected) in shapes.items() if met != expected]
    if wrong:
        raise CheckpointError(f"{stored.folder} holds {len(wrong)} tensor(s) of another shape than its config.json says; {wrong[0]}." + _indent(wrong[1:]))
    return [(wanted[name], found) for name, found in source.items()]


@torch.no_grad()
def _fill(model: Transformer, stored: Stored, source: list[tuple[Weight, str]]) -> None:
    """Copy the stored tensors to their places, one at a time."""
    ours = model.backbone_state()
    for weight, found in source:
        packed = stored.tensor(found)
        if not packed.is_floating_point():
            kind = str(packed.dtype).removeprefix("torch.")
            raise CheckpointError(f"{stored.folder}: {found} is stored as {kind}, perhaps quantized; expected float32, float16 or bfloat16.")
        for place, tensor in zip(weight.ours, weight.unpack(packed), strict=True):
            ours[place].copy_(tensor)


def _mismatch(stored: Stored, wanted: list[str], missing: list[str], surplus: list[str]) -> str:
    """Say which tensors are missing and which are left over, and what to do about it."""
    says, has = _layers(wanted), _layers(stored)
    unequal = next((stack for stack in says if stack in has and says[stack] != has[stack]), None)
    counts = " and ".join(f"{len(names)} {what}" for names, what in ((missing, "missing"), (surplus, "unexpected")) if names)
    if unequal:
        remedy = f"config.json says {says[unequal]} layer{'s' * (says[unequal] != 1)}, the file has {has[unequal]} ({unequal}); take both from one model"
    elif missing or _layers(surplus):
        remedy = "the weights are incomplete, or belong to another config.json"
    else:
        remedy = "a task head is not read; keep the backbone and the tokenizer, by from_pretrained(folder).save_pretrained(other_folder) of transformers' AutoModel and AutoTokenizer"
    lines = [f"missing: {name}" for name in missing] + [f"unexpected: {name}" for name in surplus]
    return f"{stored.folder} does not match its config.json, {counts} tensor(s): {remedy}." + _indent(lines)


def _layers(names: Iterable[str]) -> dict[str, int]:
    """How many layers a list of tensors has: name of the stack, such as bert.encoder.layer -> the highest number in it, plus one."""
    numbers = [(found[1], int(found[2])) for found in (re.match(r"(.+?\.(?:layer|h|block))\.(\d+)\.", name) for name in names) if found]
    return {stack: 1 + highest for stack, highest in sorted(numbers)}  # sorted: the highest number comes last and stays


def _indent(lines: list[str]) -> str:
    return "".join(f"\n    {line}" for line in lines)


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """A number type from itself or its name."""
    if dtype is None or dtype in DTYPES.values():
        return dtype
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise ConfigError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}.")
    return DTYPES[name]
