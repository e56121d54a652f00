"""A model as a tree: where its parameters are, which of them train, and what hangs where.

    print(tree(model))       in a terminal
    tree(model)              in a notebook: the same, to fold and unfold

Equal neighbours, such as the layers of a stack, are drawn once.
"""

import html
from dataclasses import dataclass, field

from torch import nn


@dataclass
class Tree:
    """A module and what is in it.

    name: of the module, the parameter, or the delta (with an arrow before it).
    total, trains: parameters in it, and those of them that train; equal neighbours counted once.
    times: how many equal neighbours this stands for.
    """

    name: str = field(compare=False)
    total: int = 0
    trains: int = 0
    children: list["Tree"] = field(default_factory=list)
    times: int = field(default=1, compare=False)

    def child(self, name: str) -> "Tree":
        """The child of that name; made if it is not there."""
        for child in self.children:
            if child.name == name:
                return child
        self.children.append(Tree(name))
        return self.children[-1]

    def folded(self) -> "Tree":
        """The same with equal numbered neighbours drawn once."""
        kept: list[Tree] = []
        for child in (child.folded() for child in self.children):
            if kept and child.name.isdigit() and child == kept[-1]:
                kept[-1].times += 1
                kept[-1].name = f"{kept[-1].name.split('-')[0]}-{child.name}"
            else:
                kept.append(child)
        return Tree(self.name, self.total, self.trains, kept)

    def line(self) -> tuple[str, str]:
        """Name and figures."""
        each = " each" if self.times > 1 else ""
        state = "" if not self.trains else "  trains" if self.trains == self.total else f"  {self.trains:,} train"
        return self.name, f"{self.total:,}{each}{state}"

    def rows(self, depth: int = 0) -> list[tuple[str, str]]:
        """All lines, indented."""
        name, figures = self.line()
        return [("  " * depth + name, figures)] + [row for child in self.children for row in child.rows(depth + 1)]

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}}  {figures}" for name, figures in rows)

    def _repr_html_(self) -> str:
        """For a notebook: what trains is bold, and branches where something trains are open."""
        name, figures = map(html.escape, self.line())
        text = f"{name} <small>{figures}</small>"
        text = f"<b>{text}</b>" if self.trains else text
        if not self.children:
            return f'<div style="margin-left:1.2em">{text}</div>'
        inside = "".join(child._repr_html_() for child in self.children)
        return f'<details style="margin-left:1.2em"{" open" if self.trains else ""}><summary>{text}</summary>{inside}</details>'


def tree(model: nn.Module) -> Tree:
    """The parameters of a model as a tree, with the deltas that hang on it.

    >>> from minidelta.delta import LoRA
    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> delta = LoRA(rank=4, targets="q_proj").attach(model)
    >>> print("\\n".join(str(tree(model)).splitlines()[:7]))
    Transformer                  37,184  512 train
      position_embedding.weight  16,384
      layers                     17,600  512 train
        0-1                      8,800 each  256 train
          attn                   4,480  256 train
            q_proj               1,312  256 train
              weight             1,024
    """
    root = Tree(type(model).__name__)
    for path, p in model.named_parameters():
        names = path.replace(".site.parts.", ".parts.").split(".")
        if "parts" in names:
            at = names.index("parts")
            names = [*names[:at], f"<- {names[at + 1]}"]  # a delta is one line, whatever its part consists of
        elif len(names) == 2 and names[0] != "lm_head":
            names = [".".join(names)]
        node = root
        for name in [None, *names]:
            node = node if name is None else node.child(name)
            node.total += p.numel()
            node.trains += p.numel() * p.requires_grad
    return root.folded()
