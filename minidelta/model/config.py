"""The shape of a transformer as data: BERT, GPT-2 and T5 differ in nothing but these lines."""

from dataclasses import dataclass

from minidelta.errors import ConfigError, near_misses

CHOICES = {
    "shape": ("encoder", "decoder", "encoder-decoder"),
    "positions": ("learned", "relative"),
    "norm": ("layernorm", "rmsnorm"),
    "norm_position": ("pre", "post"),
    "activation": ("gelu", "gelu_tanh", "relu", "silu"),
    "lm_head": ("mlm", "linear", None),
}


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Everything that decides which parameters a transformer has and what it computes.

    Sizes are counted in units (widths), tokens (positions) or pieces.  `bert_config`, `gpt2_config` and
    `t5_config` below fill in what makes each family itself.
    Raises: ConfigError, which names the setting, the value met and the values that work.

    >>> TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64).d_head
    8
    """

    shape: str  # "encoder" (BERT), "decoder" (GPT-2) or "encoder-decoder" (T5)
    vocab_size: int
    d_model: int
    n_layers: int  # of the encoder, where there are two stacks
    n_heads: int
    d_ff: int
    d_head: int | None = None  # None: d_model / n_heads.  T5 chooses it freely
    n_decoder_layers: int | None = None  # None: as many as n_layers

    positions: str = "learned"  # "relative": T5's bias on the attention scores
    max_positions: int = 512  # longest sequence of learned positions, in tokens
    relative_buckets: int = 32
    relative_max_distance: int = 128  # in tokens; farther keys share the last bucket
    token_types: int = 0  # BERT: 2, sentence A and sentence B

    norm: str = "layernorm"
    norm_position: str = "pre"  # "post": after the residual add, as in BERT and the paper of 2017
    norm_eps: float = 1e-5
    embedding_norm: bool = False
    final_norm: bool = False
    activation: str = "gelu"  # "gelu" is exact, "gelu_tanh" its approximation
    gated: bool = False  # a second linear gates the first: GLU (Shazeer 2020)
    bias: bool = True  # on the linears of the blocks
    scale_attention: bool = True  # scores / sqrt(d_head); T5 folds this into its initialisation

    lm_head: str | None = "linear"  # "mlm": BERT's dense + norm before the vocabulary; None: no head
    tied: bool = True  # the head's weight is the token embedding
    scale_logits: bool = False  # T5 v1.0: hidden states * d_model**-0.5 before its tied head
    pooler: bool = False  # BERT's tanh layer over [CLS]
    next_sentence: bool = False  # BERT's two-way head over the pooler

    dropout: float = 0.1
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    mask_token_id: int | None = None
    decoder_start_token_id: int | None = None

    def __post_init__(self):
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigError(f"{name} is {value!r}, which is none of its choices. {near_misses(str(value), map(str, allowed))}")
        for name in ("vocab_size", "d_model", "n_layers", "n_heads", "d_ff", "d_head", "n_decoder_layers", "max_positions"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"{name} is {value!r}; it counts something, so give a whole number of at least 1.")
        if self.d_head is None:
            if self.d_model % self.n_heads:
                raise ConfigError(f"d_model {self.d_model} cannot be split over n_heads {self.n_heads} heads; choose a multiple of {self.n_heads}, or give d_head.")
            object.__setattr__(self, "d_head", self.d_model // self.n_heads)
        if self.n_decoder_layers is None:
            object.__setattr__(self, "n_decoder_layers", self.n_layers)
        if self.lm_head is None:
            object.__setattr__(self, "tied", True)  # without a head there is nothing to tie or to scale: one way to say so
            object.__setattr__(self, "scale_logits", False)
        if self.positions == "relative" and (self.relative_buckets < 4 or self.relative_max_distance <= self.relative_buckets // 2):
            raise ConfigError(
                f"relative_buckets is {self.relative_buckets} with relative_max_distance {self.relative_max_distance}; "
                "give at least 4 buckets, and a distance beyond half their number."
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it is the share of units set to zero, so give a number from 0 to below 1.")
        if self.next_sentence and not self.pooler:
            raise ConfigError("next_sentence is True without a pooler; the head reads the pooled [CLS], so set pooler=True as well.")
        if self.shape == "encoder-decoder" and (self.pooler or self.token_types):
            raise ConfigError("pooler and token_types belong to an encoder or a decoder; an encoder-decoder has neither, so leave them out.")


def bert_config(**sizes) -> TransformerConfig:
    """BERT (Devlin et al. 2019): bidirectional, post-norm, learned positions, two token types, exact GELU.

    >>> bert_config(vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64).norm_position
    'post'
    """
    family = dict(shape="encoder", norm_position="post", norm_eps=1e-12, embedding_norm=True, token_types=2, lm_head="mlm", pooler=True, pad_token_id=0)
    return TransformerConfig(**family | sizes)


def gpt2_config(**sizes) -> TransformerConfig:
    """GPT-2 (Radford et al. 2019): causal, pre-norm, learned positions, GELU in its tanh form.

    >>> gpt2_config(vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64).activation
    'gelu_tanh'
    """
    family = dict(shape="decoder", activation="gelu_tanh", final_norm=True, max_positions=1024)
    return TransformerConfig(**family | sizes)


def t5_config(version: str = "1.0", **sizes) -> TransformerConfig:
    """T5 (Raffel et al. 2020): two stacks, RMSNorm, relative positions, no biases, unscaled attention.

    Args:
        version: "1.0" (ReLU, tied head on scaled states) or "1.1" (gated GELU, a head of its own).

    >>> t5_config("1.1", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64, d_head=16).gated
    True
    """
    if version not in ("1.0", "1.1"):
        raise ConfigError(f"T5 version {version!r} is not known; give '1.0' or '1.1'.")
    family = dict(shape="encoder-decoder", positions="relative", norm="rmsnorm", norm_eps=1e-6, final_norm=True, bias=False, scale_attention=False)
    family |= dict(activation="relu", scale_logits=True) if version == "1.0" else dict(activation="gelu_tanh", gated=True, tied=False)
    family |= dict(pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)
    return TransformerConfig(**family | sizes)
