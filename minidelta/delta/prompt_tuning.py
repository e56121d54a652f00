"""Prompt tuning: learned vectors before the embeddings of the text (Lester et al. 2021, section 2).

    p(Y | [P; E(X)])        P [P,D] is all that trains

Changes: the input grows by P vectors.  Frozen: all of the backbone.  The model does not start unchanged: new vectors stand
before the text.  The encoder of an encoder-decoder reads the prompt, and its decoder looks at it too, as in the paper; from
BERT and GPT the prompt's own states are taken away at the end, so that hidden states and tokens match.
SPoT (Vu et al. 2022): begin where the prompt of another task ended.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.delta.checks import whole
from minidelta.delta.compress import expand
from minidelta.delta.targets import find_sites
from minidelta.errors import DeltaError


class PromptTuning(Delta):
    """Soft prompts at the input.

    Args:
        prompt_length: P, in vectors; 20 here, 100 in the paper.
        init: "words" (embeddings of pieces drawn from the vocabulary), "random" (noise as large as an embedding), or the
            numbers of the pieces to begin with, repeated as often as they fit; the paper finds that words help small models.
        targets: default the embeddings, and the last states where the prompt goes again.
    Raises: DeltaError for a length below 1, or an init that is none of these.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> PromptTuning(prompt_length=5).attach(model).num_parameters()  # 5 x 32
    160
    """

    name = "prompt-tuning"
    paper = "Lester et al. 2021"
    default_targets = ("embed_out", "final")
    learning_rate = 3e-1
    peft = "PROMPT_TUNING"

    def __init__(self, prompt_length: int = 20, init: str | Sequence[int] = "words", targets: str | Sequence[str] | None = None) -> None:
        whole(prompt_length=prompt_length)
        if init not in ("words", "random") and (isinstance(init, str) or not init or not all(isinstance(piece, int) for piece in init)):
            raise DeltaError(f'init is {init!r}; give "words", "random", or a list of token ids such as tokenizer("...").input_ids.')
        super().__init__(targets, prompt_length=prompt_length, init=init if isinstance(init, str) else list(init))
        self.prompt_length, self.init = prompt_length, init

    def places(self, model: nn.Module) -> list[str]:
        return input_sites(model, self.targets)

    def build(self, path: str, model: nn.Module) -> nn.Module:
        if path.endswith("embed_out"):
            return SoftPrompt(self.start(model))
        if path.endswith("final"):
            return Strip()
        raise DeltaError(f"{type(self).__name__} puts vectors before the embeddings, and {path} is not the place. Target embed_out and final.")

    def start(self, model: nn.Module) -> Tensor:
        """The first values of the prompt [P,D]."""
        table = model.token_embedding.weight.detach().float().cpu()  # [V,D]
        if self.init == "random":
            return torch.randn(self.prompt_length, table.size(1)) * table.std()
        pieces = torch.randint(len(table), (self.prompt_length,)) if self.init == "words" else torch.tensor(self.init)
        if pieces.min() < 0 or pieces.max() >= len(table):
            raise DeltaError(f"init names the token id {int(pieces.max() if pieces.min() >= 0 else pieces.min())}, and the model knows 0 to {len(table) - 1}. Use the tokenizer that belongs to this model.")
        return table[pieces.repeat(-(-self.prompt_length // len(pieces)))[: self.prompt_length]].clone()

    def for_peft(self) -> dict[str, dict[str, Tensor]]:
        """The prompt alone, without what made it."""
        return {path: {"prompt": part.vectors()} for path, part in self.parts_by_path().items() if path.endswith("embed_out")}

    def formula(self, path: str, model: nn.Module) -> int:
        return self.prompt_length * model.config.d_model if path.endswith("embed_out") else 0


class SPoT(PromptTuning):
    """Prompt tuning that begins with the prompt of another task.

    Args:
        source: an attached or detached `PromptTuning`, the folder of a saved one, or a tensor [P,D].
        prompt_length: of a prompt that `load_delta` fills; else the source's.
    Raises: DeltaError without a source, or for one that holds no prompt.

    >>> SPoT(source=torch.zeros(5, 32)).prompt_length
    5
    """

    name = "spot"
    paper = "Vu et al. 2022"

    def __init__(self, source: PromptTuning | Tensor | str | Path | None = None, prompt_length: int | None = None, targets: str | Sequence[str] | None = None) -> None:
        if source is None and prompt_length is None:
            raise DeltaError("SPoT begins with the prompt of another task, and none was given. Train PromptTuning on that task, and pass it or its folder: SPoT(source=...).")
        prompt = None if source is None else prompt_of(source)  # [P,D]
        super().__init__(prompt_length if prompt is None else len(prompt), "random", targets)
        self.source, self.settings = prompt, {"prompt_length": self.prompt_length}

    def start(self, model: nn.Module) -> Tensor:
        if self.source is None:  # load_delta fills it
            return torch.zeros(self.prompt_length, model.config.d_model)
        if self.source.size(1) != model.config.d_model:
            raise DeltaError(f"The source prompt has vectors of {self.source.size(1)} numbers, and the model is {model.config.d_model} wide. Give a prompt that was trained on this model.")
        return self.source.clone()


class BeforeText(nn.Module):
    """A part at the embeddings: puts its `vectors`, [P,D], in front."""

    def vectors(self) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        return torch.cat((self.vectors().to(out.dtype).expand(len(out), -1, -1), out), dim=1)  # [B,T,D] -> [B,P+T,D]


class SoftPrompt(BeforeText):
    """A prompt that trains directly."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.prompt = nn.Parameter(start)  # [P,D]

    def vectors(self) -> Tensor:
        return self.prompt


class Strip(nn.Module):
    """The part at the last states: keeps those of the tokens."""

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        return out[:, -x.size(1) :]  # [B,P+T,D] -> [B,T,D]


def input_sites(model: nn.Module, targets: Sequence[str]) -> list[str]:
    """Where a prompt enters and where it goes again; an encoder-decoder takes it into its encoder, and keeps it."""
    paths = find_sites(model, targets)
    return [path for path in paths if path == "encoder.embed_out" or not path.startswith(("encoder.", "decoder."))] if model.config.shape == "encoder-decoder" else paths


def prompt_of(source: PromptTuning | Tensor | str | Path) -> Tensor:
    """The prompt [P,D] that a source holds."""
    if isinstance(source, Tensor):
        found = [source]
    elif isinstance(source, Delta):
        found = [part.prompt for part in source.parts.values() if isinstance(part, SoftPrompt)]
    else:
        file = Path(source) / "delta.safetensors"
        found = [value for name, value in expand(load_file(file) if file.is_file() else {}).items() if name.endswith(".prompt")]
    if len(found) != 1 or found[0].dim() != 2:
        raise DeltaError(f"The source {source if isinstance(source, (str, Path)) else type(source).__name__} holds no prompt [length, d_model]. Give a trained PromptTuning, its folder, or such a tensor.")
    return found[0].detach().float().cpu().clone()
