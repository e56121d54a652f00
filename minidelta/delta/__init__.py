"""Delta tuning: change little, keep the backbone frozen.

    delta = LoRA(rank=8).attach(model)
    fit(loss, batch_at, delta.groups(), steps=300, lr=delta.learning_rate)
    delta.save("my-delta")
    load_delta("my-delta").attach(model)
"""

from pathlib import Path

from minidelta.delta.adapter import HoulsbyAdapter, LowRankAdapter, ParallelAdapter, PfeifferAdapter, ScaledParallelAdapter
from minidelta.delta.audit import Audit
from minidelta.delta.base import Delta
from minidelta.delta.compacter import Compacter
from minidelta.delta.ia3 import IA3
from minidelta.delta.lora import LoRA
from minidelta.delta.p_tuning import PTuning
from minidelta.delta.prefix import PrefixTuning, PTuningV2
from minidelta.delta.prompt_tuning import PromptTuning, SPoT
from minidelta.delta.store import fingerprint, load_head, read

ADDITION = (HoulsbyAdapter, PfeifferAdapter, ParallelAdapter, ScaledParallelAdapter, LowRankAdapter, Compacter, IA3, PromptTuning, SPoT, PTuning, PrefixTuning, PTuningV2)
REPARAMETERIZATION = (LoRA,)
METHODS: dict[str, type[Delta]] = {method.name: method for method in ADDITION + REPARAMETERIZATION}

__all__ = ["ADDITION", "METHODS", "REPARAMETERIZATION", "Audit", "Delta", "fingerprint", "load_delta", "load_head", *(method.__name__ for method in METHODS.values())]


def load_delta(folder: str | Path, *, check_backbone: bool = True) -> Delta:
    """Read what `Delta.save` wrote; `attach(model)` then hangs it on the backbone it was trained on.

    Args:
        folder: holds delta.json and delta.safetensors.
        check_backbone: refuse, at `attach`, a backbone with another fingerprint.  Switch it off for the same
            model in another number format.
    Raises: DeltaError if the folder is not a saved delta, or of a method that is not known here.
    """
    return read(Path(folder), METHODS, check_backbone)
