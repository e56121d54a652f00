"""Delta tuning: change little, keep the backbone frozen.

    delta = LoRA(rank=8).attach(model)
    fit(loss, batch_at, delta.groups(), steps=300, lr=delta.learning_rate)
    delta.save("my-delta")
    load_delta("my-delta").attach(model)
"""

from pathlib import Path

from minidelta.delta.adalora import AdaLoRA
from minidelta.delta.adapter import HoulsbyAdapter, LowRankAdapter, ParallelAdapter, PfeifferAdapter, ScaledParallelAdapter
from minidelta.delta.adapter_drop import AdapterDrop
from minidelta.delta.adapter_fusion import AdapterFusion
from minidelta.delta.arithmetic import TaskArithmetic, task_vector
from minidelta.delta.audit import Audit
from minidelta.delta.base import Delta
from minidelta.delta.bitfit import BitFit, LNTuning
from minidelta.delta.compacter import Compacter
from minidelta.delta.diff_pruning import DiffPruning
from minidelta.delta.dora import DoRA
from minidelta.delta.galore import GaLore
from minidelta.delta.ia3 import IA3
from minidelta.delta.intrinsic import DID, SAID
from minidelta.delta.ipt import IPT, find_subspace
from minidelta.delta.ladder import LST
from minidelta.delta.last_layers import LastLayers
from minidelta.delta.lora import LoRA
from minidelta.delta.lora_variants import LoRAFA, LoRAPlus, PiSSA, RsLoRA
from minidelta.delta.mam import MAM
from minidelta.delta.masking import Masking
from minidelta.delta.mixed import Mixed
from minidelta.delta.oft import OFT
from minidelta.delta.p_tuning import PTuning
from minidelta.delta.prefix import PrefixTuning, PTuningV2
from minidelta.delta.products import KronA, LoHa, LoKr
from minidelta.delta.prompt_tuning import PromptTuning, SPoT
from minidelta.delta.side_tuning import SideTuning
from minidelta.delta.sparse import FISH, MagnitudeSparse, RandomSparse
from minidelta.delta.store import fingerprint, load_head, read
from minidelta.delta.token_embeddings import TokenEmbeddings
from minidelta.delta.tree import tree
from minidelta.delta.unified import Change, Design, gated_heads
from minidelta.delta.unipelt import UniPELT
from minidelta.delta.vera import VeRA

# Ding et al. 2022 sort deltas by what is new: parameters are added, chosen among those of the model, or written in another way.
ADDITION = (
    HoulsbyAdapter, PfeifferAdapter, ParallelAdapter, ScaledParallelAdapter, LowRankAdapter, Compacter, AdapterDrop, AdapterFusion,
    IA3, PromptTuning, SPoT, PTuning, PrefixTuning, PTuningV2, LST, SideTuning, MAM, UniPELT, Design,
)  # fmt: skip
SPECIFICATION = (BitFit, LNTuning, LastLayers, TokenEmbeddings, Masking, DiffPruning, FISH, RandomSparse, MagnitudeSparse, TaskArithmetic)
REPARAMETERIZATION = (LoRA, RsLoRA, LoRAPlus, LoRAFA, PiSSA, DoRA, AdaLoRA, VeRA, LoHa, LoKr, KronA, OFT, DID, SAID, IPT)
METHODS: dict[str, type[Delta]] = {method.name: method for method in ADDITION + SPECIFICATION + REPARAMETERIZATION}

__all__ = ["ADDITION", "METHODS", "REPARAMETERIZATION", "SPECIFICATION", "Audit", "Change", "Delta", "find_subspace", "GaLore", "Mixed", "fingerprint", "gated_heads", "load_delta", "load_head", "task_vector", "tree", *(method.__name__ for method in METHODS.values())]


def load_delta(folder: str | Path, *, check_backbone: bool = True) -> Delta:
    """Read what `Delta.save` wrote; `attach(model)` then hangs it on the backbone it was trained on.

    Args:
        folder: holds delta.json and delta.safetensors, or what PEFT's `save_pretrained` wrote (README.md beside this file: of which methods).
        check_backbone: refuse, at `attach`, a backbone with another fingerprint.  Switch it off for the same
            model in another number format.
    Raises: DeltaError if the folder is not a saved delta, or of a method that is not known here.
    """
    return read(Path(folder), METHODS, check_backbone)
