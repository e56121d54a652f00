"""Products of thin matrices: LoRA, DoRA, PiSSA, AdaLoRA.

GPT-2's fused c_attn takes them: A of q, k and v below each other, B block by block.  Read back, each of the three gets the
whole A and its own rows of B, which does the same.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.errors import CheckpointError
from minidelta.hub.peft.folder import ALONE, Adapter, Parts, Written, refuse
from minidelta.hub.peft.modules import FUSED, OUTER, about_modules, apart, by_module, fan, named, paths_of, targets
from minidelta.model import TransformerConfig


def thin(parts: Parts, config: TransformerConfig, a: str, b: str, along: str | None = None) -> dict[str, dict[str, Tensor]]:
    """module -> A [R,d_in], B [d_out,R] and what else runs along the rank, [R]; the same R everywhere.

    Beside a fused matrix, whose rank is the sum of three, the others are filled up with zeros.
    """
    found = {}
    for module, own in by_module(parts, config).items():
        if module.endswith("c_attn"):
            own = {name: own[name] for name in FUSED if name in own}
            d_out = len(next(iter(own.values()))[b])
            joined = {b: torch.block_diag(*(own[name][b] if name in own else torch.zeros(d_out, 0) for name in FUSED))}
            joined |= {name: torch.cat([tensors[name] for tensors in own.values()]) for name in (a, along) if name}
        else:
            (joined,) = own.values()
        found[module] = joined
    rank = max(len(tensors[a]) for tensors in found.values())
    for tensors in found.values():
        lack = rank - len(tensors[a])
        tensors |= {a: F.pad(tensors[a], (0, 0, 0, lack)), b: F.pad(tensors[b], (0, lack))} | ({along: F.pad(tensors[along], (0, lack))} if along else {})
    return found


def write_lora(parts: Parts, settings: dict[str, Any], config: TransformerConfig, dora: bool = False) -> Written:
    """LoRA and what comes down to it; the scaling is told through lora_alpha = scaling * R."""
    modules = thin(parts, config, "lora_A", "lora_B")
    stored = {f"{OUTER}{module}.{name}.weight": tensors[name] for module, tensors in modules.items() for name in ("lora_A", "lora_B")}
    rank = len(next(iter(modules.values()))["lora_A"])
    return about_modules("LORA", modules, **fan(config), bias="none", lora_dropout=0.0, r=rank, lora_alpha=settings["scaling"] * rank, use_dora=dora, use_rslora=False), stored


def write_dora(parts: Parts, settings: dict[str, Any], config: TransformerConfig) -> Written:
    about, stored = write_lora(parts, settings, config, dora=True)
    if any(module.endswith("c_attn") for module in about["target_modules"]):
        raise CheckpointError("PEFT normalises the rows of GPT-2's fused q, k and v together with their one A; a DoRA on them cannot be written. Write LoRA, or target o_proj and the feed-forward.")
    for module, own in by_module(parts, config).items():
        (only,) = own.values()
        stored[f"{OUTER}{module}.lora_magnitude_vector"] = only["magnitude"]
    return about, stored


def read_lora(about: dict[str, Any], stored: dict[str, Tensor]) -> Adapter:
    """LoRA, rsLoRA (its scaling becomes part of alpha), DoRA and PiSSA."""
    refuse(about, **ALONE, layer_replication=None)
    start = about.get("init_lora_weights", True)
    if start not in (True, False, None, "gaussian", "eva", "orthogonal", "pissa"):
        raise CheckpointError(f"it began with init_lora_weights={start!r}, which also changes the backbone's weights, and how cannot be told from the folder. Convert it first: save_pretrained(path_initial_model_for_weight_conversion=...).")
    rank, dora = about["r"], bool(about.get("use_dora"))
    alpha = about["lora_alpha"] * (rank**0.5 if about.get("use_rslora") else 1.0)
    modules = named(stored, ("lora_A", "lora_B", "lora_magnitude_vector"))
    if dora and any(len(paths_of(module)) > 1 for module in modules):
        raise CheckpointError("it holds a DoRA on GPT-2's fused q, k and v, which cannot be taken apart; expected LoRA there.")
    values = apart(modules, {"lora_A": "lora_A", "lora_B": "lora_B"}, "lora_B")
    places = targets(values)
    if dora:
        values |= {f"{paths_of(module)[0]}.magnitude": tensors["lora_magnitude_vector"].reshape(-1) for module, tensors in modules.items()}
        return Adapter("dora", {"rank": rank, "alpha": alpha, "targets": places}, values)
    if start == "pissa":
        return Adapter("pissa", {"rank": rank, "targets": places}, lambda model: values_of_pissa(modules, alpha / rank, model))
    return Adapter("lora", {"rank": rank, "alpha": alpha, "dropout": float(about.get("lora_dropout") or 0.0), "targets": places}, values)


def values_of_pissa(modules: dict[str, dict[str, Tensor]], scaling: float, model: nn.Module) -> dict[str, Tensor]:
    """A and B with PEFT's scaling in them, and the principal directions that PEFT takes out of the weight when it loads."""
    values = {}
    for module, tensors in modules.items():
        paths, a = paths_of(module), tensors["lora_A"] * scaling**0.5
        whole = torch.cat([model.get_submodule(path).weight.detach().float().cpu() for path in paths])  # of the fused matrix, for GPT-2
        u, s, v = torch.linalg.svd(whole, full_matrices=False)
        root = s[: len(a)].sqrt()
        rows = {"lora_B": tensors["lora_B"] * scaling**0.5, "start_B": u[:, : len(a)] * root}
        for place, path in enumerate(paths):
            values |= {f"{path}.lora_A": a, f"{path}.start_A": root[:, None] * v[: len(a)]}
            values |= {f"{path}.{name}": value.chunk(len(paths))[place] for name, value in rows.items()}
    return values


