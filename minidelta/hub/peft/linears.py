"""Other methods on linear layers: VeRA, LoHa, LoKr, OFT.  Of these, only PEFT's VeRA knows the linears of GPT-2."""

from math import isqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.errors import CheckpointError
from minidelta.hub.peft.folder import ALONE, Adapter, Parts, Written, refuse
from minidelta.hub.peft.modules import FUSED, OUTER, about_modules, apart, by_module, fan, named, no_conv1d, paths_of, targets
from minidelta.model import TransformerConfig


def write_vera(parts: Parts, settings: dict[str, Any], config: TransformerConfig) -> Written:
    """PEFT has one A and one B for all, as large as the largest layer, and each layer reads a corner of them.

    Ours has a pair for each size.  They stand beside each other: each pair has ranks of its own, and d is zero at those of the others.
    """
    modules, blocks = by_module(parts, config), {}
    for module, own in modules.items():
        for name, tensors in own.items():
            first = FUSED.index(name) * len(tensors["b"]) if module.endswith("c_attn") else 0  # its rows in the fused matrix
            blocks.setdefault((*tensors["A"].shape, len(tensors["b"]), first), (len(blocks), tensors["A"], tensors["B"]))
    rank = next(iter(blocks))[0]
    A = torch.zeros(rank * len(blocks), max(d_in for _, d_in, _, _ in blocks))
    B = torch.zeros(max(3 * len(t["b"]) if module.endswith("c_attn") else len(t["b"]) for module, own in modules.items() for t in own.values()), len(A))
    for (_, d_in, d_out, first), (place, a, b) in blocks.items():
        ranks = slice(rank * place, rank * (place + 1))
        A[ranks, :d_in], B[first : first + d_out, ranks] = a, b
    stored = {"base_model.vera_A": A, "base_model.vera_B": B}
    for module, own in modules.items():
        d, d_out = torch.zeros(len(A)), len(next(iter(own.values()))["b"])
        b = torch.zeros(d_out * (3 if module.endswith("c_attn") else 1))
        for name, tensors in own.items():
            first = FUSED.index(name) * d_out if module.endswith("c_attn") else 0
            place = blocks[(*tensors["A"].shape, d_out, first)][0]
            d[rank * place : rank * (place + 1)], b[first : first + d_out] = tensors["d"], tensors["b"]
        stored |= {f"{OUTER}{module}.vera_lambda_d": d, f"{OUTER}{module}.vera_lambda_b": b}
    return about_modules("VERA", modules, **fan(config), bias="none", vera_dropout=0.0, r=len(A), save_projection=True, projection_prng_key=0), stored


def read_vera(about: dict[str, Any], stored: dict[str, Tensor]) -> Adapter:
    """A and B come with it, so ours keeps them, too (seed=None)."""
    refuse(about, modules_to_save=None, vera_dropout=0.0, bias="none")
    if "base_model.vera_A" not in stored:
        raise CheckpointError("it was saved without its random matrices. Save it again with VeraConfig(save_projection=True).")
    A, B = stored.pop("base_model.vera_A"), stored.pop("base_model.vera_B")
    modules = named(stored, ("vera_lambda_d", "vera_lambda_b"))
    values = apart(modules, {"vera_lambda_d": "d", "vera_lambda_b": "b"}, "vera_lambda_b")
    for module, tensors in modules.items():
        paths = paths_of(module)
        values |= {f"{path}.B": piece.clone() for path, piece in zip(paths, B[: len(tensors["vera_lambda_b"])].chunk(len(paths)))}

    def with_a(model: nn.Module) -> dict[str, Tensor]:
        return values | {f"{path}.A": A[:, : model.get_submodule(path).in_features].clone() for path in targets(values)}

    return Adapter("vera", {"rank": len(A), "seed": None, "targets": targets(values)}, with_a)


def write_loha(parts: Parts, settings: dict[str, Any], config: TransformerConfig) -> Written:
    no_conv1d("LoHa", config)
    modules = by_module(parts, config)
    names = {"B_1": "hada_w1_a", "A_1": "hada_w1_b", "B_2": "hada_w2_a", "A_2": "hada_w2_b"}
    stored = {f"{OUTER}{module}.{theirs}": tensors[ours] for module, own in modules.items() for tensors in own.values() for ours, theirs in names.items()}
    return about_modules("LOHA", modules, r=settings["rank"], alpha=settings["alpha"], rank_dropout=0.0, module_dropout=0.0), stored


