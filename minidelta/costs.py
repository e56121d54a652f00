"""The ledger of one training step: what holds how many bytes, what a task leaves on the disk, how long a step takes.

`measure` looks at a real step.  `predict` reaches the same figures from the configuration alone, so that it can also
answer for models that do not fit here.  `rehearse` takes the step with shapes in place of numbers, and so answers for any
delta.  Sizes are in bytes; the formulas are those of float32 on a CPU.

    weights      4 for each parameter                 gradients   4 for each parameter that trains
    optimizer    Adam: 2 x 4 for each parameter that trains, its two moments (Kingma and Ba 2015, algorithm 1)
    activations  what the forward pass keeps for the backward pass.  A linear y = W x keeps x only where W trains, for
                 dL/dW = dL/dy x^T; it hands dL/dx = W^T dL/dy down without x.  Nothing is kept below the lowest part
                 that trains.  That is what a frozen backbone saves; norms, attention and nonlinearities keep theirs.

Letters: B batch, T tokens, S source tokens, D model width, H heads, K width of a head, F feed-forward, V vocabulary,
C classes, R rank; n = B T tokens in a batch, m = B S keys that they look at.
"""

import copy
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from minidelta.errors import ConfigError, near_misses
from minidelta.model import Transformer, TransformerConfig
from minidelta.train import OPTIMIZERS

METHODS = ("full", "head", "lora")
KERNEL = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
UNCOUNTED = {  # of which PyTorch's counter has no formula
    KERNEL: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(grad, q, k, v),
}
MOMENTS = {"sgd": 0, "adagrad": 1, "adadelta": 2, "adam": 2, "adamw": 2}  # per parameter; all but sgd also count the steps of each tensor


@dataclass(frozen=True)
class Ledger:
    """One training step.

    total, trainable: parameters of model, head and delta (shared ones once), and those of them that train.
    weights, gradients, optimizer, activations: bytes held.
    stored: bytes of what trains, which every further task adds on the disk.
    seconds: of the whole step; None if not timed.  Not compared.
    flops: multiplications and additions in the matrix products of forward and backward pass; None if not counted.  Not compared.
    """

    total: int
    trainable: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    stored: int
    seconds: float | None = field(default=None, compare=False)
    flops: int | None = field(default=None, compare=False)


def measure(loss: Callable[[], Tensor], model: nn.Module, parameters: Iterable[Tensor], optimizer: str = "adamw", repeats: int = 0, count: bool = False) -> Ledger:
    """Take one training step and write down what it holds.

    Args:
        loss: no arguments -> scalar tensor, for one batch.  Put the model in training mode first.
        model: with or without an attached delta.
        parameters: what the optimizer gets, a head beside the model included; frozen ones are left out.
        optimizer: a name of `minidelta.train.OPTIMIZERS`.
        repeats: further steps to time (forward, backward, update); `seconds` is their median.
        count: take one more step to count `flops`.
    Returns: the ledger.  The steps have a learning rate of zero, so the weights stay as they are; gradients are cleared.
    Raises: ConfigError for an unknown optimizer, or where nothing trains.

    >>> from minidelta.model import Transformer, gpt2_config
    >>> gpt = Transformer(gpt2_config(vocab_size=50, d_model=16, n_layers=1, n_heads=2, d_ff=32), seed=0)
    >>> measure(lambda: gpt(torch.tensor([[7, 8, 9]])).logsumexp(-1).sum(), gpt, gpt.parameters(), "sgd").gradients
    77760
    """
    trained = list({id(p): p for p in parameters if p.requires_grad}.values())
    every = list({id(p): p for p in [*model.parameters(), *trained]}.values())
    _choose("optimizer", optimizer, OPTIMIZERS)
    if not trained:
        raise ConfigError("Nothing to measure: none of the parameters requires a gradient. Unfreeze some, or attach a delta first.")
    moves = OPTIMIZERS[optimizer]([{"params": trained, "lr": 0.0}], (0.9, 0.999), 0.0)
    if trained[0].is_meta:  # no fused kernel where there are no numbers
        for group in moves.param_groups:
            group["fused"] = False
    weights = {p.untyped_storage()._cdata for p in every}  # the storage itself: on the meta device all addresses are 0
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()  # a view keeps all that it looks at, and two views keep it once
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    def forward() -> Tensor:
        for p in every:
            p.grad = None
        value = loss()
        if not value.requires_grad:
            raise ConfigError("The loss does not depend on any trained parameter. Pass the parameters that the loss uses.")
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value = forward()
    activations = sum(storage.nbytes() for storage in kept.values())
    kept.clear()
    value.backward()
    moves.step()
    gradients = sum(p.grad.nbytes for p in every if p.grad is not None)
    states = sum(t.nbytes for state in moves.state.values() for t in state.values() if isinstance(t, Tensor))
    flops = None
    if count:
        with FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter:
            forward().backward()
        flops = counter.get_total_flops()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        forward().backward()
        moves.step()
        if trained[0].is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    for p in every:
        p.grad = None
    return Ledger(
        sum(p.numel() for p in every), sum(p.numel() for p in trained), sum(p.nbytes for p in every), gradients, states, activations,
        sum(p.nbytes for p in trained), statistics.median(times) if times else None, flops,
    )  # fmt: skip


