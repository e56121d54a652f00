"""What cannot be reckoned is refused, with what was met and what would be right."""

from collections.abc import Iterable

from minidelta.costs.parameters import MOMENTS
from minidelta.errors import ConfigError, near_misses
from minidelta.model import TransformerConfig


def check(c: TransformerConfig, optimizer: str, heads: int, scored: int | None, **counts: int) -> None:
    """Raises: ConfigError for a batch, a head or an optimizer that the model cannot have."""
    choose("optimizer", optimizer, MOMENTS)
    for name, value in counts.items():
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} is {value!r}; it counts something, so give a whole number of at least 1.")
    if c.positions == "learned" and counts["length"] > c.max_positions:
        raise ConfigError(f"length is {counts['length']}, and the model has {c.max_positions} positions; give at most that many tokens.")
    if heads and c.shape == "encoder-decoder":
        raise ConfigError(f"classes is {heads}, but an encoder-decoder answers in words and gets no new head; leave classes at 0.")
    if c.lm_head is None and (scored or not heads):
        raise ConfigError("This model has no language-model head to score tokens with; say how many classes a new head has, and leave scored out.")


def choose(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ConfigError(f"Unknown {what} {name!r}. {near_misses(str(name), known)}")