def read_loha(about: dict[str, Any], stored: dict[str, Tensor]) -> Adapter:
    refuse(about, **ALONE)
    modules = named(stored, ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"))
    values = apart(modules, {"hada_w1_a": "B_1", "hada_w1_b": "A_1", "hada_w2_a": "B_2", "hada_w2_b": "A_2"}, "")
    return Adapter("loha", {"rank": about["r"], "alpha": about["alpha"], "targets": targets(values)}, values)


def write_lokr(parts: Parts, settings: dict[str, Any], config: TransformerConfig) -> Written:
    """LoKr, and KronA as a LoKr whose second factor is whole, which PEFT takes from a rank of half its larger side on."""
    no_conv1d("LoKr", config)
    modules = by_module(parts, config)
    sides = [max(len(tensors["right_B"]), (tensors["right_A"] if "right_A" in tensors else tensors["right_B"]).size(1)) for own in modules.values() for tensors in own.values()]
    rank = settings.get("rank") or -(-max(sides) // 2)
    stored = {}
    for (module, own), side in zip(modules.items(), sides):
        (tensors,) = own.values()
        thin_pair = {"lokr_w2_a": tensors["right_B"], "lokr_w2_b": tensors["right_A"]} if "right_A" in tensors and rank < side / 2 else None
        right = thin_pair or {"lokr_w2": tensors["right_B"] @ tensors["right_A"] if "right_A" in tensors else tensors["right_B"]}
        stored |= {f"{OUTER}{module}.{name}": value for name, value in ({"lokr_w1": tensors["left"]} | right).items()}
    return about_modules("LOKR", modules, r=rank, alpha=settings["scaling"] * rank, decompose_factor=-1, rank_dropout=0.0, module_dropout=0.0), stored


def read_lokr(about: dict[str, Any], stored: dict[str, Tensor]) -> Adapter:
    """A second factor that is whole becomes a product with the identity, and the rank of all as large as that asks for."""
    refuse(about, **ALONE, decompose_factor=-1)
    modules, rank = named(stored, ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b")), about["r"]
    scaling, values = about["alpha"] / rank, {}
    rank = max(rank, *(min(tensors["lokr_w2"].shape) if "lokr_w2" in tensors else 0 for tensors in modules.values()))
    for module, tensors in modules.items():
        (path,) = paths_of(module)
        left = tensors["lokr_w1"] if "lokr_w1" in tensors else tensors["lokr_w1_a"] @ tensors["lokr_w1_b"]
        if "lokr_w2" in tensors:
            whole = tensors["lokr_w2"]  # [k,j]
            b, a = (torch.eye(len(whole)), whole) if len(whole) <= whole.size(1) else (whole, torch.eye(whole.size(1)))
        else:
            b, a = tensors["lokr_w2_a"], tensors["lokr_w2_b"]
        values |= {f"{path}.left": left, f"{path}.right_B": F.pad(b, (0, rank - b.size(1))), f"{path}.right_A": F.pad(a, (0, 0, 0, rank - len(a)))}
    return Adapter("lokr", {"rank": rank, "alpha": scaling * rank, "targets": targets(values)}, values)


def write_oft(parts: Parts, settings: dict[str, Any], config: TransformerConfig) -> Written:
    no_conv1d("OFT", config)
    modules = by_module(parts, config)
    stored = {f"{OUTER}{module}.oft_R.weight": tensors["angles"] for module, own in modules.items() for tensors in own.values()}
    return about_modules("OFT", modules, **fan(config), bias="none", r=0, oft_block_size=settings["block_size"], use_cayley_neumann=False, coft=False, block_share=False, module_dropout=0.0), stored


def read_oft(about: dict[str, Any], stored: dict[str, Tensor]) -> Adapter:
    refuse(about, modules_to_save=None, bias="none", coft=False, block_share=False)
    if about.get("use_cayley_neumann"):
        raise CheckpointError("it turns by a Neumann series, which is only nearly a rotation; ours is the exact Cayley transform. Train it with OFTConfig(use_cayley_neumann=False).")
    values = apart(named(stored, ("oft_R",)), {"oft_R": "angles"}, "")
    sizes = {(1 + isqrt(1 + 8 * value.size(1))) // 2 for value in values.values()}  # b (b - 1) / 2 angles in a block
    if len(sizes) > 1:
        raise CheckpointError(f"its layers have blocks of the sizes {sorted(sizes)}; ours has one size for all. Train it with oft_block_size.")
    return Adapter("oft", {"block_size": sizes.pop(), "targets": targets(values)}, values)