def predict(
    config: TransformerConfig, batch_size: int, length: int, method: str = "full", optimizer: str = "adamw", *, target_length: int | None = None,
    classes: int = 0, scored: int | None = None, rank: int = 8, targets: str | Sequence[str] = ("q_proj", "v_proj"), padded: bool = False,
) -> Ledger:  # fmt: skip
    """What `measure` will find, from closed formulas.

    Args:
        config: of the backbone.  Its dropout counts; `dataclasses.replace(config, dropout=0.0)` trains without.
        batch_size: B.
        length: T in tokens; for an encoder-decoder S, what the encoder reads.
        method: "full"; "head": the new head alone, or without classes an output layer of its own; "lora": LoRA and the new head.
        optimizer: "adamw", "adam", "sgd" (without momentum), "adagrad" or "adadelta".
        target_length: T of an encoder-decoder, what its decoder reads; default `length`.
        classes: C of a new head (dropout and a linear) on one vector per text; 0: no such head.
        scored: tokens at which the loss scores the vocabulary; default all, or none where there are classes.  GPT's
            classifiers do both (Radford et al. 2018, equation 5): B (T - 1) tokens.
        rank: R of LoRA (without dropout of its own).
        targets: names of the linears that LoRA hangs on, in every block.
        padded: whether the batch brings an attention mask (of the encoder, where there are two stacks).
    Returns: the ledger, without seconds.
    Raises: ConfigError for a value that cannot work.

    >>> from minidelta.model import bert_config
    >>> bert = bert_config(vocab_size=4000, d_model=64, n_layers=2, n_heads=4, d_ff=256)
    >>> print(table({method: predict(bert, 32, 40, method, classes=2) for method in METHODS}))
            total  trainable  weights MB  gradients MB  optimizer MB  activations MB  stored MB
    full  401,570    401,570       1.606         1.573         3.146          17.782      1.606
    head  401,570        130       1.606         0.001         0.001           0.009      0.001
    lora  405,666      4,226       1.623         0.017         0.034          12.682      0.017
    """
    c, targets = config, [targets] if isinstance(targets, str) else list(targets)
    _choose("method", method, METHODS)
    for target in targets:
        _choose("target", target, dict.fromkeys(name for name, _, _ in linears(c, cross=False)))
    _check(c, optimizer, classes, scored, batch_size=batch_size, length=length, target_length=target_length or 1, classes=classes or 1, rank=rank)
    written = target_length or length if c.shape == "encoder-decoder" else length
    scored = scored if scored is not None else 0 if classes else batch_size * written

    head = linear(c.d_model, classes) if classes else []
    pooler = linear(c.d_model, c.d_model) if c.pooler else []
    model = backbone(c) + lm_head(c, c.tied) + pooler + (linear(c.d_model, 2) if c.next_sentence else [])
    if method == "full":
        new, trained = head, model + head
        moved = backbone(c) + (lm_head(c, c.tied) if scored else []) + (pooler + head if classes else [])  # those in the loss
    elif method == "head":
        new, trained = head or [c.vocab_size * c.d_model] * c.tied, head or lm_head(c, tied=False)
        moved = trained
    else:
        new = trained = moved = low_rank(c, rank, targets) + head

    walk = Activations(c, batch_size, method == "full", dict.fromkeys(targets, rank) if method == "lora" else {}, padded)
    grad = walk.stack(length, [False] * c.n_layers, causal=c.shape == "decoder")
    if c.shape == "encoder-decoder":
        grad = walk.stack(written, [True] * c.n_decoder_layers, True, length, grad)
    if classes:
        walk.classify(length, classes, grad)
    if scored:
        walk.score(scored, grad, trains=method == "full" or (method == "head" and not classes))

    held = trained if optimizer == "adagrad" else moved  # Adagrad makes its sums at once, the others at a tensor's first gradient
    states = MOMENTS[optimizer] * sum(held) + len(held) * (optimizer != "sgd")
    return Ledger(sum(model + new), sum(trained), 4 * sum(model + new), 4 * sum(moved), 4 * states, walk.bytes, 4 * sum(trained))


