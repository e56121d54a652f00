"""The model: one stack with heads (BERT, GPT-2), or two stacks that share an embedding table (T5)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.errors import ConfigError
from minidelta.model.attention import visible_keys
from minidelta.model.cache import Cache
from minidelta.model.config import TransformerConfig
from minidelta.model.generate import generate
from minidelta.model.initialise import initialise
from minidelta.model.layers import ACTIVATIONS
from minidelta.model.site import Site, sites
from minidelta.model.stack import Stack, grow


class LMHead(nn.Module):
    """Hidden states to a score for each piece of the vocabulary.

    BERT's ("mlm") first passes them through a dense layer, the activation and a norm, and adds a bias at the end.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        mlm = config.lm_head == "mlm"
        self.dense = nn.Linear(config.d_model, config.d_model) if mlm else None
        self.activation = ACTIVATIONS[config.activation]
        self.norm = nn.LayerNorm(config.d_model, eps=config.norm_eps) if mlm else None  # without a site: no hidden state passes here
        self.weight = None if config.tied else nn.Parameter(torch.empty(config.vocab_size, config.d_model))
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if mlm else None
        self.scale = config.d_model**-0.5 if config.scale_logits else None

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """hidden [..., D] and the token embedding [V,D] (used when tied) -> logits [..., V]."""
        if self.dense is not None:
            hidden = self.norm(self.activation(self.dense(hidden)))
        if self.scale is not None:
            hidden = hidden * self.scale
        return F.linear(hidden, table if self.weight is None else self.weight, self.bias)


