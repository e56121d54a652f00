"""Prompts with demonstrations: answered examples stand in front of the question (LM-BFF; Gao et al. 2021, section 6).

    T(x_1) with v(y_1) at its mask   {sep}   T(x_2) with v(y_2)   {sep}   T(x)

One demonstration of each label is drawn, and several draws answer together (`Ensemble`), as the paper does at test time.  Differences:
the demonstrations stand before the question, since GPT reads from left to right (the paper puts them behind), one draw serves all
examples instead of each its own, and none is chosen by its likeness to the example.
"""

import random
from collections.abc import Mapping, Sequence

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.prompt.template import Part, Template


def demonstrate(template: Template, demonstrations: Sequence[tuple[Example, str]], most: int | None = None) -> Template:
    """The template with answered examples in front of it.

    Args:
        template: with one gap.
        demonstrations: examples with the word that stands in the gap, in the order in which they are read.
        most: words kept of each text of a demonstration; None: all.
    Returns: a template, in which the demonstrations are plain words: they are never cut.

    >>> asked = demonstrate(Template("{text_a|shorten} It was {mask}."), [(Example("I left early."), "bad"), (Example("What {joy}!"), "good")])
    >>> asked.source
    'I left early. It was bad.{sep}What {{joy}}! It was good.{sep}{text_a|shorten} It was {mask}.'
    """
    template.with_masks(1)  # complains about several gaps
    pieces = [f"{answered(template, example, answer, most)}{{sep}}" for example, answer in demonstrations]
    return Template("".join(pieces) + str(template), template.name, template.seen)


def answered(template: Template, example: Example, answer: str, most: int | None = None) -> str:
    """One demonstration in the language of templates; special and soft parts stay what they are."""
    written = ""
    for part in template.parts:
        if part.kind == "mask":
            written += str(Part("literal", answer))
        elif part.kind in ("sep", "soft", "special"):
            written += str(part)
        else:
            text = part.text(example)
            text = text if part.kind == "literal" or most is None else " ".join(text.split()[:most])
            written += str(Part("literal", text)) if text else ""
    return written


def draw(examples: Sequence[Example], label_words: Mapping[str, Sequence[str]], seed: int = 0) -> list[tuple[Example, str]]:
    """One example of each label with the label's first word, in a shuffled order.

    Raises: PromptError if a label has no example.
    """
    rng, drawn = random.Random(seed), []
    for label, words in label_words.items():
        own = [example for example in examples if example.label == label]
        if not own:
            raise PromptError(f"No example of {label!r} is there to be shown; give at least one of each label.")
        drawn.append((rng.choice(own), words[0]))
    rng.shuffle(drawn)
    return drawn


def drawn_templates(template: Template, examples: Sequence[Example], label_words: Mapping[str, Sequence[str]], draws: int = 8, seed: int = 0, most: int | None = None) -> list[Template]:
    """The template with several draws of demonstrations, one template for each: ask all of them and let an `Ensemble` answer."""
    return [demonstrate(template, draw(examples, label_words, seed * 1000 + number), most) for number in range(draws)]
