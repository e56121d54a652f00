"""The two files of an adapter folder of PEFT, and what a reader hands on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from minidelta.errors import CheckpointError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
Parts = dict[str, dict[str, Tensor]]  # path -> its tensors
Written = tuple[dict[str, Any], dict[str, Tensor]]  # what goes into the two files
PLAIN = {"task_type": None, "base_model_name_or_path": None, "inference_mode": True}  # of every configuration


class Adapter(NamedTuple):
    """What was read.

    method, settings: of ours; the settings are what its constructor takes, `targets` among them.
    values: tensors by our names, or where PEFT's values can only be told apart from the backbone's, a function of the model.
    """

    method: str
    settings: dict[str, Any]
    values: dict[str, Tensor] | Callable[[nn.Module], dict[str, Tensor]]


ALONE = dict(rank_pattern=None, alpha_pattern=None, modules_to_save=None)  # for `refuse`: one rank for all, and no head


def write_folder(folder: Path, about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write configuration and tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().float().cpu().contiguous().clone() for name, value in tensors.items()}, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(PLAIN | about, indent=2) + "\n", encoding="utf-8")


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors.

    Raises: CheckpointError if one of them cannot be read.
    """
    try:
        about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        stored = load_file(folder / WEIGHTS)
        about["peft_type"]
    except Exception as problem:
        raise CheckpointError(f"{folder} does not hold a readable PEFT adapter ({problem}). Give the folder that PeftModel.save_pretrained wrote.") from problem
    return about, stored


def refuse(about: dict[str, Any], **expected: Any) -> None:
    """Refuse settings that have no place here: each must be as expected, or not be set at all."""
    for key, value in expected.items():
        if about.get(key) not in (None, value, [], {}):
            raise CheckpointError(f"{CONFIG} sets {key} to {about[key]!r}, which cannot be represented here; expected {value!r}.")
