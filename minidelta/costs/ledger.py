"""The ledger itself: one line of figures for one training step, and what is made of it.

Sizes are in bytes.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Ledger:
    """One training step.

    total, trainable: parameters of model, head and delta (shared ones once), and those of them that train.
    weights, gradients, optimizer, activations: bytes held.
    stored: bytes of what trains, which every further task adds on the disk.
    seconds: of the whole step; None if not timed.  Not compared.
    flops: multiplications and additions in the matrix products of forward and backward pass; None if not counted.  Not compared.
    forward_flops: those of them in the forward pass.
    peak: bytes held at the worst moment of forward and backward pass, what is held between steps (weights, optimizer, a
        delta's fixed numbers) included; None if not watched.  Not compared.
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
    forward_flops: int | None = field(default=None, compare=False)
    peak: int | None = field(default=None, compare=False)


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
