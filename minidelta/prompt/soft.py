"""Soft tokens: vectors in a template that stand for no word and are trained.

    x = [.. E(the), E(film), P_1, P_2, E([MASK]) ..]           E the token embeddings, P [P,D] trained

A template mixes them with words as it likes (`{soft:2} {text_a} {soft:"it was"} {mask}`); they hang at the site `embed_out`
and replace the vectors of their placeholders, so the model needs no new vocabulary.  They start as the words they were
given, or as random words of the vocabulary (Lester et al. 2021).

P-tuning (Liu et al. 2021) does not train P itself: neighbouring soft tokens depend on one another
through a small network,

    h_i = MLP([LSTM_forward(P_1..i) ; LSTM_backward(P_i..n)])

which is thrown away after training, its outputs kept.  Here encoder = "lstm" (the paper's) or "mlp" (its simpler form, as prefix
tuning has it); the result is added to P, so that start words stay what they are at the first step (the paper starts at random).
"""

from typing import Any

import torch
from torch import Tensor, nn

from minidelta.errors import PromptError
from minidelta.prompt.render import soft_rows, start_words
from minidelta.prompt.template import Template

ENCODERS = ("none", "mlp", "lstm")


class SoftTokens(nn.Module):
    """The table of a template's soft tokens, and its encoder.

    Args:
        template: says how many there are, and how they start.
        model, tokenizer: whose embeddings they start from.
        encoder: "none", "mlp" or "lstm".
        hidden: width inside the encoder; the model's by default.
        seed: of the random start.
    Raises: PromptError for an unknown encoder or a template without soft tokens.

    Attributes:
        which: [B,T] the row that stands at each place, -1 for none; set before the model is called.

    >>> from minidelta.hub import load_model, load_tokenizer
    >>> model, tokenizer = load_model("bert-nano"), load_tokenizer("bert-nano")
    >>> soft = SoftTokens(Template('{text_a} {soft:2} {soft:"it was"} {mask}'), model, tokenizer)
    >>> soft.weight.shape, soft.nearest(model, tokenizer)[2:]
    (torch.Size([4, 64]), ['it', 'was'])
    """

    def __init__(self, template: Template, model: nn.Module, tokenizer: Any, encoder: str = "none", hidden: int | None = None, seed: int = 0) -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise PromptError(f"There is no encoder of soft tokens called {encoder!r}; choose {', '.join(ENCODERS)}.")
        if not template.softs:
            raise PromptError(f"The template {template.source!r} has no soft token; write {{soft}}, {{soft:10}} or {{soft:\"words\"}}.")
        self.encoder, self.which = encoder, None
        table, d_model = model.token_embedding.weight.detach(), model.config.d_model
        self.weight = nn.Parameter(self._start(template, table.float().cpu(), tokenizer, seed))  # [P,D]
        width = hidden or d_model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.lstm = nn.LSTM(d_model, width, num_layers=2, bidirectional=True, batch_first=True) if encoder == "lstm" else None
            self.mlp = nn.Sequential(nn.Linear(2 * width if self.lstm else d_model, width), nn.ReLU(), nn.Linear(width, d_model)) if encoder != "none" else None
        if self.mlp is not None:
            nn.init.zeros_(self.mlp[-1].weight)  # the soft tokens start as they would without an encoder
            nn.init.zeros_(self.mlp[-1].bias)
        self.to(table.device)

    def _start(self, template: Template, table: Tensor, tokenizer: Any, seed: int) -> Tensor:
        rows = soft_rows(template, tokenizer)
        start = torch.empty(1 + max(row for places in rows.values() for row in places), table.size(1))
        ordinary = torch.tensor([i for i in range(len(tokenizer)) if i not in set(tokenizer.all_special_ids)])
        chance, done = torch.Generator().manual_seed(seed), set()
        for place, places in rows.items():
            part = template.parts[place]
            if not done & set(places):
                words = start_words(part, tokenizer) if part.value else ordinary[torch.randint(len(ordinary), (len(places),), generator=chance)]
                start[places] = table[torch.as_tensor(words)]
                done |= set(places)
        return start

    def vectors(self) -> Tensor:
        """The soft tokens as the model reads them [P,D]."""
        if self.mlp is None:
            return self.weight
        inside = self.lstm(self.weight[None])[0][0] if self.lstm is not None else self.weight  # [P,D] -> [P,2H]
        return self.weight + self.mlp(inside)

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        """At `embed_out`: put the vectors in the places of `which`; x [B,T] token ids, out [B,T,D]."""
        if self.which is None or self.which.shape != x.shape:
            return out  # no prompt here, such as a later step of generation
        vectors = self.vectors().to(out.dtype)
        return torch.where((self.which >= 0)[..., None], vectors[self.which.clamp(min=0)], out)  # [B,T,D]

    @torch.no_grad()
    def nearest(self, model: nn.Module, tokenizer: Any) -> list[str]:
        """The word whose embedding lies nearest (cosine) to each soft token: a look at what was learnt, not an explanation."""
        table = nn.functional.normalize(model.token_embedding.weight.float(), dim=-1)
        best = (nn.functional.normalize(self.vectors().float(), dim=-1) @ table.T).argmax(-1)  # [P,D] [D,V] -> [P]
        return [token.lstrip("Ġ▁") for token in tokenizer.convert_ids_to_tokens(best.tolist())]
