"""Rules and logic: small prompts with a condition each, joined by "and" (PTR; Han et al. 2021).

    f_subject(x, person) and f_link(x, "parent") and f_object(x, person)  ->  per:parents
    T(x) = x  the [MASK]_1 e_s  [MASK]_2  the [MASK]_3 e_o
    p(y | x) = prod_j p([MASK]_j = phi_j(y) | T(x))                       phi_j(y): the word that the rule of y wants at mask j

A sub-prompt is a piece of template and the words that may answer it.  A condition is a sub-prompt with the word that must be there; a
rule is a conjunction of conditions.  All rules of a task use the same sub-prompts in the same order, so that one template serves them
all and its masks are read in one pass; `DecomposedVerbalizer` scores the combinations that are labels.  Labels share what their
rules share: all relations of a person learn the first mask together.

In the paper phi may hold virtual words that are trained; here they are words of the vocabulary.  The paper's reversed relations (a rule for
"e_o's child was e_s") are written as rules of their own where a task has such labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from minidelta.data import Example
from minidelta.errors import PromptError, near_misses
from minidelta.prompt.decompose import DecomposedVerbalizer
from minidelta.prompt.template import Template


@dataclass(frozen=True)
class SubPrompt:
    """A piece of template that asks for one thing.

    Args:
        name: of what it asks for.
        template: its text, with one {mask} or several.
        words: what may stand at its masks: a word, or for several masks as many words with a space between.
    Raises: PromptError for a piece without a mask, or an answer that does not fill its masks.
    """

    name: str
    template: str
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        if not self.masks:
            raise PromptError(f"The sub-prompt {self.name!r} has no {{mask}} in {self.template!r}; it could say nothing.")
        for word in self.words:
            if len(word.split()) != self.masks:
                raise PromptError(f"The sub-prompt {self.name!r} has {self.masks} masks, and its answer {word!r} {len(word.split())} words; give one word for each mask.")

    @property
    def masks(self) -> int:
        return sum(part.count for part in Template(self.template).masks)

    def __call__(self, word: str) -> "Rule":
        """The condition that this word is there.  Raises: PromptError for a word that is none of its answers."""
        if word not in self.words:
            raise PromptError(f"The sub-prompt {self.name!r} has no answer {word!r}. {near_misses(word, self.words)}")
        return Rule(((self, word),))


@dataclass(frozen=True)
class Rule:
    """A conjunction of conditions, in order.

    >>> subject = SubPrompt("subject", "the {mask} {head}", ("person", "city"))
    >>> link = SubPrompt("link", "{mask} of", ("parent", "mayor"))
    >>> print(subject("person") & link("mayor"))
    subject = person and link = mayor
    """

    conditions: tuple[tuple[SubPrompt, str], ...]

    def __and__(self, other: "Rule") -> "Rule":
        return Rule(self.conditions + other.conditions)

    def __str__(self) -> str:
        return " and ".join(f"{part.name} = {word}" for part, word in self.conditions)

    @property
    def parts(self) -> tuple[SubPrompt, ...]:
        """Its sub-prompts, from left to right."""
        return tuple(part for part, _ in self.conditions)

    @property
    def words(self) -> list[str]:
        """One word for each mask, from left to right."""
        return [word for _, answer in self.conditions for word in answer.split()]


def compose(rules: Mapping[str, Rule], before: str = "{text_a|shorten} ", after: str = ".") -> tuple[Template, DecomposedVerbalizer]:
    """The template and the verbalizer that a set of rules makes.

    Args:
        rules: label -> its rule, for every label of the task in its order.
        before, after: what stands around the sub-prompts.
    Raises: PromptError if two rules have different sub-prompts, or the same words.

    >>> kind = ("person", "city")
    >>> subject, object_ = SubPrompt("subject", "the {mask} {head}", kind), SubPrompt("object", "the {mask} {tail}", kind)
    >>> link = SubPrompt("link", "{mask}", ("parent", "mayor"))
    >>> template, verbalizer = compose({
    ...     "per:parents": subject("person") & link("parent") & object_("person"),
    ...     "per:mayor": subject("person") & link("mayor") & object_("city"),
    ... })
    >>> template.fill(Example("Mark Twain, the father of Langdon, smiled.", meta={"head": [26, 33], "tail": [0, 10]}))
    'Mark Twain, the father of Langdon, smiled. the [MASK] Langdon [MASK] the [MASK] Mark Twain.'
    >>> verbalizer.words["per:parents"]
    ['person', 'parent', 'person']
    """
    if len(rules) < 2:
        raise PromptError(f"{len(rules)} rules were given; at least two labels need one each.")
    first, parts = next((label, rule.parts) for label, rule in rules.items())
    for label, rule in rules.items():
        if rule.parts != parts:
            raise PromptError(f"The rule of {label!r} asks for {', '.join(part.name for part in rule.parts)}, and that of {first!r} for {', '.join(part.name for part in parts)}; all rules of a task need the same sub-prompts in the same order.")
    template = Template(before + " ".join(part.template for part in parts) + after, "rules")
    return template, DecomposedVerbalizer({label: rule.words for label, rule in rules.items()})


@torch.no_grad()
def readings(learner: Any, example: Example) -> list[tuple[str, float]]:
    """What each mask says by itself, whether or not the words together are a label: the word and its share among the mask's words.

    Args:
        learner: a `PromptLearner` with the template and verbalizer of `compose`.
    """
    verbalizer = learner.verbalizer
    with learner.resting():
        factors = verbalizer.factors(learner.at_masks(learner.collate([example])), learner.model.lm_logits)
    options = [list(dict.fromkeys(words[j] for words in verbalizer.words.values())) for j in range(len(factors))]
    return [(own[int(factor[0].argmax())], float(factor[0].max().exp())) for own, factor in zip(options, factors)]


# -- the rules of the built-in task ------------------------------------------------------------------------------------

KINDS: Sequence[str] = ("person", "city", "company", "film", "book", "team", "restaurant", "name")
SUBJECT = SubPrompt("subject", "Here the {mask} {head}", ("person", "name"))
LINKS = ("born in", "home in", "job at", "founder of", "director of", "author of", "coach of", "partner of", "owner of", "guest of", "not of")
LINK = SubPrompt("link", "{mask} {mask}", LINKS)
OBJECT = SubPrompt("object", "this {mask} {tail}", tuple(KINDS))
RELATION_RULES: dict[str, Rule] = {
    label: SUBJECT(subject) & LINK(link) & OBJECT(kind)
    for label, subject, link, kind in (
        ("born in", "person", "born in", "city"),
        ("lives in", "person", "home in", "city"),
        ("works for", "person", "job at", "company"),
        ("founded", "person", "founder of", "company"),
        ("directed", "person", "director of", "film"),
        ("wrote", "person", "author of", "book"),
        ("coaches", "person", "coach of", "team"),
        ("married to", "person", "partner of", "person"),
        ("owns", "person", "owner of", "restaurant"),
        ("eats at", "person", "guest of", "restaurant"),
        ("no relation", "name", "not of", "name"),
    )
}
