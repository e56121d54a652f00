"""`minidelta bench`: ours against `transformers` and `peft`, on the same weights, batch and number type, in one process.

    pairs.py     two ways through the same work, in turns A B A B: times, ratios, and whether both found the same
    models.py    the shapes, and the same weights opened by both libraries
    contests.py  what is measured: forward, training steps, writing, attaching, saving; the goal of each
    report.py    the table and the picture

A ratio is ours over theirs within one pair, so that whatever else the machine does meets both alike; below 1 ours is faster.
"""

from minidelta.bench.models import SHAPES
from minidelta.bench.report import compare, figure, table

__all__ = ["SHAPES", "compare", "figure", "table"]
