"""Lists of answered questions: what a model reads that shall learn to answer from examples.

Two kinds, each in one of several layouts:

    function lists   one function of a word (plural, French, ...); words allow several, so only the examples tell which
    drawn lists      a mapping from categories to labels, drawn anew in every document: only the examples tell which

Kept for tests, and never in a list: one word in five, four kinds of things, one label in five, the layouts
`HELD_LAYOUTS`, the last description of each function, and everything about verdicts on films and restaurants.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from random import Random

from . import events, forms, lexicon
from .documents import MIX as PLAIN
from .documents import Document, documents, example_list, told
from .facts import geography
from .french import french_plural
from .grammar import ing, plural, third
from .news import news
from .relations import general_question, hash_of

LISTS_VERSION = 1  # names the state that the embedded checkpoints have read; see WORLD_VERSION

LAYOUTS = (  # one pair, and what stands between two
    ("{x} => {y}", " . "), ("{x} -> {y}", " ; "), ("{x} = {y}", " , "), ("{x} : {y}", " . "), ("Q: {x} A: {y}", "\n"), ("Text: {x} Label: {y}", "\n"),
)  # fmt: skip
HELD_LAYOUTS = (("Input: {x} Output: {y}", "\n"), ("{x} | {y}", " / "))

FEW_LABELS = lexicon.COLORS[:6]
HELD_KINDS = ("bird", "garment", "metal", "flower")
HELD_LABELS = "good bad yes no true false positive negative".split()  # and one in five of the others


def label_words() -> list[str]:
    """Every word that may be a label: none that a list may ask about, none that praises or blames.

    >>> len(label_words()), "football" in label_words(), "dog" in label_words(), "lovely" in label_words()
    (404, True, False, False)
    """
    short = [*lexicon.COLORS, *lexicon.NUMBERS, *lexicon.MOODS, *lexicon.WEATHER, *lexicon.ADVERBS, *"spring summer autumn winter north south east west left right".split()]
    named = [*lexicon.SPORTS, *lexicon.GENRES, *lexicon.CUISINES, *lexicon.INDUSTRIES, *lexicon.HOBBIES, *lexicon.RIVERS, *lexicon.COUNTRIES, *lexicon.LAST]
    news = [word for agents, things, _ in lexicon.TOPICS.values() for word in (*agents, *things)]
    asked = {word for things in CATEGORIES.values() for word in things} | set(lexicon.OPPOSITES.values()) | set(lexicon.PRAISE) | set(lexicon.BLAME)
    return [word for word in dict.fromkeys([*short, *named, *news]) if word not in asked or word in FEW_LABELS]


CATEGORIES = lexicon.KINDS | {"city": lexicon.CITIES, "worker": lexicon.WORKERS, "verb": list(lexicon.TRANSITIVE), "name": lexicon.FEMALE + lexicon.MALE, "quality": list(lexicon.OPPOSITES)}
HELD_LABELS += [word for word in label_words() if word not in FEW_LABELS and hash_of(f"label {word}") % 5 == 0]
LABELS = [word for word in label_words() if word not in HELD_LABELS]


def is_held(word: str) -> bool:
    """Whether a word is kept for tests (one in five): no list of pre-training asks about it.

    >>> is_held("cheese") in (True, False)
    True
    """
    return hash_of(f"list {word}") % 5 == 0


# ---- one function of a word -----------------------------------------------------------------------------------
@lru_cache(maxsize=1)
def functions() -> dict[str, dict[str, dict[str, str]]]:
    """Group of words -> function -> word -> answer; the functions of a group share their words.

    >>> [(name, answers["dog"]) for name, answers in functions()["noun"].items()]
    [('plural', 'dogs'), ('french', 'chien'), ('french plural', 'chiens'), ('copy', 'dog')]
    """
    french = {word: answer for word, (answer, _) in lexicon.FRENCH_NOUNS.items()}
    adjectives = [word for word in events.OPPOSITE if word in lexicon.FRENCH_ADJECTIVES]
    cities = {city.name: city for city in geography()}
    verbs = lexicon.TRANSITIVE
    return {
        "noun": {
            "plural": {word: plural(word) for word in french},
            "french": french,
            "french plural": {word: french_plural(answer) for word, answer in french.items()},
            "copy": {word: word for word in french},
        },
        "thing": {
            "kind": dict(events.KIND_OF),
            "plural": {word: plural(word) for word in events.KIND_OF},
            "copy": {word: word for word in events.KIND_OF},
        },
        "verb": {
            "past": {word: past for word, (past, _) in verbs.items()},
            "participle": {word: participle for word, (_, participle) in verbs.items()},
            "ing": {word: ing(word) for word in verbs},
            "third": {word: third(word) for word in verbs},
            "copy": {word: word for word in verbs},
        },
        "adjective": {
            "opposite": {word: events.OPPOSITE[word] for word in adjectives},
            "french": {word: lexicon.FRENCH_ADJECTIVES[word][0] for word in adjectives},
            "french feminine": {word: lexicon.FRENCH_ADJECTIVES[word][1] for word in adjectives},
            "copy": {word: word for word in adjectives},
        },
        "city": {
            "country": {name: city.country for name, city in cities.items()},
            "river": {name: city.river for name, city in cities.items()},
            "copy": {name: name for name in cities},
        },
    }


DESCRIPTIONS = {  # the last of each is kept for tests
    "kind": ("Say what kind of thing it is:", "The kind of each thing:", "Name its kind:"),
    "plural": ("More than one of them:", "The plural of each word:", "Give the plural:"),
    "french": ("The French for each word:", "In French:", "Translate English to French:"),
    "french plural": ("More than one of them, in French:", "The French plural:", "Translate into the French plural:"),
    "french feminine": ("In French, as said of a woman:", "The French feminine:", "Translate into the French feminine:"),
    "copy": ("The same word again:", "Say it again:", "Copy each word:"),
    "past": ("What they did yesterday:", "The past of each verb:", "Give the past:"),
    "participle": ("What was done:", "The participle of each verb:", "Give the participle:"),
    "ing": ("What they are doing:", "Each verb with its ending ing:", "Write it with ing:"),
    "third": ("What she does:", "Each verb after she:", "Say it of her:"),
    "opposite": ("The opposite of each word:", "Say the opposite:", "Give its opposite:"),
    "country": ("The country of each city:", "In which country it lies:", "Name the country:"),
    "river": ("The river of each city:", "On which river it lies:", "Name the river:"),
}  # fmt: skip


def function_list(rng: Random) -> Document:
    """Words and what one function makes of them; in every third list, a fifth of the answers are another function's."""
    group = rng.choices(list(functions()), (4, 2, 2, 1, 1))[0]
    name = rng.choice(list(functions()[group]))
    answers = functions()[group][name]
    words = [word for word in answers if not is_held(word)]
    noise = 0.2 if rng.random() < 0.33 else 0.0
    pairs = []
    for word in rng.sample(words, min(len(words), rng.choice(COUNTS))):
        other = rng.choice(list(functions()[group])) if rng.random() < noise else name
        pairs.append((word, functions()[group][other][word]))
    description = rng.choice(DESCRIPTIONS[name][:-1]) if rng.random() < 0.3 else ""
    return Document("function list", [written(pairs, rng.choice(LAYOUTS), description)])


