"""A hub of deltas: one backbone, and a folder of kilobytes for each of its tasks.

    storage of k tasks:    k |Theta|  for k fine-tuned models,    |Theta| + sum_t |DeltaTheta_t|  here

(The storage argument of Ding et al. 2022; AdapterHub, Pfeiffer et al. 2020, is such a folder shared by many people.)

    tasks/
        reviews/    delta.safetensors  delta.json  head.safetensors      what `Delta.save` writes
        news/       ...

All deltas of a hub were trained on the same backbone; the folders' fingerprints tell which, and nothing else is stored.  What was
loaded stays in memory: to switch from task to task reads nothing from the disk.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from minidelta.delta import load_delta
from minidelta.delta.base import Delta
from minidelta.delta.store import fingerprint
from minidelta.errors import DeltaError, near_misses


@dataclass(frozen=True)
class Card:
    """What a hub tells about one delta.

    parameters: that trained.  bytes: of its folder.  dtype: of the stored values, None: as they trained.
    head: whether a task head lies beside it.  backbone: the fingerprint of the model it was made for.
    """

    name: str
    method: str
    parameters: int
    bytes: int
    dtype: str | None
    head: bool
    backbone: str


class DeltaHub:
    """Named deltas of one backbone in one folder.

    Args:
        folder: made when the first delta is saved.
        check_backbone: refuse a model with another fingerprint; switch it off for the same model in another number format.

    >>> import tempfile, torch
    >>> from minidelta.delta import IA3, LoRA
    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64), seed=0)
    >>> hub = DeltaHub(tempfile.mkdtemp())
    >>> with LoRA(rank=2).attach(model) as delta:  # ... train it ...
    ...     hub.save("reviews", delta, dtype="int8").name
    'reviews'
    >>> with IA3().attach(model) as delta:
    ...     hub.save("news", delta).name
    'news'
    >>> [(card.name, card.method, card.parameters) for card in hub.cards()]
    [('news', 'ia3', 256), ('reviews', 'lora', 512)]
    >>> with hub.on(model, "news"):
    ...     model(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 100])
    """

    def __init__(self, folder: str | Path, check_backbone: bool = True) -> None:
        self.folder, self.check_backbone = Path(folder), check_backbone
        self.memory: dict[str, Delta] = {}

    def save(self, name: str, delta: Delta, head: nn.Module | None = None, dtype: str | None = None) -> Path:
        """Keep an attached delta, in place of one of this name; head and dtype as in `Delta.save`.  Returns its folder.

        Raises: DeltaError for a name that cannot be a folder's, or a delta on another backbone than the others of this hub.
        """
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise DeltaError(f"{name!r} cannot name a delta. Use letters, digits, '-', '_' and '.', with none of '-' and '.' in front.")
        made_for = {card.backbone for card in self.cards() if card.name != name}
        if delta.model is not None and made_for and fingerprint(delta.model) not in made_for:
            raise DeltaError(f"The deltas in {self.folder} were made for another backbone than this {type(delta).__name__} hangs on: {made_for.pop()[:12]} there, {fingerprint(delta.model)[:12]} here. Keep it in a hub of its own.")
        folder = delta.save(self.folder / name, head=head, dtype=dtype)
        self.memory.pop(name, None)
        return folder

    def names(self) -> list[str]:
        """The names of the deltas, sorted."""
        return sorted(file.parent.name for file in self.folder.glob("[!.]*/delta.json"))

    def cards(self) -> list[Card]:
        """What is there.  Raises: DeltaError if a folder is damaged."""
        return [self._card(self.folder / name) for name in self.names()]

    def load(self, name: str) -> Delta:
        """The delta of this name; read the first time, from then on the same object.  Raises: DeltaError for an unknown name."""
        if name not in self.memory:
            if name not in self.names():
                raise DeltaError(f"No delta in {self.folder} is called {name!r}. {near_misses(str(name), self.names())}")
            self.memory[name] = load_delta(self.folder / name, check_backbone=self.check_backbone)
        return self.memory[name]

    def on(self, model: nn.Module, name: str) -> Delta:
        """Hang a delta on the model: `with hub.on(model, "news"):`, or detach what this returns.

        Raises: DeltaError for an unknown name, or a model that the delta was not made for.
        """
        return self.load(name).attach(model)

    def _card(self, folder: Path) -> Card:
        try:
            about = json.loads((folder / "delta.json").read_text(encoding="utf-8"))
            size = sum(file.stat().st_size for file in folder.iterdir())
            return Card(folder.name, about["method"], about["parameters"], size, about["dtype"], about["head"], about["backbone"])
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise DeltaError(f"{folder} does not hold a readable delta ({problem!r}). Save it again, or take the folder away.") from problem
