"""Sentence forms: a tiny notation, the code that fills it, and the inflections of controlled English.

A *form* is a sentence with alternatives and slots: `"{who} (was born|came into the world) in {where}"`.
`render` picks one alternative at random and fills the slots; `skeletons` lists every sentence a form can make,
slots left open: that list is what lets a test prove that a held-out form occurs nowhere else.

Forms come in three *levels*, and this is the whole honesty of the tasks:

    told     stands in pre-training text and in task training
    taught   stands in task training and in the test, never in pre-training
    held     stands in the test alone
"""

import re
from functools import lru_cache
from itertools import product
from random import Random

LEVELS = ("told", "taught", "held")
LEVELS_OF_SPLIT = {"pretraining": ("told",), "train": ("told", "taught"), "validation": ("told", "taught"), "test": ("taught",) * 4 + ("held",)}


@lru_cache(maxsize=None)
def parse(form: str) -> tuple:
    """Parse a form into text, ("slot", name) and ("or", branches) pieces.

    >>> parse("{who} (ran|sat)")
    (('slot', 'who'), ' ', ('or', (('ran',), ('sat',))))
    """
    pieces, rest = _parse_sequence(form, 0)
    if rest != len(form):
        raise ValueError(f"form {form!r}: unexpected {form[rest]!r} at {rest}")
    return pieces


def _parse_sequence(form: str, at: int) -> tuple[tuple, int]:
    pieces = []
    while at < len(form) and form[at] not in "|)":
        if form[at] == "{":
            end = form.index("}", at)
            pieces.append(("slot", form[at + 1 : end]))
            at = end + 1
        elif form[at] == "(":
            branches = []
            while form[at] in "(|":
                branch, at = _parse_sequence(form, at + 1)
                branches.append(branch)
            pieces.append(("or", tuple(branches)))
            at += 1  # the closing bracket
        else:
            text = re.compile(r"[^{(|)]+").match(form, at).group()
            pieces.append(text)
            at += len(text)
    return tuple(pieces), at


def render(form: str, rng: Random, **slots: str) -> str:
    """Make one sentence of a form.

    >>> render("{who} (slept|sang)", Random(1), who="the cat")
    'the cat slept'
    """
    return _render(parse(form), rng, slots)


def _render(pieces: tuple, rng: Random, slots: dict[str, str]) -> str:
    out = []
    for piece in pieces:
        if isinstance(piece, str):
            out.append(piece)
        elif piece[0] == "slot":
            out.append(slots[piece[1]])
        else:
            out.append(_render(piece[1][int(rng.random() * len(piece[1]))], rng, slots))
    return "".join(out)


def skeletons(form: str) -> set[str]:
    """All sentences a form can make, its slots left open.

    >>> sorted(skeletons("{who} (slept|sang)"))
    ['{who} sang', '{who} slept']
    """
    return set(_skeletons(parse(form)))


def _skeletons(pieces: tuple) -> list[str]:
    choices = []
    for piece in pieces:
        if isinstance(piece, str):
            choices.append([piece])
        elif piece[0] == "slot":
            choices.append(["{" + piece[1] + "}"])
        else:
            choices.append([text for branch in piece[1] for text in _skeletons(branch)])
    return ["".join(parts) for parts in product(*choices)]


def pick(forms: dict[str, list[str]], split: str, rng: Random) -> str:
    """Choose a form that a split may show.  One form in five of the test is held.

    >>> pick({"told": ["a"], "taught": ["b"], "held": ["c"]}, "pretraining", Random(0))
    'a'
    """
    levels = [level for level in LEVELS_OF_SPLIT[split] if forms.get(level)]
    return rng.choice(forms[rng.choice(levels)])


# ---- inflection -----------------------------------------------------------------------------------------------
IRREGULAR_PLURALS = dict(mouse="mice", goose="geese", sheep="sheep", deer="deer", fish="fish", wolf="wolves", knife="knives", shelf="shelves", calf="calves", child="children", man="men", woman="women", leaf="leaves", scarf="scarves", salmon="salmon", trout="trout", cod="cod", scissors="scissors", postman="postmen", fisherman="fishermen")
MASS = set("milk tea coffee juice wine beer cider cocoa lemonade water iron gold silver copper tin lead zinc steel spinach bread salt sugar scissors".split())


def plural(noun: str) -> str:
    """
    >>> [plural(noun) for noun in ("cat", "fox", "cherry", "boy", "mouse")]
    ['cats', 'foxes', 'cherries', 'boys', 'mice']
    """
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun]
    if re.search(r"(s|x|z|ch|sh|potato|tomato)$", noun):
        return noun + "es"
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + "s"


def a(phrase: str) -> str:
    """Put the indefinite article in front.

    >>> a("old hat"), a("cat"), a("milk")
    ('an old hat', 'a cat', 'some milk')
    """
    if phrase.split()[-1] in MASS:
        return "some " + phrase
    return ("an " if phrase[0].lower() in "aeiou" else "a ") + phrase


def third(verb: str) -> str:
    """Third person singular, present tense.

    >>> third("carry"), third("watch"), third("open")
    ('carries', 'watches', 'opens')
    """
    return plural(verb) if verb not in IRREGULAR_PLURALS else verb + "s"


def ing(verb: str) -> str:
    """
    >>> ing("take"), ing("open"), ing("see"), ing("run")
    ('taking', 'opening', 'seeing', 'running')
    """
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    doubled = verb in ("run", "swim", "drop", "wrap", "rob")
    return verb + verb[-1] * doubled + "ing"


def sentence(text: str, end: str = ".") -> str:
    """Capitalise the first letter, mend "a" before a vowel, and close the sentence.

    >>> sentence("the cat saw a owl")
    'The cat saw an owl.'
    """
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text.strip())
    return text[0].upper() + text[1:] + ("" if text[-1] in ".?!" else end)


def question(text: str) -> str:
    """Close a question; what is asked as a request ends in a full stop.

    >>> question("who is it"), question("tell me who it is")
    ('Who is it?', 'Tell me who it is.')
    """
    request = text.split()[0] in ("tell", "name", "give", "count", "explain", "describe", "i")
    return sentence(text, "." if request else "?")
