"""The tensors of a checkpoint folder: read from one or many safetensors files, written to one.

Pickled weights (pytorch_model.bin) are refused: to unpickle a file is to run whatever program it contains.
A safetensors file is a JSON header and raw numbers; reading it runs nothing.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from minidelta.errors import CheckpointError
from minidelta.hub.locate import holds_tokenizer, read_json, refuse_pointer

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


class Stored:
    """The tensors of a folder by their canonical names; each is read only when asked for.

    Args:
        folder: holds model.safetensors, or model.safetensors.index.json and the shards that it names.
        canonical: a stored name -> the family's name for it, or None if it is no weight.
    Raises:  CheckpointError if there are no weights, if they are pickled, or if a file is damaged or missing.
    """

    def __init__(self, folder: Path, canonical: Callable[[str], str | None] = lambda key: key):
        self.folder = folder
        self.files = {path: _open(path) for path in _weight_files(folder)}
        self.home: dict[str, tuple[Path, str]] = {}  # canonical name -> (file, name in the file)
        for path, file in self.files.items():
            for key in file.keys():
                name = canonical(key)
                if name in self.home:
                    raise CheckpointError(f"{folder} holds {name} twice, as {self.home[name][1]} in {self.home[name][0].name} and as {key} in {path.name}.")
                if name is not None:
                    self.home[name] = (path, key)

    def __contains__(self, name: str) -> bool:
        return name in self.home

    def __iter__(self) -> Iterator[str]:
        return iter(self.home)

    def tensor(self, name: str) -> Tensor:
        """Read one tensor, as it is stored."""
        path, key = self.home[name]
        return self.files[path].get_tensor(key)

    def shape(self, name: str) -> list[int]:
        """Its shape, without reading it."""
        path, key = self.home[name]
        return list(self.files[path].get_slice(key).get_shape())

    def drop(self, name: str) -> None:
        """Leave a tensor out of account, if it is there."""
        self.home.pop(name, None)

    def equal(self, one: str, other: str) -> bool:
        """Whether two stored tensors are the same numbers."""
        return self.shape(one) == self.shape(other) and torch.equal(self.tensor(one), self.tensor(other))


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        weight_map = read_json(folder / INDEX).get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(name, str) and Path(name).name == name for name in weight_map.values()):
            raise CheckpointError(f"{folder / INDEX} is damaged: expected a weight_map from tensor names to files beside it.")
        files = [folder / name for name in sorted(set(weight_map.values()))]
        absent = [path.name for path in files if not path.is_file()]
        if absent:
            raise CheckpointError(f"{folder} lacks {len(absent)} of the {len(files)} files that {INDEX} names: {', '.join(absent)}.")
        return files
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
    if pickled:
        refuse_pointer(folder / pickled[0])
        classes = ["AutoModelForPreTraining", *(["AutoTokenizer"] if holds_tokenizer(folder) else [])]
        commands = [f'python -c "from transformers import {name} as A; A.from_pretrained({str(folder)!r}).save_pretrained({str(folder) + "-safe"!r})"' for name in classes]
        raise CheckpointError(
            f"{folder} holds its weights only as a pickle ({pickled[0]}), and unpickling runs whatever code the file contains; convert a file that you trust:"
            + "".join(f"\n    {command}" for command in commands)
        )
    raise CheckpointError(f"{folder} holds no weights; expected {WEIGHTS}, or {INDEX} with its parts.")


def _open(path: Path) -> safe_open:
    refuse_pointer(path)
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or cut short ({error}); copy or download it again.") from None


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a folder so that no one ever sees half of it: written beside it, then moved into place.

    Args:
        folder: a new one appears whole, in one move; in one that is there, files of the same names are replaced one
            by one, in the order of their names, and others stay.
        write: writes the files into the folder that it is given.
    Raises:  CheckpointError if the disk refuses.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        around = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # private, so the folder lies inside
        try:
            beside = around / folder.name
            beside.mkdir()
            write(beside)
            if not folder.exists():
                os.rename(beside, folder)
                return
            for file in sorted(beside.iterdir()):
                os.replace(file, folder / file.name)
        finally:
            shutil.rmtree(around, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be written ({error}); choose a folder that you may write to.") from error