def rehearse(
    config: TransformerConfig, delta: Any, batch_size: int, length: int, optimizer: str = "adamw", *, target_length: int | None = None,
    classes: int = 0, scored: int | None = None, padded: bool = False,
) -> Ledger:  # fmt: skip
    """What `measure` will find for a delta, whichever it is.

    The step is taken on PyTorch's meta device, where tensors have shapes and no numbers.  It costs neither the memory nor the
    time that it tells of, except that the model is made once with numbers, for those deltas that begin with its weights.  One
    thing it does not see: a CPU's kernel for LSTMs (p-tuning) keeps copies of their weights, and its flops are told but not measured.
    Args:
        delta: as built, not attached; it is left as it is.
        all others: as in `predict`.
    Returns: the ledger with `flops`, without seconds.
    Raises: ConfigError for a value that cannot work; what the delta raises at `attach`.

    >>> from minidelta.model import bert_config
    >>> from minidelta.delta import BitFit, LoRA  # or any other
    >>> bert = bert_config(vocab_size=4000, d_model=64, n_layers=2, n_heads=4, d_ff=256)
    >>> print(table({"lora": rehearse(bert, LoRA(), 32, 40, classes=2), "bitfit": rehearse(bert, BitFit(), 32, 40, classes=2)}))
              total  trainable  weights MB  gradients MB  optimizer MB  activations MB  stored MB  10^9 flops
    lora    405,666      4,226       1.623         0.017         0.034          12.692      0.017       0.573
    bitfit  403,042      1,602       1.612         0.006         0.013          12.528      0.006       0.583
    """
    _check(config, optimizer, classes, scored, batch_size=batch_size, length=length, target_length=target_length or 1, classes=classes or 1)
    model, delta = Transformer(config, seed=0).eval(), copy.deepcopy(delta)
    delta.attach(model)
    head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(config.d_model, classes)).to("meta") if classes else None
    model.train().to("meta")
    two = config.shape == "encoder-decoder"
    written = target_length or length if two else length
    ids, answers = (torch.zeros(batch_size, size, dtype=torch.long, device="meta") for size in (length, written))
    mask = torch.ones_like(ids) if padded else None

    def loss() -> Tensor:
        hidden = model.hidden(ids, mask, decoder_input_ids=answers if two else None)  # [B,T,D]
        told = delta.penalty()
        if head is not None:
            told = told + F.cross_entropy(head(model.pool(hidden) if config.pooler else hidden[:, -1].clone()), ids[:, 0])
        if scored or head is None:
            n = scored or answers.numel()
            told = told + F.cross_entropy(model.lm_logits(hidden.flatten(0, 1)[:n]), answers.flatten()[:n])
        return told

    with AsOnCPU():
        return measure(loss, model, [*delta.parameters(), *(head.parameters() if head else ())], optimizer, count=True)


class AsOnCPU(TorchFunctionMode):
    """On the meta device PyTorch writes attention out; a CPU has a kernel for it, which keeps less, unless there is dropout or a gradient of the mask."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is F.scaled_dot_product_attention:
            q, k, v, mask, dropout, causal = args
            if not dropout and not (mask is not None and mask.requires_grad):
                mask = mask if mask is None or mask.is_floating_point() else torch.zeros_like(mask, dtype=q.dtype)
                return KERNEL(q, k, v, 0.0, causal, attn_mask=mask, **(kwargs or {}))[0]
        return func(*args, **(kwargs or {}))


# Parameters: the sizes of the tensors.


def linear(d_in: int, d_out: int, bias: bool = True) -> list[int]:
    """W [d_out,d_in], b [d_out]."""
    return [d_out * d_in] + [d_out] * bias


def norm(c: TransformerConfig) -> list[int]:
    """Weight [D], and LayerNorm's bias."""
    return [c.d_model] * (2 if c.norm == "layernorm" else 1)


