"""The one place where a device is chosen."""

import os

import torch

from minidelta.errors import ConfigError


def device(name: str | torch.device | None = None) -> torch.device:
    """Choose the device to compute on: what was asked for, else MINIDELTA_DEVICE, else CUDA if there is one, else the CPU.

    Args:
        name: "cpu", "cuda", "cuda:1", "mps", or None to choose.
    Returns: the device.
    Raises:  ConfigError if the name is not a device, or is one that this machine does not have.

    >>> device("cpu")
    device(type='cpu')
    """
    asked = name if name is not None else os.environ.get("MINIDELTA_DEVICE") or None
    if asked is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    source = "" if name is not None else " (from MINIDELTA_DEVICE)"
    try:
        chosen = torch.device(asked)
    except (RuntimeError, TypeError):
        raise ConfigError(f"{asked!r}{source} is not a device; use cpu, cuda, cuda:N or mps.") from None
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(chosen.type, 0)
    if (chosen.index or 0) >= there:
        count = {"cpu": "one CPU", "cuda": f"{there} CUDA device(s)"}.get(chosen.type, f"no {chosen.type} device")
        raise ConfigError(f"device {asked!r}{source} was asked for, but this machine has {count}; use cpu, or leave it out.")
    return chosen
