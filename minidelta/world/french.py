"""English phrases and their French: articles, gender, agreement, the place of adjectives, elision.

Pairs of adjective and noun that `is_kept(...)` names never stand in pre-training or in task training: the test
set asks for combinations nobody has shown.
"""

from random import Random

from . import lexicon
from .grammar import plural
from .relations import hash_of

VOWELS = "aeiouhéèêîœ"
BEFORE_VOWEL = {"beau": "bel", "nouveau": "nouvel", "vieux": "vieil"}


def is_kept(adjective: str, noun: str) -> bool:
    """Whether this pair of words is kept for the test (one in five).

    >>> is_kept("red", "house") in (True, False)
    True
    """
    return hash_of(f"{adjective} {noun}") % 5 == 0


def french_plural(noun: str) -> str:
    """
    >>> french_plural("chat"), french_plural("cheval"), french_plural("oiseau"), french_plural("souris")
    ('chats', 'chevaux', 'oiseaux', 'souris')
    """
    if noun.endswith(("s", "x")):
        return noun
    if noun.endswith("al"):
        return noun[:-2] + "aux"
    return noun + ("x" if noun.endswith("au") else "s")


def noun_phrase(noun: str, adjective: str | None, article: str) -> tuple[str, str]:
    """An English noun phrase and its French.

    Args:
        noun, adjective: English words of the half-lexicon.
        article: "the", "a", or a number word.
    Returns: (English, French).

    >>> noun_phrase("house", "red", "the"), noun_phrase("tree", "beautiful", "a"), noun_phrase("horse", "black", "two")
    (('the red house', 'la maison rouge'), ('a beautiful tree', 'un bel arbre'), ('two black horses', 'deux chevaux noirs'))
    """
    french, gender = lexicon.FRENCH_NOUNS[noun]
    many = article in lexicon.FRENCH_NUMBERS
    if many:
        french = french_plural(french)
    words = [french]
    if adjective:
        masculine, feminine, before = lexicon.FRENCH_ADJECTIVES[adjective]
        form = masculine if gender == "m" else feminine
        if many:
            form = french_plural(form)
        elif before and gender == "m" and french[0] in VOWELS:
            form = BEFORE_VOWEL.get(form, form)
        words = [form, french] if before else [french, form]
    if many:
        determiner = lexicon.FRENCH_NUMBERS[article] + " "
    elif article == "a":
        determiner = "un " if gender == "m" else "une "
    else:
        determiner = "l'" if words[0][0] in VOWELS else "le " if gender == "m" else "la "
    english_noun = plural(noun) if many else noun
    english_words = " ".join(filter(None, [adjective, english_noun]))
    if article == "a":
        article = "an" if english_words[0] in "aeiou" else "a"
    return f"{article} {english_words}", determiner + " ".join(words)


def random_phrase(split: str, rng: Random) -> tuple[str, str]:
    """A random noun phrase; the test takes kept pairs half of the time, the other splits never do."""
    noun = rng.choice(list(lexicon.FRENCH_NOUNS))
    adjective = rng.choice(list(lexicon.FRENCH_ADJECTIVES)) if rng.random() < 0.7 else None
    wanted = split == "test" and rng.random() < 0.5
    while adjective and is_kept(adjective, noun) != wanted:
        adjective = rng.choice(list(lexicon.FRENCH_ADJECTIVES))
    return noun_phrase(noun, adjective, rng.choice(("the", "the", "a", rng.choice(list(lexicon.FRENCH_NUMBERS)))))


PREPOSITIONS = ("in", "on", "under", "behind", "with")
LEVELS = {"pretraining": ("phrase", "event"), "train": ("phrase", "event", "place"), "validation": ("phrase", "event", "place"), "test": ("place", "frequency", "linked")}


def translation(split: str, rng: Random) -> tuple[str, str]:
    """An English phrase or sentence and its French.

    >>> translation("pretraining", Random(4))
    ('the cold sun', 'le soleil froid')
    """
    shape = rng.choice(LEVELS[split])
    one, un = random_phrase(split, rng)
    if shape == "phrase":
        return one, un
    two, deux = random_phrase(split, rng)
    if shape == "linked":
        return f"{one} and {two}", f"{un} et {deux}"
    if shape == "place":
        preposition = rng.choice(PREPOSITIONS)
        return f"{one} {preposition} {two}", f"{un} {lexicon.FRENCH_WORDS[preposition]} {deux}"
    noun = rng.choice([word for word, (_, gender) in lexicon.FRENCH_NOUNS.items()])
    subject, sujet = noun_phrase(noun, None, rng.choice(("the", "a")))
    english, french = rng.choice(list(lexicon.FRENCH_VERBS.items()))
    if shape == "event":
        return f"{subject} {english} {two}", f"{sujet} {french} {deux}"
    often = rng.choice(("always", "often"))
    return f"{subject} {often} {english} {two}", f"{sujet} {french} {lexicon.FRENCH_WORDS[often]} {deux}"