SMALL = 1e-5  # PEFT divides AdaLoRA's alpha by R + 1e-5


def write_adalora(parts: Parts, settings: dict[str, Any], config: TransformerConfig) -> Written:
    modules = thin(parts, config, "Q", "P", along="lam")
    stored = {}
    for module, tensors in modules.items():
        stored |= {f"{OUTER}{module}.lora_{name}": tensors[ours] for name, ours in (("A", "Q"), ("B", "P"))} | {f"{OUTER}{module}.lora_E": tensors["lam"][:, None]}
    rank = len(next(iter(modules.values()))["Q"])
    schedule = {"total_step": 1, "tinit": 0, "tfinal": 0, "beta1": settings["memory"], "beta2": settings["memory"]}  # over; PEFT asks for one
    sizes = {"init_r": rank, "target_r": settings["target_rank"], "lora_alpha": settings["scaling"] * (rank + SMALL), "orth_reg_weight": settings["orthogonality"]}
    return about_modules("ADALORA", modules, **fan(config), bias="none", lora_dropout=0.0, **sizes, **schedule), stored


def read_adalora(about: dict[str, Any], stored: dict[str, Tensor]) -> Adapter:
    """Triples that PEFT has taken out of the file are silent here: rows and columns of zeros."""
    refuse(about, alpha_pattern=None, modules_to_save=None, lora_dropout=0.0)
    modules, rank = named(stored, ("lora_A", "lora_B", "lora_E")), about["init_r"]
    for tensors in modules.values():
        lack = rank - len(tensors["lora_A"])
        tensors |= {"lora_A": F.pad(tensors["lora_A"], (0, 0, 0, lack)), "lora_B": F.pad(tensors["lora_B"], (0, lack)), "lora_E": F.pad(tensors["lora_E"][:, 0], (0, lack))}
    values = apart(modules, {"lora_A": "Q", "lora_B": "P", "lora_E": "lam"}, "lora_B")
    alpha = about["lora_alpha"] * rank / (rank + SMALL) if about["lora_alpha"] > 0 else rank
    settings = {"rank": rank, "target_rank": min(rank, about["target_r"]), "alpha": alpha, "orthogonality": about["orth_reg_weight"] or 1e-9, "memory": about["beta1"]}
    return Adapter("adalora", settings | {"targets": targets(values)}, values)
