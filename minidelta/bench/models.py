"""The shapes that are measured, and one set of weights in both libraries."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from minidelta.hub import load_model, save_pretrained
from minidelta.model import Transformer, TransformerConfig, bert_config, gpt2_config

CLASSES, IGNORED = 2, -100
LABELLED = 0.15  # of the tokens, as in BERT's pre-training


@dataclass(frozen=True)
class Shape:
    """One size of model and batch.  Dropout is 0 on both sides, so that both find the same loss."""

    bert: TransformerConfig | None
    gpt: TransformerConfig | None
    batch: int
    tokens: int
    rounds: int
    written: int  # pieces that generation writes


MICRO = {"vocab_size": 4096, "d_model": 128, "n_layers": 4, "n_heads": 8, "d_ff": 512, "max_positions": 512, "dropout": 0.0}
BASE = {"d_model": 768, "n_layers": 12, "n_heads": 12, "d_ff": 3072, "dropout": 0.0}
SHAPES = {
    "micro": Shape(bert_config(**MICRO), gpt2_config(**MICRO), batch=16, tokens=64, rounds=15, written=32),
    "bert-base": Shape(bert_config(vocab_size=30522, max_positions=512, **BASE), None, batch=8, tokens=64, rounds=5, written=0),
    "gpt2-small": Shape(None, gpt2_config(vocab_size=50257, max_positions=1024, **BASE), batch=4, tokens=64, rounds=5, written=16),
}


class Both:
    """The same weights as our model and as one of transformers, and a batch for both.

    Args:
        config: of an encoder or a decoder.
        shape: batch and tokens.
        folder: an empty one, where the weights pass from us to them.
        device, dtype: of both.
    """

    def __init__(self, config: TransformerConfig, shape: Shape, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.shape, self.folder, self.device, self.dtype = config, shape, folder, device, dtype
        self.encoder = config.shape == "encoder"
        save_pretrained(Transformer(config, seed=0), folder)
        lots = torch.Generator().manual_seed(1)
        ids = torch.randint(10, config.vocab_size, (shape.batch, shape.tokens), generator=lots)  # [B,T]
        chosen = torch.rand(ids.shape, generator=lots) < LABELLED
        chosen[0, -1] = True  # however small the batch, some token has a label
        labels = torch.where(chosen, ids, IGNORED) if self.encoder else ids  # BERT: some tokens; GPT: the next one, everywhere
        classes = torch.randint(CLASSES, (shape.batch,), generator=lots)  # [B]
        self.ids, self.labels, self.classes = ids.to(device), labels.to(device), classes.to(device)
        self.head_weight = 0.02 * torch.randn(CLASSES, config.d_model, generator=lots)  # [C,D]

    def draw(self, texts: int, tokens: int) -> Tensor:
        """Further token ids [texts, tokens]."""
        return torch.randint(10, self.config.vocab_size, (texts, tokens), generator=torch.Generator().manual_seed(2)).to(self.device)

    def ours(self) -> Transformer:
        """A fresh copy of ours, in training mode."""
        return load_model(self.folder, device=self.device, dtype=self.dtype).train()

    def theirs(self, head: str = "lm") -> nn.Module:
        """A fresh copy of theirs with the "lm" head, or BERT's "classes", in training mode."""
        import transformers  # heavy, and for this program alone

        transformers.logging.set_verbosity_error()  # it would tell that the head is new
        transformers.logging.disable_progress_bar()
        kind = "GPT2LMHeadModel" if not self.encoder else "BertForMaskedLM" if head == "lm" else "BertForSequenceClassification"
        model = getattr(transformers, kind).from_pretrained(self.folder, dtype=self.dtype).to(self.device).train()
        if head == "classes":
            self.fill(model.classifier)
        return model

    def head(self) -> nn.Linear:
        """Our new head over the classes, equal to theirs."""
        return self.fill(nn.Linear(self.config.d_model, CLASSES, device=self.device, dtype=self.dtype))

    @torch.no_grad()
    def fill(self, head: nn.Linear) -> nn.Linear:
        head.weight.copy_(self.head_weight)
        head.bias.zero_()
        return head