class Transformer(Stack):
    """A transformer of any of the three shapes, with new random weights.

    Args:
        config: its shape and sizes.
        seed: of the initial weights; None draws from torch's global generator.

    >>> from minidelta.model import gpt2_config
    >>> gpt = Transformer(gpt2_config(vocab_size=50, d_model=16, n_layers=1, n_heads=2, d_ff=32), seed=0)
    >>> gpt(torch.tensor([[7, 8, 9]])).shape
    torch.Size([1, 3, 50])
    >>> list(gpt.sites())[:3]
    ['embed_out', 'layers.0.attn.q_proj', 'layers.0.attn.k_proj']
    """

    def __init__(self, config: TransformerConfig, seed: int | None = None):
        if config.shape == "encoder-decoder":
            nn.Module.__init__(self)  # not a stack itself: it has two
            self.encoder = Stack(config, config.n_layers, causal=False)
            self.decoder = Stack(config, config.n_decoder_layers, causal=True, cross=True)
        else:
            super().__init__(config, config.n_layers, causal=config.shape == "decoder")
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.pooler = nn.Linear(config.d_model, config.d_model) if config.pooler else None
        self.next_sentence_head = nn.Linear(config.d_model, 2) if config.next_sentence else None
        self.lm_head = LMHead(config) if config.lm_head else None
        initialise(self, seed)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        **more,
    ) -> Tensor:
        """Score every piece of the vocabulary at every position.

        Args:
            input_ids: [B,T] token numbers.
            attention_mask: [B,T], 1 for a real token, 0 for padding; None: no padding (the fastest path).
            token_type_ids: [B,T], BERT's sentence A (0) and B (1); None: all 0.  Models without token types pass over them.
            decoder_input_ids: [B,T], what T5's decoder has said so far; the encoder reads `input_ids` [B,S].
            decoder_attention_mask: [B,T].
            more: `position_ids` [B,T] (None: 0, 1, 2, ...) and `cache`, see `hidden`.
        Returns: logits [B,T,V].
        Raises: ConfigError if T5 gets no `decoder_input_ids`, or the model has no language-model head.
        """
        if self.config.shape == "encoder-decoder" and decoder_input_ids is None:
            raise ConfigError("an encoder-decoder was called without decoder_input_ids; give what the decoder has read so far, or use encode() for the encoder alone.")
        return self.lm_logits(self.hidden(input_ids, attention_mask, token_type_ids, decoder_input_ids, decoder_attention_mask, **more))

    def hidden(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        *,
        position_ids: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """The last hidden states [B,T,D]: the encoder's or decoder's own; T5's decoder if it has input, else its encoder's.

        With a `cache`, `input_ids` are the new tokens only, and `attention_mask` covers the cached ones too.
        """
        if self.config.shape == "encoder-decoder":
            source = self.encode(input_ids, attention_mask)
            if decoder_input_ids is None:
                return source
            return self.decode(decoder_input_ids, source, attention_mask, decoder_attention_mask, cache)
        if decoder_input_ids is not None:
            raise ConfigError(f"decoder_input_ids were given to a model that has no decoder beside its {self.config.shape}; leave them out.")
        return self.run(input_ids, self.embed(input_ids), attention_mask, token_type_ids, position_ids, cache)

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """T5's encoder alone: [B,S] -> [B,S,D]."""
        if self.config.shape != "encoder-decoder":
            raise ConfigError(f"this {self.config.shape} has no encoder beside it; use hidden() for its states.")
        return self.encoder.run(input_ids, self.embed(input_ids), attention_mask)

    def decode(
        self,
        decoder_input_ids: Tensor,
        source: Tensor,
        attention_mask: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """T5's decoder over an encoded `source` [B,S,D], whose padding `attention_mask` tells: [B,T] -> [B,T,D]."""
        if attention_mask is not None:
            attention_mask = grow(attention_mask, max(0, source.size(1) - attention_mask.size(1)), 1)  # a prompt that the encoder kept
        visible = visible_keys(attention_mask, False, decoder_input_ids.size(1), source.size(1), source.device)
        vectors = self.embed(decoder_input_ids)
        return self.decoder.run(decoder_input_ids, vectors, decoder_attention_mask, cache=cache, source=source, source_mask=visible)

    def embed(self, input_ids: Tensor) -> Tensor:
        """Look the token vectors up: [B,T] -> [B,T,D]."""
        if input_ids.dim() != 2:
            raise ConfigError(f"token ids of shape {tuple(input_ids.shape)} met; give [batch, tokens], a single text as a batch of one.")
        if not input_ids.size(1):
            raise ConfigError("a text without a single token met; give at least one (GPT: the end-of-text piece can begin a text).")
        if input_ids.is_floating_point():
            raise ConfigError(f"token ids of type {input_ids.dtype} met; they are whole numbers, so give torch.long.")
        if input_ids.device != self.device:
            raise ConfigError(f"token ids on {input_ids.device} met, and the model is on {self.device}; give ids.to(model.device).")
        try:
            return self.token_embedding(input_ids)
        except IndexError:
            known = self.config.vocab_size
            met = int(input_ids[(input_ids < 0) | (input_ids >= known)][0])
            raise ConfigError(f"token id {met} met, and the model knows 0 to {known - 1}; use the tokenizer that belongs to this model.") from None

    def lm_logits(self, hidden: Tensor) -> Tensor:
        """Hidden states at any positions [..., D] -> logits [..., V]."""
        if self.lm_head is None:
            raise ConfigError("this model has no language-model head, only hidden states; use hidden(), or load a checkpoint with its head.")
        return self.lm_head(hidden, self.token_embedding.weight)

    def pool(self, hidden: Tensor) -> Tensor:
        """BERT's summary of a text: tanh(W h + b) at its first token, [B,T,D] -> [B,D]."""
        if self.pooler is None:
            raise ConfigError("this model has no pooler; take hidden states directly, or use a BERT checkpoint that was saved with one.")
        return self.pooler(hidden[:, 0]).tanh()

    def next_sentence(self, pooled: Tensor) -> Tensor:
        """BERT's scores for "B follows A" and "B does not": [B,D] -> [B,2]."""
        if self.next_sentence_head is None:
            raise ConfigError("this model has no next-sentence head; use a BERT checkpoint that was pre-trained with one.")
        return self.next_sentence_head(pooled)

    generate = generate  # greedy, sampling, beams: see generate.py

    def sites(self) -> dict[str, Site]:
        """All places where a delta may hang, by path: `layers.0.attn.q_proj`, ..., `final`."""
        return sites(self)

    def backbone_state(self) -> dict[str, Tensor]:
        """The state dict without what deltas hung on."""
        return {key: value for key, value in self.state_dict().items() if ".parts." not in key}

    @property
    def device(self) -> torch.device:
        return self.token_embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.token_embedding.weight.dtype
