"""minidelta: adapting pre-trained language models, on a transformer written to be read.

`import minidelta as md` costs milliseconds: what needs torch or transformers is fetched when first used.

>>> import minidelta as md
>>> md.TransformerConfig.__name__
'TransformerConfig'
"""

import importlib
import sys
import types
from collections.abc import Callable

from minidelta import errors

__version__ = "0.1.0"

# Name -> the module that holds it.
_HOME = {
    "TransformerConfig": "minidelta.model",
    "Transformer": "minidelta.model",
    "load_model": "minidelta.hub",
    "load_tokenizer": "minidelta.hub",
    "embedded_models": "minidelta.hub",
    "Example": "minidelta.data",
    "Task": "minidelta.data",
    "load_task": "minidelta.data",
    "few_shot": "minidelta.data",
    "fit": "minidelta.train",
}

__all__ = ["__version__", "errors", "evaluate", *_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'minidelta' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value  # the next look-up is an ordinary one
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


class _Door(types.ModuleType):
    """`evaluate` is the name of a function and of its file; importing the file must not hide the function."""

    @property
    def evaluate(self) -> Callable:
        return importlib.import_module("minidelta.evaluate").evaluate

    @evaluate.setter
    def evaluate(self, module: types.ModuleType) -> None:
        pass  # Python's import statement offers the file here


sys.modules[__name__].__class__ = _Door
