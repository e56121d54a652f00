"""What a step will hold, from the configuration alone: closed formulas for full tuning, a new head, and LoRA."""

from collections.abc import Sequence

from minidelta.costs.checks import check, choose
from minidelta.costs.ledger import Ledger
from minidelta.costs.parameters import MOMENTS, backbone, linear, linears, lm_head, low_rank
from minidelta.costs.step import Step
from minidelta.model import TransformerConfig

METHODS = ("full", "head", "lora")


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
    Returns: the ledger, without seconds; its peak is good to a tenth.
    Raises: ConfigError for a value that cannot work.

    >>> from minidelta.model import bert_config
    >>> bert = bert_config(vocab_size=4000, d_model=64, n_layers=2, n_heads=4, d_ff=256)
    >>> from minidelta.costs import table
    >>> print(table({method: predict(bert, 32, 40, method, classes=2) for method in METHODS}))
            total  trainable  weights MB  gradients MB  optimizer MB  activations MB  stored MB  10^9 flops
    full  401,570    401,570       1.606         1.573         3.146          17.782      1.606       0.834
    head  401,570        130       1.606         0.001         0.001           0.009      0.001       0.278
    lora  405,666      4,226       1.623         0.017         0.034          12.682      0.017       0.573
    """
    c, targets = config, [targets] if isinstance(targets, str) else list(targets)
    choose("method", method, METHODS)
    for target in targets:
        choose("target", target, dict.fromkeys(name for name, _, _ in linears(c, cross=False)))
    check(c, optimizer, classes, scored, batch_size=batch_size, length=length, target_length=target_length or 1, classes=classes or 1, rank=rank)
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

    walk = Step(c, batch_size, method == "full", dict.fromkeys(targets, rank) if method == "lora" else {}, padded)
    grad = walk.stack(length, [False] * c.n_layers, causal=c.shape == "decoder")
    if c.shape == "encoder-decoder":
        grad = walk.stack(written, [True] * c.n_decoder_layers, True, length, grad)
    if classes:
        walk.classify(length, classes, grad)
    if scored:
        walk.score(scored, grad, trains=method == "full" or (method == "head" and not classes))

    held = trained if optimizer == "adagrad" else moved  # Adagrad makes its sums at once, the others at a tensor's first gradient
    states = 4 * (MOMENTS[optimizer] * sum(held) + len(held) * (optimizer != "sgd"))
    weights, gradients = 4 * sum(model + new), 4 * sum(moved)
    # Memory is fullest where the backward pass begins, or where it ends; then a tied table meets its second gradient.
    twice = 4 * c.vocab_size * c.d_model * (method == "full" and c.tied and scored > 0)
    peak = weights + states + max(walk.bytes + walk.passing[True], walk.passing[False], gradients + twice)
    flops = walk.forward + walk.backward
    return Ledger(sum(model + new), sum(trained), weights, gradients, states, walk.bytes, 4 * sum(trained), flops=flops, forward_flops=walk.forward, peak=peak)
