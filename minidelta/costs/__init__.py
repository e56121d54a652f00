"""The ledger of one training step: what holds how many bytes, what a task leaves on the disk, how long a step takes.

`measure` looks at a real step.  `predict` reaches the same figures from the configuration alone, so that it can also
answer for models that do not fit here.  `rehearse` takes the step with shapes in place of numbers, and so answers for any
delta.  Sizes are in bytes; the formulas are those of float32 on a CPU (a GPU's kernels for attention and dropout keep less).

    weights      4 for each parameter                 gradients   4 for each parameter that trains
    optimizer    Adam: 2 x 4 for each parameter that trains, its two moments (Kingma and Ba 2015, algorithm 1)
    activations  what the forward pass keeps for the backward pass.  A linear y = W x keeps x only where W trains, for
                 dL/dW = dL/dy x^T; it hands dL/dx = W^T dL/dy down without x.  Nothing is kept below the lowest part
                 that trains.  That is what a frozen backbone saves; norms, attention and nonlinearities keep theirs.
    peak         weights + optimizer + the larger of (activations, with the widest gradients passing by) and (gradients):
                 while the backward pass goes down, gradients come and activations go
    flops        2 for each number of W and each x in the forward pass; backward as many for dL/dx, and for dL/dW where W
                 trains: a frozen backbone saves a third of the step

Letters: B batch, T tokens, S source tokens, D model width, H heads, K width of a head, F feed-forward, V vocabulary,
C classes, R rank.  The files: `ledger`, what is written down; `measurement` of a real step; `parameters` and `step`, the
formulas, and `prediction`, which adds them up; `rehearsal` on shapes; `checks`, what is refused.
"""

from minidelta.costs.ledger import Ledger, bytes_per_task, table
from minidelta.costs.measurement import measure
from minidelta.costs.parameters import MOMENTS
from minidelta.costs.prediction import METHODS, predict
from minidelta.costs.rehearsal import rehearse

__all__ = ["METHODS", "MOMENTS", "Ledger", "bytes_per_task", "measure", "predict", "rehearse", "table"]