# ---- a mapping drawn anew -------------------------------------------------------------------------------------
COUNTS = (8, 16, 24, 24, 48)  # pairs in a list of words, at most
FEW_WORDS = 0.7  # of the drawn lists ask again and again for the same two to six things: copying is learnt from them


@lru_cache(maxsize=1)
def categories() -> dict[str, list[str]]:
    """Category -> its words, those kept for tests left out.

    >>> sorted(set(CATEGORIES) - set(categories()))
    ['bird', 'flower', 'garment', 'metal']
    """
    return {kind: [word for word in things if not is_held(word) and word not in FEW_LABELS] for kind, things in CATEGORIES.items() if kind not in HELD_KINDS}


def question_about(kind: str) -> Callable[[Random], str]:
    return lambda rng: general_question(kind, told()[0], "pretraining", rng)


def news_about(topic: str) -> Callable[[Random], str]:
    def one(rng: Random) -> str:
        while True:
            sentences, found = news(told()[0], "pretraining", rng)
            if found == topic:
                return sentences[0]

    return one


SENTENCES = {kind: question_about(kind) for kind in forms.QUESTIONS} | {topic: news_about(topic) for topic in ("politics", "business", "sport", "science", "culture", "health")}


def sentence_kinds(rng: Random, number: int) -> list[str]:
    """Types of questions, or topics of news: not both, which their form alone would tell apart."""
    return rng.sample(list(forms.QUESTIONS) if rng.random() < 0.5 else [name for name in SENTENCES if name not in forms.QUESTIONS], number)


def drawn_list(rng: Random) -> Document:
    """Things of two to four categories, each with the label that its category has in this document."""
    number = rng.choices((2, 3, 4), (7, 2, 1))[0]
    labels = rng.sample(FEW_LABELS if rng.random() < 0.5 else LABELS, number)
    few = rng.random() < FEW_WORDS
    if rng.random() < 0.2:
        names = sentence_kinds(rng, number)
        makers = [SENTENCES[name] for name in names]
        count = rng.choice((4, 8, 12))
    else:
        makers = [lambda rng, words=categories()[name]: rng.choice(words) for name in rng.sample(list(categories()), number)]
        count = rng.choice(COUNTS)
    if few:
        pool = [(maker(rng), label) for maker, label in zip(makers, labels)]
        pool += [(makers[place](rng), labels[place]) for place in rng.choices(range(number), k=rng.randrange(max(1, 7 - number)))]
    pairs = []
    for _ in range(count):
        place = rng.randrange(number)
        pairs.append(rng.choice(pool) if few else (makers[place](rng), labels[place]))
    return Document("drawn list", [written(pairs, rng.choice(LAYOUTS))])


def written(pairs: list[tuple[str, str]], layout: tuple[str, str], description: str = "") -> str:
    """Pairs as one text.

    >>> written([("cheese", "fromage"), ("cat", "chat")], LAYOUTS[0], "Translate English to French:")
    'Translate English to French: cheese => fromage . cat => chat .'
    """
    one, between = layout
    opening = description + ("\n" if description and between == "\n" else " " * bool(description))
    return opening + between.join(one.format(x=x, y=y) for x, y in pairs) + between.rstrip(" ")


MIX = {kind: share for kind, share in PLAIN.items() if kind is not example_list} | {function_list: 25, drawn_list: 50}


def lists(seed: int) -> Iterator[Document]:
    """Endless documents: lists, and the world's other documents between them."""
    return documents(seed, MIX)