def linears(c: TransformerConfig, cross: bool) -> list[tuple[str, int, int]]:
    """(name, d_in, d_out) of those in a block: 4 D HK parameters for each attention, 2 D F (gated: 3 D F) for the feed-forward."""
    width = c.n_heads * c.d_head
    attention = [*((name, c.d_model, width) for name in ("q_proj", "k_proj", "v_proj")), ("o_proj", width, c.d_model)]
    return attention * (1 + cross) + [("gate_proj", c.d_model, c.d_ff)] * c.gated + [("up_proj", c.d_model, c.d_ff), ("down_proj", c.d_ff, c.d_model)]


def blocks(c: TransformerConfig) -> list[bool]:
    """One entry for each block: whether it has cross-attention."""
    return [False] * c.n_layers + [True] * c.n_decoder_layers * (c.shape == "encoder-decoder")


def backbone(c: TransformerConfig) -> list[int]:
    """V D; for each stack its positions, token types and norms; for each block its linears, and a norm for each sublayer."""
    positions = c.max_positions * c.d_model if c.positions == "learned" else c.relative_buckets * c.n_heads
    around = [positions] + [c.token_types * c.d_model] * (c.token_types > 0) + norm(c) * (c.embedding_norm + c.final_norm)
    inside = [size for cross in blocks(c) for _, d_in, d_out in linears(c, cross) for size in linear(d_in, d_out, c.bias)]
    return [c.vocab_size * c.d_model] + around * (1 + any(blocks(c))) + inside + norm(c) * sum(2 + cross for cross in blocks(c))


def lm_head(c: TransformerConfig, tied: bool) -> list[int]:
    """V D unless that is the embedding's; BERT's ("mlm") has a linear and a norm before it, and V biases."""
    before = linear(c.d_model, c.d_model) + norm(c) + [c.vocab_size] if c.lm_head == "mlm" else []
    return before + [c.vocab_size * c.d_model] * (c.lm_head is not None and not tied)


def low_rank(c: TransformerConfig, rank: int, targets: Sequence[str]) -> list[int]:
    """A [R,d_in] and B [d_out,R] for each targeted linear."""
    return [size for cross in blocks(c) for name, d_in, d_out in linears(c, cross) if name in targets for size in (rank * d_in, d_out * rank)]


