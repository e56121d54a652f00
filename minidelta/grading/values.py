"""Compare what came back with what was expected, and say the difference in words.

Values are compared as the child encoded them (see child.py): exact type first, then shape, dtype, finiteness, numbers.
Words tell what was expected in kind, never the numbers themselves.
"""

import base64
import contextlib
import math
from typing import Any

import torch
from torch import Tensor

from minidelta.grading.child import DEEPEST, MOST, decode

SHOWN = 6  # numbers of a tensor that a message shows
LITERAL = 120  # characters of an input that is shown whole
NUMBERS, HOLDERS = ("float", "int", "bool"), ("list", "tuple", "dict")
SIZES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1, "complex64": 8}  # bytes


def kind(value: Any) -> str:
    """The type of an encoded value, in a word.

    >>> kind({"float": "1.0"}), kind(3), kind({"other": "numpy.ndarray"})
    ('float', 'int', 'other')
    """
    return next(iter(value)) if isinstance(value, dict) else type(value).__name__


def sound(value: Any, depth: int = 0) -> bool:
    """Whether this is something that the child's `encode` writes; what comes from foreign code may be anything.

    >>> sound({"tensor": "float32", "shape": [10**9], "data": ""})
    False
    """
    if value is None or type(value) in (bool, int, str):
        return True
    if not isinstance(value, dict) or not value or depth > 2 * DEEPEST + 2:
        return False
    word, item = next(iter(value.items()))
    if word == "tensor":
        shape = value.get("shape")
        if set(value) != {"tensor", "shape", "data"} or item not in SIZES or not isinstance(value["data"], str):
            return False
        if not isinstance(shape, list) or not all(type(side) is int and 0 <= side <= MOST for side in shape):
            return False
        with contextlib.suppress(ValueError):
            return math.prod(shape) <= MOST and len(base64.b64decode(value["data"], validate=True)) == math.prod(shape) * SIZES[item]
        return False
    if set(value) != {word}:
        return False
    if word == "float":
        with contextlib.suppress(TypeError, ValueError):
            float(item)
            return isinstance(item, str)
        return False
    if word == "dict":
        return isinstance(item, list) and all(isinstance(pair, list) and len(pair) == 2 and all(sound(part, depth + 1) for part in pair) for pair in item)
    return (word in ("list", "tuple") and isinstance(item, list) and all(sound(part, depth + 1) for part in item)) or (word == "other" and isinstance(item, str))


def describe(value: Any, numbers: bool = True) -> str:
    """An encoded value in a line: type, shape, dtype, and (if `numbers`) the first of them.

    >>> from minidelta.grading.child import encode
    >>> describe(encode(torch.tensor([[1.0, 2.5]])))
    'tensor [1, 2] float32: 1 2.5'
    >>> describe(encode((1, "a")), numbers=False)
    'tuple of 2: int, str'
    """
    word = kind(value)
    if word == "tensor":
        head = f"tensor {value['shape']} {value['tensor']}"
        if not numbers:
            return head
        flat = decode(value).reshape(-1)
        more = " ..." if flat.numel() > SHOWN else ""
        return f"{head}: {' '.join(_number(item) for item in flat[:SHOWN].tolist())}{more}"
    if word in ("list", "tuple"):
        parts = [describe(item, numbers) for item in value[word]]
        more = ", ..." if len(parts) > 4 else ""
        return f"{word} of {len(parts)}" + (f": {', '.join(parts[:4])}{more}" if parts else "")
    if word == "dict":
        parts = [f"{_plain(key)}: {describe(item, numbers)}" for key, item in value["dict"]]
        more = ", ..." if len(parts) > 4 else ""
        return f"dict of {len(parts)}" + (f": {', '.join(parts[:4])}{more}" if parts else "")
    if word == "NoneType":
        return "None"
    if word == "other":
        return value["other"]
    if not numbers or (isinstance(value, dict) and word != "float"):
        return word
    return f"{word} {_number(float(value['float']))}" if word == "float" else f"{word} {_short(repr(value))}"


def written(value: Any) -> str:
    """An encoded value as one would type it, if that is short; else `describe`.

    >>> from minidelta.grading.child import encode
    >>> written(encode(["a", 2.5])), written(encode(torch.tensor([1.0, 2.0]))), written(encode(list(range(99))))
    ("['a', 2.5]", 'tensor([1., 2.])', 'list of 99: int 0, int 1, int 2, int 3, ...')
    """
    words = " ".join(repr(decode(value)).split()) if kind(value) != "other" else ""
    return words if 0 < len(words) <= LITERAL else describe(value)


def _plain(key: Any) -> str:
    return repr(decode(key)) if not isinstance(key, str) else repr(key)


def _number(number: Any) -> str:
    return f"{number:.4g}" if isinstance(number, float) else str(number)


def _short(words: str) -> str:
    return words if len(words) <= 60 else words[:57] + "..."


