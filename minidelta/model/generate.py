"""Writing text piece by piece: greedy, sampling, beam search.

The arguments are named as in transformers, and greedy and beam search give the same tokens as its `generate`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from minidelta.errors import ConfigError
from minidelta.model.cache import Cache

NEVER = -1e9  # a log-probability that no real candidate reaches


@torch.no_grad()
def generate(
    model,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    *,
    max_new_tokens: int = 20,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int | None = None,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    eos_token_id: int | list[int] | None = None,
    pad_token_id: int | None = None,
) -> Tensor:
    """Continue `input_ids` (GPT) or answer them (T5).

    Args:
        model: a `Transformer` that is a decoder or an encoder-decoder.  Its dropout rests meanwhile.
        input_ids: [B,T].  Unequal prompts of a decoder are padded on the left.
        attention_mask: [B,T], 0 for padding.  None: wherever `pad_token_id` stands (unless it also ends texts).
        max_new_tokens: stop after this many pieces.
        do_sample: draw each piece from the model's distribution instead of taking the best.
        temperature, top_k, top_p: divide the logits; keep the k best pieces; keep the best pieces that together
            reach probability p (nucleus sampling, Holtzman et al. 2020).  Only with do_sample.
        seed: of the draws; None uses torch's global generator.
        num_beams: hypotheses kept per text (1: greedy).
        length_penalty: a finished hypothesis scores log p / length**length_penalty; above 0 favours long ones.
        early_stopping: False: stop when the best open hypothesis would not, at its present length, beat the finished
            ones; True: stop once num_beams are finished; "never": stop when none could at any length.
        eos_token_id, pad_token_id: pieces that end a text, and the filling behind it; None: as the config says.
            An empty list lets no text end early.
    Returns: [B, length], int64.  GPT: prompt and continuation.  T5: the start piece and the answer.
    Raises: ConfigError for a model that cannot write, padding on the wrong side, or settings that contradict.

    >>> from minidelta.model import Transformer, gpt2_config
    >>> gpt = Transformer(gpt2_config(vocab_size=50, d_model=16, n_layers=1, n_heads=2, d_ff=32), seed=0)
    >>> gpt.generate(torch.tensor([[7, 8, 9]]), max_new_tokens=4).shape
    torch.Size([1, 7])
    """
    if input_ids.dim() != 2 or not input_ids.size(1):
        raise ConfigError(f"token ids of shape {tuple(input_ids.shape)} met; give [batch, tokens] with at least one token, a single text as a batch of one.")
    if attention_mask is not None and attention_mask.shape != input_ids.shape:
        raise ConfigError(f"attention_mask has the shape {tuple(attention_mask.shape)}, the token ids {tuple(input_ids.shape)}; give one number per token.")
    check(max_new_tokens, do_sample, temperature, top_k, top_p, num_beams, early_stopping)
    stops = model.config.eos_token_id if eos_token_id is None else eos_token_id
    stops = torch.tensor([] if stops is None else stops, dtype=torch.long, device=input_ids.device).flatten()
    pad = model.config.pad_token_id if pad_token_id is None else pad_token_id
    if attention_mask is None and pad is not None and not (stops == pad).any():
        attention_mask = (input_ids != pad).long()
    end = int(stops[0]) if len(stops) else 0

    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        writer = Writer(model, input_ids, attention_mask, max_new_tokens)
        if num_beams > 1:
            # transformers fills up behind a beam with the end piece where the padding piece is 0
            return beam_search(writer, max_new_tokens, stops, pad or end, num_beams, length_penalty, early_stopping)
        choose = sampler(temperature, top_k, top_p, seed, input_ids.device) if do_sample else best
        return extend(writer, choose, max_new_tokens, stops, end if pad is None else pad)
    finally:
        for module, mode in modes.items():
            module.training = mode


def check(max_new_tokens: int, do_sample: bool, temperature: float, top_k: int | None, top_p: float, num_beams: int, early_stopping: bool | str) -> None:
    """Complain about settings that cannot be meant."""
    if max_new_tokens < 1 or num_beams < 1:
        raise ConfigError(f"max_new_tokens is {max_new_tokens} and num_beams is {num_beams}; both count something, so give at least 1.")
    if not do_sample and (temperature, top_k, top_p) != (1.0, None, 1.0):
        raise ConfigError("temperature, top_k and top_p shape random draws, and do_sample is False; set do_sample=True, or leave them out.")
    if do_sample and num_beams > 1:
        raise ConfigError(f"do_sample=True with num_beams={num_beams}; beams are searched, not drawn, so choose one of the two.")
    if early_stopping not in (False, True, "never"):
        raise ConfigError(f"early_stopping is {early_stopping!r}; choose False, True or 'never'.")
    if temperature <= 0 or not 0 < top_p <= 1 or (top_k is not None and top_k < 1):
        raise ConfigError(f"temperature is {temperature}, top_k {top_k}, top_p {top_p}; give temperature > 0, top_k >= 1, 0 < top_p <= 1.")


class Writer:
    """Reads pieces and tells the logits of the next one; keeps the cache, and hides whether an encoder stands behind."""

    def __init__(self, model, input_ids: Tensor, attention_mask: Tensor | None, max_new_tokens: int):
        config = model.config
        if config.shape == "encoder":
            raise ConfigError("an encoder reads and does not write: generate needs a decoder (GPT) or an encoder-decoder (T5).")
        if attention_mask is not None and attention_mask.all():
            attention_mask = None  # the fast path
        self.model, self.mask, self.cache = model, attention_mask, Cache(config)
        self.source = None
        if config.shape == "encoder-decoder":
            if config.decoder_start_token_id is None:
                raise ConfigError("the config has no decoder_start_token_id, so the decoder has nothing to begin with; set it (T5: the padding piece).")
            self.source = model.encode(input_ids, attention_mask)
            self.start = input_ids.new_full((len(input_ids), 1), config.decoder_start_token_id)
        else:
            if attention_mask is not None and not attention_mask[:, -1].all():
                raise ConfigError("a prompt ends in padding, where the continuation would begin; pad decoder prompts on the left (padding_side='left').")
            self.start = input_ids
        needed = self.start.size(1) + max_new_tokens - 1  # the last piece is not read again
        if config.positions == "learned" and needed > config.max_positions:
            raise ConfigError(f"prompt and continuation need {needed} positions, and the model has {config.max_positions}; shorten the prompt or max_new_tokens.")

    def logits(self, new: Tensor) -> Tensor:
        """Read `new` [B,T] behind what was read before; returns scores of the next piece [B,V], float32."""
        if self.source is not None:
            hidden = self.model.decode(new, self.source, self.mask, cache=self.cache)
        elif self.mask is None:
            hidden = self.model.hidden(new, cache=self.cache)
        else:
            if self.cache.length:
                self.mask = torch.cat((self.mask, torch.ones_like(new, dtype=self.mask.dtype)), dim=1)
            positions = (self.mask.long().cumsum(1) - 1).clamp(min=0)  # padding on the left counts for nothing
            hidden = self.model.hidden(new, self.mask, position_ids=positions[:, -new.size(1) :], cache=self.cache)
        return self.model.lm_logits(hidden[:, -1]).float()

    def repeat(self, times: int) -> None:
        """Give each text of the batch `times` rows of its own."""
        rows = torch.arange(len(self.start), device=self.start.device).repeat_interleave(times)
        for memory in self.cache.own + self.cache.source:
            memory.select(rows)
        self.mask = None if self.mask is None else self.mask[rows]
        self.source = None if self.source is None else self.source[rows]

    def reorder(self, rows: Tensor) -> None:
        """Take over the past of other rows of the same text (whose source and padding are the same)."""
        for memory in self.cache.own:
            memory.select(rows)


def extend(writer: Writer, choose: Callable[[Tensor], Tensor], steps: int, stops: Tensor, pad: int) -> Tensor:
    """One hypothesis per text: choose a piece, read it, and so on until all texts have ended."""
    text = new = writer.start
    unfinished = torch.ones(len(text), dtype=torch.bool, device=text.device)
    for _ in range(steps):
        piece = torch.where(unfinished, choose(writer.logits(new)), pad)  # [B]
        new = piece[:, None]
        text = torch.cat((text, new), dim=1)
        unfinished &= ~torch.isin(piece, stops)
        if not unfinished.any():
            break
    return text


def best(logits: Tensor) -> Tensor:
    """Greedy: the piece with the highest score, [B,V] -> [B]."""
    return logits.argmax(-1)


def sampler(temperature: float, top_k: int | None, top_p: float, seed: int | None, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function that draws a piece from softmax(logits / temperature), cut to the likeliest, [B,V] -> [B]."""
    generator = None if seed is None else torch.Generator(device).manual_seed(seed)

    def draw(logits: Tensor) -> Tensor:
        logits = logits / temperature
        if top_k is not None:
            worst_kept = logits.topk(min(top_k, logits.size(-1))).values[:, -1:]
            logits = logits.masked_fill(logits < worst_kept, -torch.inf)
        if top_p < 1:
            ordered, pieces = logits.sort(descending=True)
            share = ordered.softmax(-1)
            better = share.cumsum(-1) - share  # what the pieces before it hold together
            logits = logits.scatter(1, pieces, ordered.masked_fill(better >= top_p, -torch.inf))
        return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]

    return draw


