"""From a name to a folder: a model's own folder, an embedded checkpoint, or a copy from the Hugging Face hub.

A checkpoint is a folder with config.json, model.safetensors and tokenizer.json.  A name is looked up in this order:
a checkpoint embedded in the kit, a folder on this machine, a repository on the hub (through the hub's usual cache).
"bert-micro" is thus always the embedded one; a folder of that name is "./bert-micro".
"""

import json
import re
from pathlib import Path

from minidelta.errors import CheckpointError, near_misses

EMBEDDED = Path(__file__).parent.parent / "checkpoints"
SIZES = ["nano", "micro", "mini"]
PATIENCE = 3  # seconds to wait for the hub's first word

# Everything that is read, and nothing that could run code: no pickles, no Python files.
TOKENIZER_FILES = ["config.json", "tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model"]
WEIGHT_FILES = ["model*.safetensors", "model.safetensors.index.json"]
VOCABULARIES = ["tokenizer.json", "vocab.txt", "vocab.json", "spiece.model"]  # any of them makes a tokenizer
LFS = b"version https://git-lfs"  # how the note begins that Git LFS keeps in a large file's place


def embedded_models() -> list[str]:
    """Names of the checkpoints that came with the kit: by family, then by size; snapshots along a pre-training run last.

    Returns: names such as "bert-nano" and "bert-nano-step1000".
    """

    def order(name: str) -> tuple:
        family, *rest = name.split("-")
        size = next((SIZES.index(part) for part in rest if part in SIZES), len(SIZES))
        step = re.search(r"-step(\d+)$", name)
        return family, size, int(step[1]) if step else -1, name

    return sorted((config.parent.name for config in EMBEDDED.glob("*-*/config.json")), key=order)


def checkpoint_folder(name: str) -> Path:
    """The folder of an embedded checkpoint.

    Raises:  CheckpointError if no such checkpoint is embedded; the message names the near misses.
    """
    if name not in embedded_models():
        raise CheckpointError(f"No embedded checkpoint is called {name!r}. {_known(name)}")
    return EMBEDDED / name


def find_folder(name_or_folder: str | Path, weights: bool = True) -> Path:
    """Find the folder that a user means, downloading it from the hub if it is neither here nor embedded.

    Args:
        name_or_folder: a folder, an embedded name ("bert-micro"), or a hub name ("bert-base-uncased", "google/t5-v1_1-small").
        weights: whether the weights are wanted too; without them only the tokenizer's files and config.json are fetched.
    Returns: a folder on this machine.
    Raises:  CheckpointError if there is no such folder or name, or if the hub cannot be reached.
    """
    if not isinstance(name_or_folder, (str, Path)) or not str(name_or_folder):
        raise CheckpointError(f"A model is named by a string or a path, and {name_or_folder!r} is neither. {_known('')}")
    folder, name = Path(name_or_folder).expanduser(), str(name_or_folder)
    if name_or_folder in embedded_models():
        return EMBEDDED / name
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise CheckpointError(f"{name} is a file; give the folder that holds config.json and model.safetensors.")
    if isinstance(name_or_folder, Path) or name.startswith((".", "~", "/")) or name.count("/") > 1 or "\\" in name:
        raise CheckpointError(f"There is no folder {name}; give a folder with config.json and model.safetensors, or a name. {_known(name)}")
    return _from_hub(name, weights)


def _from_hub(name: str, weights: bool) -> Path:
    """Fetch a repository through the hub's cache; if the hub keeps silent, take what the cache has."""
    import huggingface_hub as hub
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    wanted, silence = TOKENIZER_FILES + (WEIGHT_FILES if weights else []), ""
    try:
        try:
            hub.HfApi().model_info(name, timeout=PATIENCE)
        except (HFValidationError, GatedRepoError, RepositoryNotFoundError):
            raise
        except Exception:  # each way in which a network can fail has its own class
            silence = "HF_HUB_OFFLINE is set" if hub.constants.is_offline_mode() else "the hub cannot be reached"
        folder = Path(hub.snapshot_download(name, allow_patterns=wanted, local_files_only=bool(silence)))
    except HFValidationError:
        why = "is neither a folder, nor embedded, nor a possible name on the hub"
    except GatedRepoError:
        why = "is gated on the hub: accept its terms there and log in with `hf auth login`"
    except RepositoryNotFoundError:
        why = "is neither a folder, nor embedded, nor on the hub"
    except Exception as error:
        why = f"could not be fetched from the hub ({type(error).__name__}); try again"
        if silence:
            why = f"is neither a folder, nor embedded, nor in the hub's cache, and {silence}"
    else:
        if not weights or any(folder.glob("*.safetensors")):
            return folder
        why = "has no safetensors weights on the hub; older, pickled ones are not fetched, since unpickling a file runs the code in it"
    raise CheckpointError(f"{name!r} {why}. {_known(name)}")


def _known(name: str) -> str:
    names = [known for known in embedded_models() if "-step" in name or "-step" not in known]  # snapshots only for those who ask for one
    return near_misses(name, names) if names else "No checkpoint is embedded in this installation."


def read_json(path: Path) -> dict:
    """Read a JSON object.  Raises CheckpointError, with the line, if the file is missing or is not one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} has no {path.name}; expected a Hugging Face model folder.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}).") from None
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path} is broken at line {error.lineno}, column {error.colno}: {error.msg}.") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds a JSON {type(found).__name__}; expected an object with settings.")
    return found


def holds_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a vocabulary in any of its forms."""
    return any((folder / name).is_file() for name in VOCABULARIES)


def refuse_pointer(path: Path) -> None:
    """Raise CheckpointError if the file is a pointer, which is all that git clones of a large file without Git LFS."""
    try:
        with path.open("rb") as file:
            pointer = file.read(len(LFS)) == LFS
    except OSError:
        return  # who reads the file next says why it cannot be read
    if pointer:
        raise CheckpointError(f"{path} is a Git LFS pointer, a note in place of the file; run `git lfs pull` in {path.parent}, or download the file.")
