"""Hugging Face folders in and out: names to folders, configurations, weights and tokenizers.

To list names needs no torch, to load a tokenizer no model: each file is imported when first asked for.
"""

import importlib

_HOME = {  # name -> the file that holds it
    "ALIASES": "published",
    "PUBLISHED": "published",
    "Pretrained": "checkpoint",
    "load_config": "checkpoint",
    "load_model": "checkpoint",
    "save_pretrained": "checkpoint",
    "checkpoint_folder": "locate",
    "embedded_models": "locate",
    "load_tokenizer": "tokenizer",
    "train_tokenizer": "tokenizer",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
