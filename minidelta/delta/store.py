"""A delta on disk: a folder of kilobytes.

    delta.safetensors   the values, named by site: layers.0.attn.q_proj.lora_A
    delta.json          method, settings, targets, how many parameters in which dtype, and the fingerprint of the backbone it was trained on
    head.safetensors    the task head, if there is one: it goes with the delta but is never mixed into it

The backbone itself is not written.  Its fingerprint lets a delta refuse a backbone it was not trained on.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import minidelta
from minidelta.delta.compress import compress, expand
from minidelta.errors import DeltaError, near_misses
from minidelta.hub import peft
from minidelta.hub.weights import write_folder

if TYPE_CHECKING:
    from minidelta.delta.base import Delta


def save(delta: "Delta", folder: Path, head: nn.Module | None = None, format: str = "minidelta", dtype: str | None = None) -> Path:
    """Write an attached delta, and a task head beside it.

    With a `dtype` what trains is compressed; what a family keeps beside it (places, fixed matrices) and the head are not.
    Raises: DeltaError for an unknown format or dtype, or a family that PEFT's format is not written for.
    """
    if format != "minidelta":
        return _save_for_peft(delta, folder, head, format, dtype)
    about = {"method": delta.name, "settings": delta.settings, "targets": delta.targets, "parameters": delta.num_parameters(), "dtype": dtype, "head": head is not None, "backbone": fingerprint(delta.model), "minidelta": minidelta.__version__}
    values: dict[str, Tensor] = {}
    for name, value in _named(delta.parts_by_path()).items():
        values |= compress(name, value, dtype) if isinstance(value, nn.Parameter) else {name: value.contiguous()}

    def write(inside: Path) -> None:
        save_file(values, inside / "delta.safetensors")
        if head is not None:
            save_file({name: value.contiguous() for name, value in head.state_dict().items()}, inside / "head.safetensors")
        (inside / "delta.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    if head is None:
        (folder / "head.safetensors").unlink(missing_ok=True)  # never leave another task's head beside this delta
    write_folder(folder, write)
    return folder


def _save_for_peft(delta: "Delta", folder: Path, head: nn.Module | None, format: str, dtype: str | None) -> Path:
    """Write an adapter folder of PEFT."""
    if format != "peft":
        raise DeltaError(f"format is {format!r}. {near_misses(str(format), ['minidelta', 'peft'])}")
    if delta.peft is None:
        raise DeltaError(f"PEFT has no method that does what {type(delta).__name__} does. Save it without format.")
    if dtype is not None:
        raise DeltaError(f"PEFT keeps the values as they are, and dtype is {dtype!r}. Save with format='minidelta', or leave dtype out.")
    if head is not None:
        raise DeltaError("PEFT's format has no place for a task head of ours. Save the head with format='minidelta', or leave it out.")
    peft.write(folder, delta.peft, delta.for_peft(), delta.settings | {"scaling": getattr(delta, "scaling", 1.0)}, delta.model.config)
    return folder


def read(folder: Path, methods: dict[str, type["Delta"]], check_backbone: bool) -> "Delta":
    """Build the delta that a folder describes, in our form or in PEFT's; its values wait for `attach`."""
    if (folder / peft.CONFIG).exists() and not (folder / "delta.json").exists():
        found = peft.read(folder)
        delta = methods[found.method](**found.settings)
        delta.loaded = found.values  # PEFT keeps no fingerprint of the backbone
        return delta
    try:
        about = json.loads((folder / "delta.json").read_text(encoding="utf-8"))
        method = about["method"]
        values = expand(load_file(folder / "delta.safetensors"))
    except Exception as problem:
        raise DeltaError(f"{folder} does not hold a readable delta ({problem}). Give the folder that Delta.save wrote.") from problem
    if not isinstance(method, str) or method not in methods:
        raise DeltaError(f"{folder} holds a delta of the method {method!r}. {near_misses(str(method), methods)}")
    try:
        delta = methods[method](targets=about["targets"], **about["settings"])
        delta.loaded, delta.backbone = values, about["backbone"] if check_backbone else None
    except (KeyError, TypeError) as problem:
        raise DeltaError(f"{folder}/delta.json lacks a setting or has one too many ({problem}). It was written by minidelta {about.get('minidelta', '?')}, this is {minidelta.__version__}.") from problem
    return delta


def check_backbone(model: nn.Module, trained_on: str) -> None:
    """Refuse a backbone that a delta was not trained on.  Raises: DeltaError."""
    if trained_on != (here := fingerprint(model)):
        raise DeltaError(f"This delta was trained on another backbone: fingerprint {trained_on[:12]} in the file, {here[:12]} here. Load the model it was trained on, or say load_delta(..., check_backbone=False).")


@torch.no_grad()
def fill(parts: dict[str, nn.Module], values: dict[str, Tensor]) -> None:
    """Give freshly built parts the values that were read.

    Raises: DeltaError for tensors that are missing, left over or of another shape.
    """
    fresh = _named(parts)
    wanted = {name: list(value.shape) for name, value in fresh.items()}
    found = {name: list(value.shape) for name, value in values.items()}
    wrong = [f"  {name}: {found.get(name, 'missing')} in the file, {wanted.get(name, 'absent')} here" for name in sorted(found.keys() | wanted.keys()) if found.get(name) != wanted.get(name)]
    if wrong:
        raise DeltaError(f"The saved delta does not fit this model: {len(wrong)} tensors differ. Load the model it was trained on.\n" + "\n".join(wrong))
    for name, value in fresh.items():
        value.copy_(values[name])


def load_head(folder: str | Path, head: nn.Module) -> nn.Module:
    """Fill a task head with the values saved beside a delta.

    Raises: DeltaError if there is no head beside the delta, or one of other shapes.
    """
    file = Path(folder) / "head.safetensors"
    if not file.exists():
        raise DeltaError(f"No head was saved in {folder}. Save it with delta.save(folder, head=head).")
    try:
        head.load_state_dict(load_file(file))
    except Exception as problem:
        raise DeltaError(f"The head in {folder} belongs to another task: {str(problem).splitlines()[-1].strip()}") from problem
    return head


@torch.no_grad()
def fingerprint(model: nn.Module) -> str:
    """SHA-256 over the backbone's configuration, names and values, as they are without any merged delta."""
    before: dict[str, Tensor] = {}
    for delta in reversed(getattr(model, "deltas", [])):  # merged last comes first, so the oldest values win
        before |= delta.originals
    digest = hashlib.sha256(repr(model.config).encode())
    for name, value in sorted(model.backbone_state().items()):
        digest.update(name.encode())
        digest.update(before.get(name, value).detach().float().cpu().contiguous().numpy())
    return digest.hexdigest()


def _named(parts: dict[str, nn.Module]) -> dict[str, Any]:
    """Every tensor of the parts under the name of the first part that holds it: what parts share is one tensor."""
    named: dict[int, tuple[str, Tensor]] = {}
    for path, part in parts.items():
        for name, value in part.state_dict(keep_vars=True).items():
            named.setdefault(id(value), (f"{path}.{name}", value))
    return dict(named.values())