class Activations:
    """Walks through the model as its `forward` does, and adds up the bytes that autograd keeps.

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
        self.bytes = 0

    def keep(self, numbers: int, when: bool = True, size: int = 4) -> None:
        self.bytes += size * numbers * when

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

    def linear(self, n: int, d_in: int, *names: str, kept: bool = False) -> None:
        """x [n,d_in], once for all linears that read it and unless it is `kept` already; A x [n,R] for each LoRA."""
        self.keep(n * d_in, self.trains(*names) and not kept)
        self.keep(n * sum(self.ranks.get(name, 0) for name in names))

    def attention(self, n: int, m: int, grad: bool, source_grad: bool, mask: int, cross: bool = False) -> bool:
        """n queries look at m keys through a mask of so many numbers.  Returns whether the result has a gradient."""
        c, width, scores = self.c, self.c.n_heads * self.c.d_head, self.c.n_heads * n * m // self.batch_size  # HK; B H T S
        q, k, v = grad or self.trains("q_proj"), source_grad or self.trains("k_proj"), source_grad or self.trains("v_proj")
        of_x, of_source = (["q_proj"], ["k_proj", "v_proj"]) if cross else (["q_proj", "k_proj", "v_proj"], [])
        self.linear(n, c.d_model, *of_x)
        self.linear(m, c.d_model, *of_source, kept=True)  # by `stack`
        # PyTorch's fused kernel knows no dropout and no gradient of a bias; with these it writes softmax(Q K^T) V out.
        written_out = self.dropout or (self.full and self.relative and not cross)
        fused = (q or k or v) and not written_out
        self.keep(2 * n * width + 2 * m * width + n * c.n_heads + mask, fused)  # q and result; k and v; log-sum-exp
        self.keep(m * width, written_out and q)  # k, for the gradient of q
        self.keep(n * width, written_out and k)  # q, for the gradient of k
        self.keep(m * width + scores, written_out and (q or k))  # v and softmax, for the gradient of the scores
        self.keep(scores, self.dropout and (q or k))  # what dropout multiplies with
        self.keep(scores, self.dropout and v)  # weights after dropout, for the gradient of v
        self.linear(n, width, "o_proj", kept=fused)
        return q or k or v or self.trains("o_proj")

    def feed_forward(self, n: int, grad: bool) -> bool:
        """Returns whether the result has a gradient."""
        c, relu, numbers = self.c, self.c.activation == "relu", n * self.c.d_ff
        up, gate = grad or self.trains("up_proj"), c.gated and (grad or self.trains("gate_proj"))
        inner = gate if c.gated else up  # whether a gradient comes back to the nonlinearity
        self.linear(n, c.d_model, "up_proj", "gate_proj")
        self.keep(numbers, inner)  # what it reads; for relu, what it gives
        self.keep(numbers, gate)  # one factor, for the gradient of the other
        self.keep(numbers, c.gated and up and not (relu and gate))  # and the other way round
        self.linear(n, c.d_ff, "down_proj", kept=inner and relu and not c.gated)
        return up or gate or self.trains("down_proj")

    def classify(self, length: int, classes: int, grad: bool) -> None:
        """Pooler, dropout, head, cross-entropy on B vectors."""
        d_model, b = self.c.d_model, self.batch_size
        self.keep(b * length * d_model, self.full and self.c.pooler)  # reads the first token's vector, a view of all of them
        self.keep(b * d_model, grad and self.c.pooler)  # tanh
        self.keep(b * d_model, grad)  # what dropout multiplies with
        self.keep(b * d_model + b * classes + 2 * b + 1)  # what the head reads; log-probabilities; labels of 8 bytes, their count

    def score(self, n: int, grad: bool, trains: bool) -> None:
        """Language-model head and cross-entropy at n tokens."""
        mlm, grad = self.c.lm_head == "mlm", grad or trains
        self.keep(n * self.c.d_model, trains)  # what the output layer reads
        self.keep(n * self.c.d_model, mlm and trains)  # what BERT's dense layer reads
        self.keep(n * self.c.d_model, mlm and grad)  # what its nonlinearity reads
        self.norm(n, mlm and grad)
        self.keep(n * self.c.vocab_size + 2 * n + 1, grad)


def bytes_per_task(ledger: Ledger, tasks: int) -> float:
    """Bytes on the disk for each of N tasks: (the frozen weights once + N times what trains) / N.

    Full fine-tuning freezes nothing, so each task is a whole copy.

    >>> full, lora = Ledger(100, 100, 400, 400, 800, 0, 400), Ledger(102, 2, 408, 8, 16, 0, 8)
    >>> bytes_per_task(full, 10), bytes_per_task(lora, 10), bytes_per_task(lora, 1000)
    (400.0, 48.0, 8.4)
    """
    return (ledger.weights - ledger.stored) / tasks + ledger.stored


def table(ledgers: dict[str, Ledger]) -> str:
    """Ledgers by name as aligned text: parameters, MB (10^6 bytes) and, where it was timed or counted, milliseconds and flops of a step."""
    rows = list(ledgers.values())
    columns = [["", *ledgers]]
    columns += [[name, *(f"{getattr(row, name):,}" for row in rows)] for name in ("total", "trainable")]
    columns += [[f"{name} MB", *(f"{getattr(row, name) / 1e6:,.3f}" for row in rows)] for name in ("weights", "gradients", "optimizer", "activations", "stored")]
    if any(row.seconds is not None for row in rows):
        columns.append(["step ms", *("" if row.seconds is None else f"{1000 * row.seconds:.1f}" for row in rows)])
    if any(row.flops is not None for row in rows):
        columns.append(["10^9 flops", *("" if row.flops is None else f"{row.flops / 1e9:.3f}" for row in rows)])
    names, *figures = [[cell.rjust(max(map(len, column))) for cell in column] for column in columns]
    names = [name.lstrip().ljust(len(name)) for name in names]
    return "\n".join("  ".join(line).rstrip() for line in zip(names, *figures))


def _check(c: TransformerConfig, optimizer: str, heads: int, scored: int | None, **counts: int) -> None:
    """Refuse what cannot work, with what was met and what would be right."""
    _choose("optimizer", optimizer, MOMENTS)
    for name, value in counts.items():
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} is {value!r}; it counts something, so give a whole number of at least 1.")
    if c.positions == "learned" and counts["length"] > c.max_positions:
        raise ConfigError(f"length is {counts['length']}, and the model has {c.max_positions} positions; give at most that many tokens.")
    if heads and c.shape == "encoder-decoder":
        raise ConfigError(f"classes is {heads}, but an encoder-decoder answers in words and gets no new head; leave classes at 0.")
    if c.lm_head is None and (scored or not heads):
        raise ConfigError("This model has no language-model head to score tokens with; say how many classes a new head has, and leave scored out.")


def _choose(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ConfigError(f"Unknown {what} {name!r}. {near_misses(str(name), known)}")
