"""PEFT's folders: how a delta of ours is called in an adapter folder of the `peft` library, and the other way round.

    adapter_config.json          peft_type, target_modules, the settings
    adapter_model.safetensors    base_model.model.<module>.<tensor>

Each group of methods has a file: thin.py, linears.py, vectors.py, prompts.py.  A method there is two functions:

    write_x(parts, settings, config) -> (what the configuration says, tensors by PEFT's names)
    read_x(about, stored)            -> Adapter: our method, its settings, its tensors by our names

Tensors come and go under their path here, `layers.0.attn.q_proj.lora_A`; these files know names and shapes, not deltas.
modules.py knows where PEFT hangs what, folder.py reads and writes the two files.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from minidelta.errors import CheckpointError
from minidelta.hub.peft import linears, prompts, thin, vectors
from minidelta.hub.peft.folder import CONFIG, Adapter, read_folder, write_folder
from minidelta.model import TransformerConfig

WRITE = {
    "LORA": thin.write_lora, "DORA": thin.write_dora, "ADALORA": thin.write_adalora, "VERA": linears.write_vera,
    "LOHA": linears.write_loha, "LOKR": linears.write_lokr, "OFT": linears.write_oft,
    "IA3": vectors.write_ia3, "LN_TUNING": vectors.write_norms, "TRAINABLE_TOKENS": vectors.write_tokens,
    "PROMPT_TUNING": prompts.write_prompt, "P_TUNING": prompts.write_p_tuning, "PREFIX_TUNING": prompts.write_prefix,
}  # fmt: skip
READ = {
    "LORA": thin.read_lora, "ADALORA": thin.read_adalora, "VERA": linears.read_vera, "LOHA": linears.read_loha, "LOKR": linears.read_lokr, "OFT": linears.read_oft,
    "IA3": vectors.read_ia3, "LN_TUNING": vectors.read_norms, "TRAINABLE_TOKENS": vectors.read_tokens,
    "PROMPT_TUNING": prompts.read_prompt, "P_TUNING": prompts.read_prompt, "PREFIX_TUNING": prompts.read_prefix,
}  # fmt: skip

__all__ = ["CONFIG", "READ", "WRITE", "Adapter", "read", "write"]


def write(folder: Path, kind: str, parts: dict[str, dict[str, Tensor]], settings: dict[str, Any], config: TransformerConfig) -> None:
    """Write a delta as an adapter folder of PEFT.

    Args:
        folder: need not be there.
        kind: a key of WRITE: PEFT's type, or DORA, which PEFT writes as a LORA that says so.
        parts: path -> its tensors.
        settings: of the method, `scaling` among them.
        config: of the backbone.
    Raises: CheckpointError, before anything is written, for what PEFT cannot express on this backbone.
    """
    write_folder(folder, *WRITE[kind](parts, settings, config))


def read(folder: Path) -> Adapter:
    """Read an adapter folder of PEFT.

    Raises: CheckpointError for a folder that cannot be read, another method, or a setting that has no place here.
    """
    about, stored = read_folder(folder)
    if about["peft_type"] not in READ:
        raise CheckpointError(f"{folder} holds a PEFT adapter of the type {about['peft_type']}; what can be read is {', '.join(READ)} (DoRA, rsLoRA and PiSSA are LORA).")
    try:
        return READ[about["peft_type"]](about, stored)
    except CheckpointError as problem:
        raise CheckpointError(f"{folder}: {problem}") from None
    except (KeyError, TypeError) as problem:
        raise CheckpointError(f"{folder} lacks something that a {about['peft_type']} of PEFT has ({type(problem).__name__}: {problem}). Give the folder that PeftModel.save_pretrained wrote.") from problem
