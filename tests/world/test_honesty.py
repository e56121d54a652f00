"""The proof that a test asks for what no model has read, and that its words were not kept from the model.

Sentence forms have levels: `told` stands in pre-training, `taught` in task training and tests, `held` in tests alone.
Here every sentence that the forms can make is listed, its slots left open (a *skeleton*), and searched for.
"""

import re
from functools import cache
from itertools import islice

import pytest

from minidelta.world import TASKS, documents, events, forms, french, lexicon, task_records, tasks
from minidelta.world.facts import population
from minidelta.world.grammar import LEVELS, LEVELS_OF_SPLIT, plural, skeletons
from minidelta.world.lexicon import held_out, seen

from .conftest import sentences, words


# ---- skeletons --------------------------------------------------------------------------------------------------
def groups() -> dict[str, dict[str, list[str]]]:
    """Every group of forms in the world, found by its shape, so that a new one cannot be forgotten."""
    found = {}

    def walk(name, value):
        if isinstance(value, dict) and set(value) == set(LEVELS):
            found[name] = value
        elif isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{name} / {key}", inner)

    for module in (forms, events, tasks):
        for name, value in vars(module).items():
            if name.isupper():
                walk(name, value)
    return found


GROUPS = groups()


def listed(level: str, group: dict[str, list[str]]) -> set[str]:
    return {skeleton for form in group[level] for skeleton in skeletons(form)}


def bare(skeleton: str) -> str:
    """The same skeleton whatever its slots are called."""
    return re.sub(r"\{\w+\}", "{}", skeleton)


def pattern(skeleton: str) -> re.Pattern:
    """What a skeleton looks like in lower-case text, with anything of one sentence in a slot, but for verbs and names."""
    slots = {"{past}": PAST, "{part}": PARTICIPLES, "{base}": BASES, "{t}": NAMES, "{person}": NAMES, "{h}": NAMES}
    pieces = [piece for piece in re.split(r"(\{\w+\})", skeleton) if piece]
    while len(pieces) > 1 and pieces[-1] not in slots and pieces[-1].startswith("{"):
        pieces.pop()  # an open slot at an end matches anything
    while len(pieces) > 1 and pieces[0] not in slots and pieces[0].startswith("{"):
        pieces.pop(0)
    body = "".join(slots.get(piece) or (r"[^.?!]+?" if piece.startswith("{") else re.escape(piece)) for piece in pieces)
    return re.compile((r"\b" if re.match(r"\w", pieces[0]) else "") + body + (r"\b" if re.search(r"\w$", pieces[-1]) else ""))


def longest_word_run(skeleton: str) -> str:
    return max(re.split(r"\{\w+\}", skeleton), key=len)


def one_of(choices) -> str:
    return "(?:" + "|".join(sorted(map(re.escape, choices), key=len, reverse=True)) + ")"


VERBS = lexicon.TRANSITIVE | lexicon.MEETING | lexicon.VERB_SYNONYM_FORMS
PAST, PARTICIPLES, BASES = one_of({past for past, _ in VERBS.values()}), one_of({part for _, part in VERBS.values()}), one_of(VERBS)
PARTS = one_of(part.lower() for part in lexicon.FEMALE + lexicon.MALE + lexicon.COMPANY_STEMS + lexicon.LAST + lexicon.CITIES)
NAMES = rf"(?:{PARTS}(?: \w+)?|the {one_of(word.lower() for word in lexicon.TITLE_ADJECTIVES)} \w+)"


@pytest.fixture(scope="session")
def told_text(sample) -> str:
    return "\n".join({part.lower() for document in sample for part in document.parts})


def occurs(skeleton: str, text: str) -> str:
    """The first place in a text (one sentence a line) where the skeleton stands, or nothing."""
    run, found = longest_word_run(skeleton), pattern(skeleton)
    at = text.find(run)
    while at >= 0:  # only lines that hold the longest run of plain words are worth a look
        start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
        end = len(text) if end < 0 else end
        if match := found.search(text, start, end):
            return match.group()
        at = text.find(run, end)
    return ""


