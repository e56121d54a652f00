"""From documents to rows of token ids: cut once, grouped by length, padded little.

A batch is a list of *strips*.  A strip is a dictionary of tensors [B,T] whose rows are of like length, so that
a batch of documents between 10 and 150 tokens wastes little on padding; the gradient of a step still sees all of them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Strip = dict[str, Tensor]
STRIPS = 4  # in a batch: more would pad less, but many small matrices are slow


def cut(tokenizer, texts: list[str]) -> list[list[int]]:
    """Token ids of many texts in one call, without special tokens."""
    return [encoding.ids for encoding in tokenizer.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def by_length(rows: list, size=len, strips: int = STRIPS) -> list[list]:
    """Sort rows by length and deal them into strips of about equally many tokens.

    Args:
        rows: anything with a length in tokens.
        size: row -> its length.
        strips: how many strips to make; fewer if there are fewer rows.

    >>> by_length(["aaaa", "b", "cc", "d", "eeee"], strips=3)
    [['b', 'd', 'cc'], ['aaaa'], ['eeee']]
    """
    rows = sorted(rows, key=size)
    share = sum(size(row) for row in rows) / strips
    groups, total = [[] for _ in range(strips)], 0
    for row in rows:
        groups[min(strips - 1, int(total / share))].append(row)
        total += size(row)
    return [group for group in groups if group]


def pad(rows: Sequence[Sequence[int]], value: int) -> np.ndarray:
    """Rows of unequal length as one array [B,T], filled up on the right.

    >>> pad([[1, 2, 3], [4]], 0).tolist()
    [[1, 2, 3], [4, 0, 0]]
    """
    lengths = np.array([len(row) for row in rows])
    block = np.full((len(rows), lengths.max()), value, dtype=np.int64)
    block[np.arange(lengths.max()) < lengths[:, None]] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    return block  # [B,T]


def strip(**arrays: np.ndarray) -> Strip:
    """Arrays as tensors."""
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def size_of(batch: list[Strip]) -> tuple[int, int]:
    """Tokens read in a batch (padding not counted), and places of padding, over all its inputs."""
    masks = [s[name] for s in batch for name in ("attention_mask", "decoder_attention_mask") if name in s]
    tokens = sum(int(mask.sum()) for mask in masks)
    return tokens, sum(mask.numel() for mask in masks) - tokens