def beam_search(writer: Writer, steps: int, stops: Tensor, fill: int, beams: int, length_penalty: float, early_stopping: bool | str) -> Tensor:
    """Keep the `beams` likeliest open hypotheses of each text, and the best finished ones.

    At each step the likeliest continuations of all open hypotheses are ranked together.  Those that end and rank
    among the first `beams` are weighed against the finished ones, by log p / length**length_penalty; the likeliest
    that do not end stay open.  Letters here: N beams, M candidates (enough that N of them do not end), L length.
    """
    prompt = writer.start
    (batch, begin), take = prompt.shape, torch.take_along_dim
    offset = torch.arange(batch, device=prompt.device)[:, None] * beams
    candidates = max(2, 1 + len(stops)) * beams  # M
    first = torch.arange(candidates, device=prompt.device) < beams

    open_texts = prompt.new_full((batch, beams, begin + steps), fill)  # [B,N,L]
    open_texts[:, :, :begin] = prompt[:, None]
    done_texts = open_texts.clone()
    open_scores = torch.full((batch, beams), NEVER, device=prompt.device)
    done_scores = open_scores.clone()
    open_scores[:, 0] = 0.0  # in the beginning all are the same: one may continue
    done_lengths = torch.zeros_like(done_scores, dtype=torch.long)  # 0: a place not yet taken
    hopeful = torch.ones(batch, 1, dtype=torch.bool, device=prompt.device)

    logits = writer.logits(prompt).repeat_interleave(beams, dim=0)  # [B*N,V]
    writer.repeat(beams)
    for length in range(1, steps + 1):
        scores = (logits.log_softmax(-1).view(batch, beams, -1) + open_scores[:, :, None]).flatten(1)  # [B,N*V]
        scores, index = scores.topk(candidates)  # [B,M]
        parents, pieces = index // logits.size(-1), index % logits.size(-1)
        texts = take(open_texts, parents[:, :, None], 1)  # [B,M,L]
        texts[:, :, begin + length - 1] = pieces
        ends = torch.isin(pieces, stops) | (length == steps)

        # Finished hypotheses: old ones and new ones compete for N places.
        finishes = ends & first
        full = (done_lengths > 0).all(1, keepdim=True) & (early_stopping is True)
        finals = (scores / length**length_penalty).masked_fill(~finishes | full | ~hopeful, NEVER)
        done_scores, chosen = torch.cat((done_scores, finals), 1).topk(beams)
        done_texts = take(torch.cat((done_texts, texts), 1), chosen[:, :, None], 1)
        done_lengths = take(torch.cat((done_lengths, finishes * length), 1), chosen, 1)

        # Open hypotheses: the N best that go on.
        open_scores, kept = (scores + ends * NEVER).topk(beams)
        open_texts = take(texts, kept[:, :, None], 1)

        reach = steps if early_stopping == "never" and length_penalty > 0 else length
        worst = done_scores.min(1, keepdim=True).values  # [B,1]; NEVER while a place is free
        hopeful = hopeful & (open_scores[:, :1] / reach**length_penalty > worst)
        if ends.all() or not hopeful.any() or (early_stopping is True and (done_lengths > 0).all()):
            break
        writer.reorder((take(parents, kept, 1) + offset).flatten())
        logits = writer.logits(open_texts[:, :, begin + length - 1].reshape(-1, 1))
    return done_texts[:, 0, : begin + int(done_lengths[:, 0].max())]