def test_all_groups_are_found():
    assert len(GROUPS) >= 50
    assert {name.split(" / ")[0] for name in GROUPS} == {
        "PREDICATES", "CLAUSES", "JOINS", "PLAIN", "FLIPPED", "DOUBLED", "CONCEDED", "NEWS", "BACKGROUND", "EVENTS", "NOT_EVENTS", "WISHES", "QUESTIONS", "ASKS", "STATES", "YES_NO", "ABSTRACT_ASKS", "ANALOGY",
    }  # fmt: skip
    assert LEVELS_OF_SPLIT == {"pretraining": ("told",), "train": ("told", "taught"), "validation": ("told", "taught"), "test": ("taught",) * 4 + ("held",)}


def test_no_skeleton_stands_at_two_levels():
    levels = {level: {bare(skeleton) for group in GROUPS.values() for skeleton in listed(level, group)} for level in LEVELS}
    assert all(len(skeletons_of) > 60 for skeletons_of in levels.values())
    assert not levels["told"] & levels["taught"]
    assert not levels["told"] & levels["held"]
    assert not levels["taught"] & levels["held"]


@pytest.mark.parametrize("name", GROUPS)
def test_no_skeleton_of_a_test_occurs_in_pretraining(told_text, name):
    found = {skeleton: hits for level in ("taught", "held") for skeleton in listed(level, GROUPS[name]) if (hits := occurs(skeleton, told_text))}
    assert not found


def test_the_search_finds_what_is_there(told_text):
    """The same search finds nearly all told skeletons; those of three tasks are told in task training alone."""
    told = [skeleton for name, group in GROUPS.items() if not name.startswith(("ABSTRACT_ASKS", "ANALOGY")) for skeleton in listed("told", group)]
    assert sum(bool(occurs(skeleton, told_text)) for skeleton in told) > 0.97 * len(told)


@pytest.mark.parametrize("name", GROUPS)
def test_no_held_skeleton_is_taught(name):
    """The same for task training: what only the test may say, no record of training says."""
    found = {skeleton: hits for skeleton in listed("held", GROUPS[name]) if (hits := occurs(skeleton, taught_text()))}
    assert not found


@cache
def taught_text() -> str:
    return "\n".join({sentence for name in TASKS for record in task_records(name, "train") for text in texts(record) for sentence in re.split(r"(?<=[.?!])\s", text.lower())})


# ---- records ----------------------------------------------------------------------------------------------------
def texts(record: dict) -> list[str]:
    return [record[key] if key != "tokens" else " ".join(record[key]) for key in ("text", "text_b", "tokens") if record.get(key)]


def all_words(record: dict) -> set[str]:
    answer = record["answer"] if "answer" in record else ""
    return set(words(" ".join([*texts(record), answer, *record.get("choices", [])])))


@pytest.mark.parametrize("name", TASKS)
def test_no_test_sentence_occurs_in_pretraining(told_sentences, name):
    asked = {sentence for record in task_records(name, "test") for text in texts(record) for sentence in sentences(text)}
    assert len(asked) > 300
    assert not asked & told_sentences


@pytest.mark.parametrize("name", TASKS)
def test_no_test_text_occurs_in_training(name):
    def whole(record):
        return tuple(" ".join(words(text)) for text in texts(record))

    trained = {whole(record) for record in task_records(name, "train")}
    for split in ("validation", "test"):
        assert not {whole(record) for record in task_records(name, split)} & trained


@pytest.mark.parametrize("name", ("relation", "tagging", "qa-extract", "qa-choice", "qa-yesno"))
def test_sentences_of_training_do_not_return_in_the_test(name):
    """The people of the test are others, so even single sentences differ; only news without names may come twice."""
    trained = {sentence for record in task_records(name, "train") for text in texts(record) for sentence in sentences(text)}
    tested = [sentence for record in task_records(name, "test") for text in texts(record) for sentence in sentences(text)]
    assert sum(sentence in trained for sentence in tested) <= (0.03 if name == "tagging" else 0) * len(tested)


# ---- names ------------------------------------------------------------------------------------------------------
def names_of(which: str) -> set[str]:
    world = population(which)
    return {one.name for group in (world.people, world.companies, world.works, world.teams, world.eateries) for one in group}


def test_no_name_of_a_task_occurs_in_pretraining(sample):
    """So no fact about them, no pair with a relation, can be known from memory."""
    written = {match[1] for document in sample for match in re.finditer(r"(?=\b((?:The )?[A-Z]\w+ [A-Z]\w+))", document.text)}
    assert len(written & names_of("told")) > 1500
    assert not written & names_of("test")
    assert not written & names_of("train")