def differ(got: Any, want: Any, tolerance: float, what: str = "the answer") -> str | None:
    """What is wrong with an encoded value, or None if it is right.

    Args:
        got, want: encoded values.
        tolerance: of numbers, absolute and relative.
        what: how to call the value in the words.

    >>> from minidelta.grading.child import encode
    >>> differ(encode(torch.ones(2, 3)), encode(torch.ones(3, 2)), 1e-4)
    'the answer has shape [2, 3], expected [3, 2]: is it transposed?'
    >>> differ(encode(torch.ones(2)), encode(torch.full((2,), 4.0)), 1e-4)
    'every number of the answer is 0.25 times what it should be'
    >>> differ(None, encode(1.0), 1e-4)
    'the answer is None, expected float: is a `return` missing?'
    """
    has, needs = kind(got), kind(want)
    if has != needs or has == "other":
        tail, foreign = "", str(got.get("other")) if has == "other" else ""
        if got is None and what == "the answer":
            tail = ": is a `return` missing?"
        elif foreign.startswith("numpy"):
            tail = f": make it a Python number, {needs}(x)" if needs in NUMBERS else ": stay with torch, without .numpy()"
        elif has == "tensor" and needs in NUMBERS and got["shape"] == []:
            tail = ": take the number out with .item()"
        elif needs == "tensor" and has in ("float", "int"):
            tail = ": keep it a tensor"
        if {has, needs} <= set(HOLDERS):
            return f"{what} is {_article(has)}, expected {_article(needs)}"
        return f"{what} is {_article(describe(got, numbers=False))}, expected {describe(want, numbers=False)}{tail}"
    if has == "tensor":
        return _differ_tensors(got, want, tolerance, what)
    if has in ("list", "tuple"):
        if len(got[has]) != len(want[has]):
            surplus = [item for item in got[has] if item not in want[has]]
            more = f": {_short(repr(surplus[0]))} is one that does not belong" if surplus and isinstance(surplus[0], str) else ""
            return f"{what} has {len(got[has])} {'entry' if len(got[has]) == 1 else 'entries'}, expected {len(want[has])}{more}"
        pairs = [(f"{what}[{place}]", one, other) for place, (one, other) in enumerate(zip(got[has], want[has]))]
    elif has == "dict":
        ours, theirs = ({str(_plain(key)): item for key, item in value["dict"]} for value in (want, got))
        if set(ours) != set(theirs):
            missing, surplus = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
            return f"{what} has the wrong keys: " + "; ".join([f"missing {', '.join(missing)}"] * bool(missing) + [f"not asked for {', '.join(surplus)}"] * bool(surplus))
        pairs = [(f"{what}[{key}]", theirs[key], ours[key]) for key in ours]
    elif has == "float":
        one, other = float(got["float"]), float(want["float"])
        close = one == other or abs(one - other) <= tolerance * (1 + abs(other)) or (one != one and other != other)
        return None if close else f"{what} is {_number(one)}, which is not right{_pattern(torch.tensor([one]), torch.tensor([other]), tolerance)}"
    else:
        return None if got == want else f"{what} is {_short(repr(got))}, which is not right"
    return next((words for name, one, other in pairs if (words := differ(one, other, tolerance, name))), None)


def _article(words: str) -> str:
    return words if words == "None" else f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _differ_tensors(got: dict, want: dict, tolerance: float, what: str) -> str | None:
    if got["shape"] != want["shape"]:
        turned = ": is it transposed?" if len(got["shape"]) > 1 and sorted(got["shape"]) == sorted(want["shape"]) else ""
        return f"{what} has shape {got['shape']}, expected {want['shape']}{turned}"
    if got["tensor"] != want["tensor"]:
        return f"{what} has dtype {got['tensor']}, expected {want['tensor']}"
    one, other = decode(got), decode(want)
    if torch.equal(one, other):
        return None
    if not one.is_floating_point():
        first = (one != other).nonzero()[0].tolist()
        return f"{what} has the right shape, but is wrong first at {first}, where it has {one[tuple(first)].item()}"
    if (one.isnan() & ~other.isnan()).any():
        return f"{what} holds NaN: a division by zero, or a softmax over nothing but -inf?"
    if torch.allclose(one.double(), other.double(), rtol=tolerance, atol=tolerance, equal_nan=True):
        return None
    if (one.isinf() & ~other.isinf()).any():
        return f"{what} holds infinite numbers"
    if words := _pattern(one, other, tolerance):
        return f"{f'every number of {what}' if one.numel() > 1 else what} is{words.removeprefix(': it is')}"
    close = torch.isclose(one.double(), other.double(), rtol=tolerance, atol=tolerance, equal_nan=True)
    first = (~close).nonzero()[0].tolist()
    return f"{what} has the right shape, but {int((~close).sum())} of {close.numel()} numbers are wrong, the first at {first}, where it has {_number(one[tuple(first)].item())}"


def _pattern(one: Tensor, other: Tensor, tolerance: float) -> str:
    """A constant factor between two tensors, if there is one, in words.

    Between two single numbers there always is one, so there it is told only if it is round, such as 2 or 1/3.
    """
    one, other = one.double().reshape(-1), other.double().reshape(-1)
    sure = other.abs() > 10 * tolerance
    if not sure.any() or not (one.isfinite().all() and other.isfinite().all()):
        return ""
    factor = (one[sure] / other[sure]).median().item()
    if abs(factor) < 1e-3 or not torch.allclose(one, factor * other, rtol=10 * tolerance, atol=tolerance):
        return ""
    large = max(abs(factor), 1 / abs(factor))
    if (factor > 0 and large < 1.02) or (one.numel() == 1 and abs(large - round(large)) > 0.01):
        return ""
    return ": it is the negative of what it should be" if abs(factor + 1) < 1e-3 else f": it is {factor:.3g} times what it should be"


def changed(before: Any, after: Any, allowed: tuple[str, ...]) -> str | None:
    """Name an input that was changed in place, or None.

    Args:
        before, after: the encoded inputs.
        allowed: names that the answer is meant to change.
    """
    if not isinstance(after, dict) or "dict" not in after:
        return None
    for (name, one), (_, other) in zip(before["dict"], after["dict"]):
        if name not in allowed and differ(other, one, 0.0) is not None:
            return f"the input `{name}` was changed in place: work on a copy ({'x = x + ..., not x += ...' if kind(one) == 'tensor' else f'begin with {kind(one)}({name})'})"
    return None
