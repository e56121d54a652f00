"""One training step as a walk through the model: the bytes that autograd keeps on the way, and the flops of the matrix products.

    y = W x     forward   2 n d_in d_out flops
                backward  as many for dL/dx = W^T dL/dy, where something below trains; as many for dL/dW = dL/dy x^T, where W does
    attention   forward   2 x 2 n S HK: Q K^T, and the weighted sum of V
                backward  2 n S HK for each of dV, d weights, dQ and dK; PyTorch's fused kernel also makes Q K^T anew

Letters: n = B T tokens in a batch, m = B S keys that they look at, d_in and d_out the widths of a linear; the rest as in
the card of this package.
"""

from collections.abc import Callable

from minidelta.costs.parameters import linears
from minidelta.model import TransformerConfig


class Step:
    """Walks through the model as its `forward` does, and adds up `bytes` and `forward` and `backward` flops.

    `grad` says whether a gradient comes back to where the walk stands, because something up to there trains.

    Args:
        full: the whole model trains.
        ranks: name of a linear -> R of the LoRA on it.
        padded: there is an attention mask.
    """

    def __init__(self, c: TransformerConfig, batch_size: int, full: bool, ranks: dict[str, int], padded: bool) -> None:
        self.c, self.batch_size, self.full, self.ranks, self.padded = c, batch_size, full, ranks, padded
        self.dropout = c.dropout > 0
        self.relative = c.positions == "relative"
        self.widths = {name: d_out for name, _, d_out in linears(c, cross=False)}
        self.bytes = self.forward = self.backward = 0
        self.passing = {True: 0, False: 0}  # bytes of the most that meets in one place: of gradients; where none come, of the forward pass

    def keep(self, numbers: int, when: bool = True, size: int = 4) -> None:
        self.bytes += size * numbers * when

    def pass_by(self, gradients: int, results: int, grad: bool) -> None:
        self.passing[grad] = max(self.passing[grad], 4 * (gradients if grad else results))

    def multiply(self, n: int, d_in: int, d_out: int, to_x: bool, to_weight: bool) -> None:
        """[n,d_in] times [d_in,d_out]; whether a gradient goes back to each of the two."""
        self.forward += 2 * n * d_in * d_out
        self.backward += 2 * n * d_in * d_out * (to_x + to_weight)

    def trains(self, *names: str) -> bool:
        return self.full or any(name in self.ranks for name in names)

    def stack(self, length: int, cross: list[bool], causal: bool, source: int = 0, source_grad: bool = False) -> bool:
        """As `Stack.run`, over B x length tokens, with B x source ones for `cross`.  Returns whether its result has a gradient."""
        c, grad, n, m = self.c, self.full, self.batch_size * length, self.batch_size * source
        self.keep(n + (length * length if self.relative else length), grad, size=8)  # token ids; buckets of distances, or positions
        self.norm(n, grad and c.embedding_norm)
        self.keep(n * c.d_model, grad and self.dropout)  # what dropout multiplies with
        self.keep(m * c.d_model, self.trains("k_proj", "v_proj"))  # the source, which all blocks read
        mask = 0 if self.relative or not self.padded else n * length if causal else n  # made anew in each block
        for has_cross in cross:
            grad = self.residual(n, grad, lambda grad: self.attention(n, n, grad, grad, mask))
            if has_cross:
                grad = self.residual(n, grad, lambda grad: self.attention(n, m, grad, source_grad, m * self.padded, cross=True))
            grad = self.residual(n, grad, lambda grad: self.feed_forward(n, grad))
        scores = c.n_heads * length * length * (self.batch_size if self.padded and not causal else 1)
        self.keep(scores, self.relative and grad and not self.full and not self.dropout)  # a frozen bias is the mask of all blocks
        self.norm(n, grad and c.final_norm)
        return grad

    def residual(self, n: int, grad: bool, sublayer: Callable[[bool], bool]) -> bool:
        """As `Block.residual`."""
        self.norm(n, grad and self.c.norm_position == "pre")
        changed = sublayer(grad)
        self.keep(n * self.c.d_model, changed and self.dropout)
        self.norm(n, (grad or changed) and self.c.norm_position == "post")
        return grad or changed

    def norm(self, n: int, grad: bool) -> None:
        """x [n,D], and for each token mean and 1/std (RMSNorm: 1/rms, and for the gradient of the weight x/rms)."""
        layernorm = self.c.norm == "layernorm"
        self.keep(n * self.c.d_model + n * (1 + layernorm), grad)
        self.keep(n * self.c.d_model, grad and self.full and not layernorm)

    def linear(self, n: int, d_in: int, *names: str, grad: bool, kept: bool = False) -> None:
        """x [n,d_in], once for all linears that read it and unless it is `kept` already; A x [n,R] for each LoRA."""
        self.keep(n * d_in, self.trains(*names) and not kept)
        for name in names:
            self.multiply(n, d_in, self.widths[name], to_x=grad, to_weight=self.full)
            if rank := self.ranks.get(name):
                self.keep(n * rank)
                self.multiply(n, d_in, rank, to_x=grad, to_weight=True)  # A x
                self.multiply(n, rank, self.widths[name], to_x=True, to_weight=True)  # B (A x)

    def attention(self, n: int, m: int, grad: bool, source_grad: bool, mask: int, cross: bool = False) -> bool:
        """n queries look at m keys through a mask of so many numbers.  Returns whether the result has a gradient."""
        c, width, scores = self.c, self.c.n_heads * self.c.d_head, self.c.n_heads * n * m // self.batch_size  # HK; B H T S
        q, k, v = grad or self.trains("q_proj"), source_grad or self.trains("k_proj"), source_grad or self.trains("v_proj")
        of_x, of_source = (["q_proj"], ["k_proj", "v_proj"]) if cross else (["q_proj", "k_proj", "v_proj"], [])
        self.linear(n, c.d_model, *of_x, grad=grad)
        self.linear(m, c.d_model, *of_source, grad=source_grad, kept=True)  # by `stack`
        # PyTorch's fused kernel knows no dropout and no gradient of a bias; with these it writes softmax(Q K^T) V out.
        written_out = self.dropout or (self.full and self.relative and not cross)
        fused = (q or k or v) and not written_out
        self.keep(2 * n * width + 2 * m * width + n * c.n_heads + mask, fused)  # q and result; k and v; log-sum-exp
        self.keep(m * width, written_out and q)  # k, for the gradient of q
        self.keep(n * width, written_out and k)  # q, for the gradient of k
        self.keep(m * width + scores, written_out and (q or k))  # v and softmax, for the gradient of the scores
        self.keep(scores, self.dropout and (q or k))  # what dropout multiplies with
        self.keep(scores, self.dropout and v)  # weights after dropout, for the gradient of v
        bias = 2 * self.relative * (scores if self.padded else scores // self.batch_size)  # before and after the mask
        self.pass_by(2 * scores * written_out, 3 * n * c.d_model + 2 * (n + m) * width + bias, q or k or v)  # of scores and softmax; x, x after the last sublayer, its norm, q, k, v, result
        products = 5 if fused else (q or k) + v + q + k if written_out else 0
        self.forward += 2 * 2 * scores * c.d_head
        self.backward += products * 2 * scores * c.d_head
        self.linear(n, width, "o_proj", grad=q or k or v, kept=fused)
        return q or k or v or self.trains("o_proj")

    def feed_forward(self, n: int, grad: bool) -> bool:
        """Returns whether the result has a gradient."""
        c, relu, numbers = self.c, self.c.activation == "relu", n * self.c.d_ff
        up, gate = grad or self.trains("up_proj"), c.gated and (grad or self.trains("gate_proj"))
        inner = gate if c.gated else up  # whether a gradient comes back to the nonlinearity
        self.linear(n, c.d_model, *(["gate_proj"] * c.gated), "up_proj", grad=grad)
        self.keep(numbers, inner)  # what it reads; for relu, what it gives
        self.keep(numbers, gate)  # one factor, for the gradient of the other
        self.keep(numbers, c.gated and up and not (relu and gate))  # and the other way round
        self.pass_by(2 * numbers, 3 * n * c.d_model + (2 + c.gated) * numbers, up or gate)  # of what the nonlinearity reads and gives; x thrice, and both
        self.linear(n, c.d_ff, "down_proj", grad=up or gate, kept=inner and relu and not c.gated)
        return up or gate or self.trains("down_proj")

    def classify(self, length: int, classes: int, grad: bool) -> None:
        """Pooler, dropout, head, cross-entropy on B vectors."""
        d_model, b = self.c.d_model, self.batch_size
        if self.c.pooler:
            self.keep(b * length * d_model, self.full)  # reads the first token's vector, a view of all of them
            self.keep(b * d_model, grad)  # tanh
            self.multiply(b, d_model, d_model, to_x=grad, to_weight=self.full)
        self.keep(b * d_model, grad)  # what dropout multiplies with
        self.keep(b * d_model + b * classes + 2 * b + 1)  # what the head reads; log-probabilities; labels of 8 bytes, their count
        self.multiply(b, d_model, classes, to_x=grad, to_weight=True)

    def score(self, n: int, grad: bool, trains: bool) -> None:
        """Language-model head and cross-entropy at n tokens."""
        d_model, mlm, back = self.c.d_model, self.c.lm_head == "mlm", grad or trains
        if mlm:
            self.keep(n * d_model, trains)  # what BERT's dense layer reads
            self.multiply(n, d_model, d_model, to_x=grad, to_weight=trains)
            self.keep(n * d_model, back)  # what its nonlinearity reads
            self.norm(n, back)
        self.keep(n * d_model, trains)  # what the output layer reads
        self.multiply(n, d_model, self.c.vocab_size, to_x=back if mlm else grad, to_weight=trains)
        self.keep(n * self.c.vocab_size + 2 * n + 1, back)  # log-probabilities; answers of 8 bytes, their count
        self.pass_by(2 * n * self.c.vocab_size, 2 * n * self.c.vocab_size, back)  # of logits and log-probabilities
