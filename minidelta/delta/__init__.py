"""Delta tuning: change little, keep the backbone frozen.

    delta = LoRA(rank=8).attach(model)
    fit(loss, batch_at, delta.groups(), steps=300, lr=delta.learning_rate)
    delta.save("my-delta")
    load_delta("my-delta").attach(model)
"""

from pathlib import Path

from minidelta.delta.audit import Audit
from minidelta.delta.base import Delta
from minidelta.delta.lora import LoRA
from minidelta.delta.store import fingerprint, load_head, read

METHODS: dict[str, type[Delta]] = {"lora": LoRA}

__all__ = ["METHODS", "Audit", "Delta", "LoRA", "fingerprint", "load_delta", "load_head"]


def load_delta(folder: str | Path, *, check_backbone: bool = True) -> Delta:
    """Read what `Delta.save` wrote; `attach(model)` then hangs it on the backbone it was trained on.

    Args:
        folder: holds delta.json and delta.safetensors.
        check_backbone: refuse, at `attach`, a backbone with another fingerprint.  Switch it off for the same
            model in another number format.
    Raises: DeltaError if the folder is not a saved delta, or of a method that is not known here.
    """
    return read(Path(folder), METHODS, check_backbone)
