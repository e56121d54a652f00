"""A delta: the small set of new parameters that adapts a large model while the model itself stays frozen.

Ding et al. 2022: Theta = Theta_0 + DeltaTheta with |DeltaTheta| much smaller than |Theta_0|.  The model offers
named sites, places where `out` may be changed knowing the `x` that went in; a delta hangs one part on each
site it targets.  A family of deltas is a subclass that says which sites (`targets`), what hangs there
(`build` returns a module with `forward(x, out) -> out`), how many parameters that is (`formula`) and, where the
change can be folded into a weight, what is added to it (`weight_update`).  All the rest is on this page.
"""

import weakref
from collections.abc import Callable, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from minidelta.delta import store
from minidelta.delta.audit import Audit, audit
from minidelta.delta.targets import find_sites
from minidelta.errors import DeltaError
from minidelta.model.site import site_at


class Delta(nn.Module):
    """Base of every delta: `attach`, train, `save`, `detach`.

    Attributes:
        name: of the family; the second one on a model answers to lora_2 (`key`).
        paper: authors and year; None: from no single one.
        default_targets: the sites a family hangs on unless told otherwise.
        learning_rate: tested default for AdamW; fine-tuning rates are far too small for most deltas.
        slowing: power of the width by which that rate falls on BERTs wider than the embedded ones; 1.5 is the law of whole models,
            0.5 was measured on a real one of width 384.
        peft: the type that it has in an adapter folder of PEFT, a key of `hub.peft.WRITE`; None: it has none there.
    """

    name: ClassVar[str]
    default_targets: ClassVar[Sequence[str]]
    paper: ClassVar[str | None]
    learning_rate: ClassVar[float] = 1e-3
    slowing: ClassVar[float] = 1.5
    peft: ClassVar[str | None] = None

    def __init__(self, targets: str | Sequence[str] | None = None, **settings: Any) -> None:
        super().__init__()
        self.targets = list(self.default_targets) if targets is None else [targets] if isinstance(targets, str) else list(targets)
        self.settings = settings  # what the constructor needs to build this delta again
        self.parts = nn.ModuleDict()  # path of the site, with / for . -> the part that hangs there
        self.model: nn.Module | None
        object.__setattr__(self, "model", None)  # a neighbour, not a submodule: its parameters are not ours
        self.originals: dict[str, Tensor] = {}  # while merged: name of a backbone parameter -> its value as it was
        self.loaded: dict[str, Tensor] | Callable[[nn.Module], dict[str, Tensor]] | None = None  # what load_delta read, until attach
        self.backbone: str | None = None  # the fingerprint that load_delta read: of the backbone it was trained on
        self.seen: Callable[[], nn.Module | None] = lambda: None  # the model it hung on last

    # -- what a family says ------------------------------------------------------------------------------

    def places(self, model: nn.Module) -> list[str]:
        """The paths of the sites to hang on.  Parts that share something hold the same module; it counts once."""
        return find_sites(model, self.targets)

    def build(self, path: str, model: nn.Module) -> nn.Module:
        """The part for one site, in float32; `model.get_submodule(path)` (a Linear, a norm or a Site) becomes its `host`."""
        raise NotImplementedError

    def formula(self, path: str, model: nn.Module) -> int:
        """Closed formula: the trainable parameters of one part, without what parts share."""
        raise NotImplementedError

    def expected(self, model: nn.Module) -> int:
        """Closed formula of the whole; `audit` compares it with what trains."""
        return sum(self.formula(path, model) for path in self.paths)

    def weight_update(self, part: nn.Module) -> Tensor:
        """What the part adds to the weight [d_out,d_in] of its linear layer."""
        raise DeltaError(f"{type(self).__name__} cannot be merged: its change is not a change of one weight. Keep it attached.")

    def updates(self, path: str, part: nn.Module) -> dict[str, Tensor]:
        """What `merge` adds to the backbone for one part, by parameter name."""
        return {f"{path}.weight": self.weight_update(part)}

    def for_peft(self) -> dict[str, dict[str, Tensor]]:
        """The tensors of each part, as `hub.peft` wants them for the type `peft`."""
        return {path: dict(part.state_dict()) for path, part in self.parts_by_path().items()}

    def penalty(self) -> Tensor | float:
        """What the family adds to the loss of every batch, a scalar."""
        return 0.0

    def after_step(self, done: int, steps: int) -> None:
        """Called after each of `steps` updates: for families that change shape while they train."""

    # -- hanging on and coming off -----------------------------------------------------------------------

    def attach(self, model: nn.Module) -> Self:
        """Freeze the backbone and hang one part on every targeted site.

        Raises: DeltaError if it is attached already, a target meets no site, or a loaded delta was trained
            on a different backbone.
        """
        if self.model is not None:
            raise DeltaError(f"This {type(self).__name__} is attached already. Detach it first, or build a second one.")
        if not hasattr(model, "sites"):
            raise DeltaError(f"A {type(model).__name__} has no sites to hang on. Load the model with minidelta.load_model.")
        if self.backbone and self.seen() is not model:
            store.check_backbone(model, self.backbone)
        if self.parts and model.config != self.config:
            raise DeltaError(f"This {type(self).__name__} was built for a model of another shape. Build a new one for this model.")
        parts = self.parts_by_path() or {path: self.build(path, model) for path in self.places(model)}
        if self.loaded is not None:
            store.fill(parts, self.loaded(model) if callable(self.loaded) else self.loaded)
            self.loaded = None
        if not getattr(model, "deltas", None):
            model.deltas = []  # a plain list: nothing of it enters the model's parameters or its state
            trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
            model.trained_before = set(trained)
            for p in trained.values():
                p.requires_grad_(False)
        taken = {delta.key for delta in model.deltas}
        self.key = next(key for key in chain([self.name], (f"{self.name}_{n}" for n in count(2))) if key not in taken)
        precision = torch.promote_types(model.dtype, torch.float32)  # Adam fails in float16
        for path, part in parts.items():
            object.__setattr__(part, "host", model.get_submodule(path))  # a neighbour, too
            self.parts[_key(path)] = part.to(model.device, precision).train(model.training)
            site_at(model, path).parts[self.key] = part
        model.deltas.append(self)
        self.config, self.seen = model.config, weakref.ref(model)
        object.__setattr__(self, "model", model)
        return self

    def detach(self) -> Self:
        """Take every part off again: values, state-dict keys and requires_grad of the backbone are as before.

        The parts stay in this delta, so `attach` hangs them on again.
        """
        model = self._attached("detach")
        if self.originals:
            self.unmerge()
        for path in self.paths:
            del site_at(model, path).parts[self.key]
        model.deltas.remove(self)
        if not model.deltas:
            for name, p in model.named_parameters():
                p.requires_grad_(name in model.trained_before)
            del model.deltas, model.trained_before
        object.__setattr__(self, "model", None)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.model is not None:
            self.detach()

    # -- folding into the weights ------------------------------------------------------------------------

    @torch.no_grad()
    def merge(self) -> Self:
        """Fold the change into the weights, W <- W + update: the adapted model then costs nothing extra.

        The merged model is a plain one: `model.save_pretrained(folder)` writes it for transformers.
        Raises: DeltaError if it is merged already, the family cannot be folded into weights, or the weights are int8.
        """
        model = self._attached("merge")
        if self.originals:
            raise DeltaError("This delta is merged already; a second merge would add it twice. Use unmerge() first.")
        weights = dict(model.named_parameters())
        changes = [item for path, part in self.parts_by_path().items() for item in self.updates(path, part).items()]
        if absent := [name for name, _ in changes if name not in weights]:
            raise DeltaError(f"{absent[0]} is int8 here, and cannot take up a change. Merge into the model as it was before, save it, and quantize that.")
        for name, update in changes:
            self.originals[name] = weights[name].detach().clone()  # subtracting again would not give the same bits
            weights[name].copy_(weights[name].double() + update.double())  # rounded once
        for path in self.paths:
            del site_at(model, path).parts[self.key]
        model.deltas.append(model.deltas.pop(model.deltas.index(self)))  # merged last, so unmerged first
        return self

    @torch.no_grad()
    def unmerge(self) -> Self:
        """Undo `merge`: the weights are the same bits as before, and the parts hang on their sites again."""
        model = self._attached("unmerge")
        if not self.originals:
            raise DeltaError("This delta is not merged, so there is nothing to undo.")
        for later in model.deltas[model.deltas.index(self) + 1 :]:
            if later.originals.keys() & self.originals.keys():
                raise DeltaError(f"{later.key!r} was merged into the same weights after {self.key!r}. Unmerge {later.key!r} first.")
        weights = dict(model.named_parameters())
        for name, original in self.originals.items():
            weights[name].copy_(original)
        for path, part in self.parts_by_path().items():
            site_at(model, path).parts[self.key] = part.to(model.device).train(model.training)  # it missed what the model went through
        self.originals = {}
        return self

    # -- counting ----------------------------------------------------------------------------------------

    @property
    def paths(self) -> list[str]:
        """The sites it hangs on (after `attach`)."""
        return list(self.parts_by_path())

    def parts_by_path(self) -> dict[str, nn.Module]:
        """Its parts, by the path of their site."""
        return {key.replace("/", "."): part for key, part in self.parts.items()}

    def num_parameters(self) -> int:
        """How many numbers this delta trains."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def groups(self, lr: float | None = None) -> list[dict[str, Any]]:
        """Parameter groups for `fit`; a family with several rates overrides this."""
        return [{"params": list(self.parameters()), "lr": self.learning_rate if lr is None else lr}]

    def audit(self) -> Audit:
        """Compare what trains with the family's closed formula, and name everything that should not."""
        return audit(self, self._attached("audit"))

    def save(self, folder: str | Path, head: nn.Module | None = None, format: str = "minidelta", dtype: str | None = None) -> Path:
        """Write delta.safetensors and delta.json, and a task head beside them; `load_delta` reads them.

        Args:
            folder: made if it is not there.
            head: kept beside the delta.
            format: "minidelta", or "peft": what PEFT reads.  `load_delta` reads both.
            dtype: None: the values as they are; "bfloat16" or "int8": smaller, and a little off (compress.py).
        """
        self._attached("save")
        return store.save(self, Path(folder), head, format, dtype)

    def _attached(self, verb: str) -> nn.Module:
        if self.model is None:
            raise DeltaError(f"Cannot {verb}: this {type(self).__name__} is not attached. Call attach(model) first.")
        return self.model


def _key(path: str) -> str:
    """A path as a key that nn.ModuleDict accepts."""
    return path.replace(".", "/")
