"""What the three name maps share: how one stored tensor becomes one or more of ours, and how config.json is read.

A family (bert.py, gpt2.py, t5.py) is two translations, each in both directions:

    read_config(given, stored)   config.json -> TransformerConfig
    write_config(config)         TransformerConfig -> config.json
    weights(config)              the list of `Weight`: their name <-> our names
    canonical(key)               older or bare spellings of their names -> the one used in `weights`; None for buffers
    aliases(config)              second names of one and the same tensor (tied heads, shared embeddings)
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from minidelta.errors import CheckpointError
from minidelta.hub.weights import Stored
from minidelta.model import TransformerConfig

# Hugging Face's names of activations that are one function -> ours.
ACTIVATIONS = {
    "gelu": "gelu", "gelu_python": "gelu",
    "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu_python_tanh": "gelu_tanh", "gelu_accurate": "gelu_tanh", "gelu_fast": "gelu_tanh",
    "relu": "relu", "silu": "silu", "swish": "silu",
}  # fmt: skip
ACTIVATION_NAMES = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu", "silu": "silu"}


@dataclass(frozen=True)
class Weight:
    """One tensor of the file, and the tensors of ours that it holds, one below the other.

    Args:
        theirs: its name in the file.
        ours: the names in our state dict.  GPT-2 keeps q, k and v in one tensor: then there are three.
        transposed: GPT-2's Conv1D stores [d_in, d_out], the transpose of a Linear's [d_out, d_in].
    """

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False

    def unpack(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Their tensor -> ours, in the order of `ours`."""
        return (tensor.t() if self.transposed else tensor).chunk(len(self.ours))

    def pack(self, tensors: list[Tensor]) -> Tensor:
        """Our tensors, in the order of `ours` -> theirs."""
        whole = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
        return (whole.t() if self.transposed else whole).contiguous()

    def shape(self, ours: dict[str, Tensor]) -> list[int]:
        """The shape that their tensor must have to fill ours."""
        first = list(ours[self.ours[0]].shape)
        first[0] *= len(self.ours)
        return first[::-1] if self.transposed else first


def pair(theirs: str, ours: str) -> list[Weight]:
    """A LayerNorm or a linear with bias: .weight and .bias have the same name on both sides."""
    return [Weight(f"{theirs}.{part}", (f"{ours}.{part}",)) for part in ("weight", "bias")]


def fill(given: dict, defaults: dict, fixed: dict, file: str = "config.json") -> dict:
    """Complete config.json with its family's defaults, and refuse what the model cannot represent.

    Args:
        given: config.json as read.
        defaults: key -> default, which also tells the type; None stands for "a whole number, or none".
        fixed: key -> the only value that can be represented.
        file: the name of the file, for the message.
    Returns: defaults overlaid with what was given.
    Raises:  CheckpointError naming the key, the value met and the one expected.
    """
    for key, only in ({"quantization_config": None} | fixed).items():
        if given.get(key) not in (None, only):
            raise CheckpointError(f"{file} sets {key} to {given[key]!r}, which this kit cannot represent; it reads models with {key} = {only!r}.")
    full = defaults | {key: value for key, value in given.items() if key in defaults}
    for key, value in full.items():
        if not _fits(key, value, defaults[key]):
            raise CheckpointError(f"{file} sets {key} to {value!r}; expected {_kind(defaults[key])}.")
    return full


def _fits(key: str, value: object, default: object) -> bool:
    if key.endswith("_token_id"):
        return value is None or isinstance(value, int) or isinstance(value, list) and all(isinstance(each, int) for each in value)
    if isinstance(default, (bool, str)):
        return isinstance(value, type(default))
    if isinstance(default, float):
        return isinstance(value, (int, float))
    return isinstance(value, int) and not isinstance(value, bool) or value is default is None


def _kind(default: object) -> str:
    return {bool: "true or false", str: "a name", float: "a number"}.get(type(default), "a whole number")


def is_tied(stored: Stored, head: str, embedding: str, says_tied: bool, quietly: bool = False) -> bool:
    """Whether the head's matrix is the embedding matrix: it is absent, or it is there, equal, and declared to be tied.

    A file that declares them tied but holds two different matrices is read as what it holds, with a warning
    (transformers does the same); T5 files do so regularly.
    """
    if head not in stored or embedding not in stored:
        return says_tied
    if says_tied and not stored.equal(head, embedding):
        if not quietly:
            warnings.warn(f"config.json says tie_word_embeddings, but {head} differs from {embedding}: both are kept, untied.", stacklevel=2)
        return False
    return says_tied


def activation(name: str, key: str) -> str:
    """Our name of an activation.  Raises CheckpointError for one that the model does not have."""
    if name not in ACTIVATIONS:
        raise CheckpointError(f"config.json sets {key} to {name!r}, which this kit cannot represent; it knows {', '.join(sorted(ACTIVATIONS))}.")
    return ACTIVATIONS[name]


def check_traits(config: TransformerConfig, traits: dict, family: str, head: str = "linear") -> None:
    """Before writing: the config must have every trait of the family, or the folder would tell a lie."""
    for name, expected in traits.items():
        if getattr(config, name) != expected:
            raise CheckpointError(f"This model cannot be saved as {family}: its {name} is {getattr(config, name)!r}, a {family} has {expected!r}.")
    if family != "T5" and config.d_head * config.n_heads != config.d_model:
        raise CheckpointError(f"This model cannot be saved as {family}: its {config.n_heads} heads are {config.d_head} wide, a {family} splits d_model {config.d_model} among them.")
    if config.lm_head not in (None, head):
        raise CheckpointError(f"This model cannot be saved as {family}: its lm_head is {config.lm_head!r}, a {family} has {head!r} or none.")
