"""Token embeddings: the vectors of a few chosen tokens train, for example of new markers or of label words.

    e(t) = E_t + Delta_t        for the chosen tokens t; E_t for all others

Changes: N rows of the embedding table as the input sees them, in an encoder-decoder in both stacks.  Frozen: the table and,
where it is tied to it, the output layer, which keeps scoring with the old rows.  The differences start at zero.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.errors import DeltaError


class TokenEmbeddings(Delta):
    """Input embeddings of chosen tokens.

    Args:
        tokens: their ids; None: the first 200 of the vocabulary, where special tokens and the commonest pieces stand in
            the tokenizers of this kit.
        targets: default the embeddings.
    Raises: DeltaError for no token, ids that repeat, or ids beyond the vocabulary.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> TokenEmbeddings(tokens=[7, 12]).attach(model).num_parameters()  # 2 x 32
    64
    """

    name = "token-embeddings"
    paper = None
    default_targets = ("embed_out",)
    learning_rate = 3e-2
    peft = "TRAINABLE_TOKENS"

    def __init__(self, tokens: Sequence[int] | None = None, targets: str | Sequence[str] | None = None) -> None:
        if tokens is not None and (not len(tokens) or not all(isinstance(t, int) and t >= 0 for t in tokens) or len(set(tokens)) < len(tokens)):
            raise DeltaError(f"tokens is {list(tokens)}; give at least one token id, each once, such as tokenizer.convert_tokens_to_ids([...]).")
        super().__init__(targets, tokens=None if tokens is None else list(tokens))
        self.tokens = tokens
        self.rows: Rows | None = None  # shared by the two stacks of an encoder-decoder

    def chosen(self, model: nn.Module) -> list[int]:
        """The ids whose vectors train."""
        known = model.config.vocab_size
        tokens = range(min(200, known)) if self.tokens is None else self.tokens
        if max(tokens) >= known:
            raise DeltaError(f"tokens names the id {max(tokens)}, and the model knows 0 to {known - 1}. Use the tokenizer that belongs to this model.")
        return list(tokens)

    def build(self, path: str, model: nn.Module) -> "Rows":
        if not path.endswith("embed_out"):
            raise DeltaError(f"TokenEmbeddings changes embeddings, and {path} is not where they pass. Target embed_out.")
        if self.rows is None:
            self.rows = Rows(self.chosen(model), model.config.vocab_size, model.config.d_model)
        return self.rows

    def for_peft(self) -> dict[str, dict[str, Tensor]]:
        """Whole rows, E_t + Delta_t, and their numbers."""
        tokens = torch.tensor(self.chosen(self.model), device=self.model.device)
        return {path: {"rows": self.model.token_embedding.weight[tokens] + part.change, "tokens": tokens} for path, part in self.parts_by_path().items()}

    def formula(self, path: str, model: nn.Module) -> int:
        return 0

    def expected(self, model: nn.Module) -> int:
        return len(self.chosen(model)) * model.config.d_model


class Rows(nn.Module):
    """The part at the embeddings."""

    def __init__(self, tokens: list[int], vocab_size: int, d_model: int) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros(len(tokens), d_model))  # Delta [N,D]
        place = torch.full((vocab_size,), len(tokens))  # N: the row of zeros that all others get
        place[torch.tensor(tokens)] = torch.arange(len(tokens))
        self.register_buffer("place", place, persistent=False)  # [V]

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        table = torch.cat((self.change, self.change.new_zeros(1, self.change.size(1))))  # [N+1,D]
        change = table[self.place[x]].to(out.dtype)  # [B,T] -> [B,T,D]
        before = out.size(1) - x.size(1)  # what a prompt has put in front stays as it is
        return out + (nn.functional.pad(change, (0, 0, before, 0)) if before else change)