def test_no_two_populations_share_a_name():
    assert not names_of("told") & names_of("train")
    assert not names_of("told") & names_of("test")
    assert not names_of("train") & names_of("test")
    assert all(len(names_of(which)) > 150 for which in ("told", "train", "test"))


def test_facts_of_the_test_are_facts_of_no_other_population():
    def facts(which):
        return {fact for facts in tasks._book("test" if which == "test" else "train").facts.values() for fact in facts}

    assert facts("test") and not facts("test") & facts("train")


def test_names_of_the_test_are_made_of_held_out_parts():
    first, last = set(held_out(lexicon.FEMALE) + held_out(lexicon.MALE)), set(held_out(lexicon.LAST))
    for person in population("test").people:
        assert person.name.split()[0] in first and person.name.split()[1] in last
    for person in population("train").people:
        assert person.name.split()[0] not in first and person.name.split()[1] not in last
    assert {city.name for city in population("test").cities} == set(held_out(lexicon.CITIES))


def test_every_part_of_a_name_is_read_in_pretraining(sample):
    written = {word for document in sample for word in re.findall(r"\w+", document.text)}
    for which in ("train", "test"):
        assert {part for name in names_of(which) for part in name.split()} <= written


# ---- words ------------------------------------------------------------------------------------------------------
def test_every_word_of_the_tests_occurs_in_pretraining(sample):
    """No word of a test, a question or an answer is a new word."""
    read = {word for document in sample for word in words(document.text)}
    read |= {word for document in islice(documents(2027), 40_000) for word in words(document.text)}  # some plurals are rare
    asked = {word for name in TASKS for split in ("validation", "test") for record in task_records(name, split) for word in all_words(record)}
    assert len(asked) > 1500
    assert not asked - read


LABELLED = {"sentiment": [lexicon.PRAISE, lexicon.BLAME, lexicon.PRAISE_VERBS, lexicon.BLAME_VERBS], "topic": [group for topic in lexicon.TOPICS.values() for group in topic]}


@pytest.mark.parametrize("name", LABELLED)
def test_held_out_words_are_absent_from_training_and_present_in_the_test(name):
    """A word that another group shows as well (the director of a company and of a film) is not held out."""
    lists = LABELLED[name]
    elsewhere = {word for group in lists for word in seen(group)} | {word for skeleton in GROUPS.values() for forms_ in skeleton.values() for form in forms_ for word in words(re.sub(r"\{\w+\}", " ", form))}
    elsewhere |= {word for aspects in lexicon.ASPECTS.values() for word in aspects} if name == "sentiment" else set()
    held = {word for group in lists for word in held_out(group)} - elsewhere
    trained = {word for record in task_records(name, "train") for word in words(record["text"])}
    assert len(held) > 40
    assert not held & trained
    assert sum(bool(held & set(words(record["text"]))) for record in task_records(name, "test")) > 400


def test_word_pairs_of_the_analogies_are_held_out():
    """What is tested as an analogy (dog : puppy) is common knowledge of pre-training, but no such pair is trained."""
    trained = {(record["text_b"].split()[-1], record["choices"][record["label"]]) for record in task_records("analogy", "train")}
    tested = {(record["text_b"].split()[-1], record["choices"][record["label"]]) for record in task_records("analogy", "test")}
    assert len(tested) > 100
    assert not trained & tested


# ---- French -----------------------------------------------------------------------------------------------------
def kept_pairs() -> set[str]:
    pairs = [(adjective, noun) for adjective in lexicon.FRENCH_ADJECTIVES for noun in lexicon.FRENCH_NOUNS if french.is_kept(adjective, noun)]
    return {f"{adjective} {form}" for adjective, noun in pairs for form in (noun, plural(noun))}


def bigrams(text: str) -> set[str]:
    plain = words(text)
    return {f"{one} {two}" for one, two in zip(plain, plain[1:])}


def test_kept_pairs_of_french_are_translated_in_the_test_alone(sample):
    kept = kept_pairs()
    assert len(kept) > 500
    assert not kept & {pair for document in sample if document.kind == "translation" for pair in bigrams(document.text) | bigrams(document.pair[0])}
    assert not kept & {pair for split in ("train", "validation") for record in task_records("translation", split) for pair in bigrams(record["text"])}
    assert sum(bool(kept & bigrams(record["text"])) for record in task_records("translation", "test")) > 300
