"""The tasks of the world: thirteen of them, as plain records.

Every split is made on demand from a seed of its own and repeats exactly.  Train and validation share forms, words and
names; the test uses forms of the levels `taught` and `held`, held-out words, and people of another population.  Where
a label is a judgement, a stated share of labels is wrong on purpose, in all splits alike, as in data that people
annotate: no method can reach 100 %.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from . import events, forms, french, lexicon
from .documents import word_functions
from .facts import population
from .grammar import a, pick, question, render, sentence
from .news import news
from .relations import RELATIONS, Fact, FactBook, ask, clause, general_question, hash_of, join_clauses, overlap, passage, two_facts
from .reviews import review

SIZES = {"train": 4000, "validation": 500, "test": 1000}


@dataclass(frozen=True)
class TaskInfo:
    """What a task is; `make(split, rng)` gives one clean record.

    kind: classification, relation, tagging, extraction, choice or generation: decides the keys of a record.
    noise: the share of labels that are wrong on purpose.
    prefix: the words a text-to-text model gets in front.
    symmetric: whether the two texts of a pair may be exchanged.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    metric: str
    description: str
    noise: float
    prefix: str
    make: Callable[[str, Random], dict]
    symmetric: bool = False


@lru_cache(maxsize=None)
def _people(split: str):
    return population("test" if split == "test" else "train")


@lru_cache(maxsize=None)
def _book(split: str) -> FactBook:
    return FactBook(_people(split))


def _sentiment(split: str, rng: Random) -> dict:
    sentences, good = review(split, rng)
    return {"text": " ".join(sentences), "label": "positive" if good else "negative"}


def _topic(split: str, rng: Random) -> dict:
    sentences, topic = news(_people(split), split, rng)
    return {"text": " ".join(sentences), "label": topic}


def _question_type(split: str, rng: Random) -> dict:
    kind = rng.choice(list(forms.QUESTIONS))
    return {"text": general_question(kind, _people(split), split, rng), "label": kind}


def _entailment(split: str, rng: Random) -> dict:
    premise, hypothesis, label = events.entailment(split, rng)
    return {"text": premise, "text_b": hypothesis, "label": label}


def _paraphrase(split: str, rng: Random) -> dict:
    first, second, same = events.paraphrase(split, rng)
    return {"text": first, "text_b": second, "label": "same" if same else "different"}


def _relation(split: str, rng: Random) -> dict:
    """Two marked names in a sentence of two facts; one time in nine the two marked names have no relation."""
    book = _book(split)
    if rng.random() < 1 / 9:
        (person, one), (other, two) = book.some_fact(rng), book.some_fact(rng)
        while person.name == other.name or person.spouse == other.name or overlap(one[2], two[2]) or person.name in two or other.name in one:
            other, two = book.some_fact(rng)
        clauses = [clause(one, split, rng), clause(two, split, rng)]
        rng.shuffle(clauses)
        text, head, tail, label = join_clauses(*clauses, split, rng), person.name, two[2], "no relation"
    else:
        person, one = book.some_fact(rng)
        two = book.other_fact(person, one, rng)
        pair = [one, two]
        rng.shuffle(pair)
        text, (label, head, tail) = two_facts(person, *pair, split, rng), one
    return {"text": text, "head": _span(text, head), "tail": _span(text, tail), "label": label}


def _span(text: str, name: str) -> list[int]:
    start = text.index(name)
    return [start, start + len(name)]


def _tagging(split: str, rng: Random) -> dict:
    """Words with BIO tags PER, LOC, ORG, WORK; surnames stand for people and for companies alike."""
    people, book = _people(split), _book(split)
    names = {}
    if rng.random() < 0.6:
        person, one = book.some_fact(rng)
        two = book.other_fact(person, one, rng)
        text = two_facts(person, one, two, split, rng)
        for fact in (one, two):
            names[fact[2]] = {"born in": "LOC", "lives in": "LOC", "works for": "ORG", "founded": "ORG", "directed": "WORK", "wrote": "WORK", "coaches": "ORG", "married to": "PER", "owns": "ORG", "eats at": "ORG"}[fact[0]]
        names[person.name] = "PER"
    else:
        sentences, _ = news(people, split, rng)
        text = " ".join(sentences)
        names |= {city.name: "LOC" for city in people.cities if city.name in text} | {person.name: "PER" for person in people.people if person.name in text}
    if rng.random() < 0.5:  # a second sentence that speaks of a surname, of a company by its stem, or of no name at all
        person, company, work = rng.choice(people.people), rng.choice(people.companies), rng.choice(people.works)
        surname, stem, title = person.name.split()[1], company.name.split()[0], work.name[4:].lower()
        extra, name, tag = rng.choice([
            (f"Then {surname} {rng.choice(list(lexicon.INTRANSITIVE.values()))} for {rng.choice(lexicon.NUMBERS[1:])} hours.", surname, "PER"), (f"The shares of {stem} rose by {rng.choice(lexicon.NUMBERS[1:])} points.", stem, "ORG"),
            (f"Nobody found the {title} again.", "", ""), (f"Everybody speaks of {work.name} now.", work.name, "WORK"),
        ])  # fmt: skip
        if all(not overlap(name, other) for other in names) or not name:
            text += " " + extra
            if name:
                names[name] = tag
    tokens, tags = [], []
    matches = []
    for name in sorted(names, key=len, reverse=True):  # the longest name owns its words
        for match in re.finditer(rf"\b{re.escape(name)}\b", text):
            if all(match.end() <= start or match.start() >= end for start, end, _ in matches):
                matches.append((match.start(), match.end(), names[name]))
    for word in re.finditer(r"\w+|[^\w\s]", text):
        inside = next(((start, tag) for start, end, tag in matches if start <= word.start() < end), None)
        tokens.append(word.group())
        tags.append("O" if inside is None else ("B-" if inside[0] == word.start() else "I-") + inside[1])
    return {"tokens": tokens, "tags": tags}


def _qa_extract(split: str, rng: Random) -> dict:
    telling = []
    while len(telling) != 1:  # born and living in the same city: which of the two sentences answers cannot be told by names
        sentences, facts = passage(_book(split), split, rng, people=rng.choice((2, 2, 3)))
        fact = rng.choice(facts)
        telling = [one for one in sentences if fact[2] in one and fact[1] in one]
    text, stated = " ".join(sentences), telling[0]
    return {"text": text, "text_b": ask(fact, split, rng), "answer": fact[2], "start": text.index(stated) + stated.index(fact[2])}


def _qa_choice(split: str, rng: Random) -> dict:
    sentences, facts = passage(_book(split), split, rng, people=rng.choice((2, 2, 3)))
    fact = rng.choice(facts)
    rivals = {other[2] for other in facts if other[0] == fact[0]} - {fact[2]}
    while len(rivals) < 3:
        rivals.add(_book(split).some_fact(rng, fact[0])[1][2])
        rivals.discard(fact[2])
    choices = [fact[2], *sorted(rivals)[:3]]
    rng.shuffle(choices)
    return {"text": " ".join(sentences), "text_b": ask(fact, split, rng), "choices": choices, "label": choices.index(fact[2])}


YES_NO = {"told": ["is it true that {c}"], "taught": ["is it correct to say that {c}"], "held": ["can one say that {c}"]}


def _qa_yesno(split: str, rng: Random) -> dict:
    """The wrong statement pairs a person of the passage with what the passage says of another."""
    rivals: list[Fact] = []
    while not rivals:  # only what can be asked both ways is asked, so that the question's relation tells nothing
        sentences, facts = passage(_book(split), split, rng, people=rng.choice((2, 2, 3)))
        fact = rng.choice(facts)
        rivals = [other for other in facts if other[0] == fact[0] and other[2] != fact[2] and other[1] != fact[1]]
    yes = rng.random() < 0.5
    asked = fact if yes else (fact[0], fact[1], rng.choice(rivals)[2])
    return {"text": " ".join(sentences), "text_b": question(render(pick(YES_NO, split, rng), rng, c=clause(asked, split, rng))), "label": "yes" if yes else "no"}


ABSTRACT_ASKS = {
    "count": {"told": ["how many things did the {s} {base}"], "taught": ["what is the number of things that the {s} {past}"], "held": ["count the things that the {s} {past}"]},
    "kind": {"told": ["what kind of thing did the {s} {base}"], "taught": ["what sort of thing was {part} by the {s}"], "held": ["of what kind is the thing that the {s} {past}"]},
    "act": {"told": ["what did the {s} do"], "taught": ["what was done by the {s}"], "held": ["what is it that the {s} did"]},
}


def _qa_abstract(split: str, rng: Random) -> dict:
    """The answer stands nowhere in the passage: a number, a kind, or an act told in other words."""
    workers = rng.sample(lexicon.WORKERS, 2)
    way = rng.choice(list(ABSTRACT_ASKS))
    lines, told = [], []
    for worker in workers:
        event = events.some_event(rng, meeting=False, modifiers=False)
        event = replace(event, subject=worker)
        count = rng.choice((1, 2, 3, 4)) if way == "count" else 1
        things = [event.object] + rng.sample([word for word in events.KIND_OF if word != event.object and events.KIND_OF[word] in events.THINGS], count - 1)
        listed = " and ".join(filter(None, [", ".join(f"the {thing}" for thing in things[:-1]), f"the {things[-1]}"]))
        told.append((event, things))
        line = "the \0"
        while line.startswith("the \0") and count > 1 or line == "the \0":  # several things never stand in front of a verb in the singular
            line = events.say(replace(event, object="\0"), rng, split)
        lines.append(sentence(line.replace("the \0", listed)))
    event, things = told[0]
    past, participle = lexicon.TRANSITIVE[event.verb]
    rng.shuffle(lines)
    asked = question(render(pick(ABSTRACT_ASKS[way], split, rng), rng, s=event.subject, base=event.verb, past=past, part=participle))
    answer = {"count": lexicon.NUMBERS[len(things) - 1], "kind": a(events.KIND_OF[things[0]]), "act": f"the {event.subject} {past} {a(things[0])}"}[way]
    return {"text": " ".join(lines), "text_b": asked, "answer": answer}


def _translation(split: str, rng: Random) -> dict:
    english, french_text = french.translation(split, rng)
    return {"text": english, "answer": french_text}


ANALOGY = {"told": ["{a} is to {b} as {c} is to what"], "taught": ["if {a} goes with {b}, what goes with {c}"], "held": ["{b} belongs to {a}; in the same way, what belongs to {c}"]}


@lru_cache(maxsize=None)
def _functions(test: bool) -> dict[str, list[tuple[str, str]]]:
    """The functions of a word, with the pairs of the test or with the others: one word in four is kept for the test."""
    return {name: [pair for pair in pairs if (hash_of(pair[0]) % 4 == 0) == test] for name, pairs in word_functions().items()}


def _analogy(split: str, rng: Random) -> dict:
    """Four choices: the right partner, other partners of the word itself, and partners of other words.

    The test has words of its own, and so have its wrong choices: a word that training shows as a wrong choice only would
    give itself away.
    """
    functions = _functions(split == "test")
    name = rng.choice(list(functions))
    (one, two), (three, four) = rng.sample(functions[name], 2)
    rivals = {right for left, right in functions[name] if left != three}
    rivals |= {right for function in functions.values() for left, right in function if left == three}
    rivals.discard(four)
    while len(rivals) < 3:
        rivals.add(rng.choice(functions[rng.choice(list(functions))])[1])
        rivals.discard(four)
    choices = [four, *rng.sample(sorted(rivals), 3)]
    rng.shuffle(choices)
    return {"text": "", "text_b": question(render(pick(ANALOGY, split, rng), rng, a=one, b=two, c=three)), "choices": choices, "label": choices.index(four)}


def _task(name: str, kind: str, labels: tuple, metric: str, make: Callable, description: str, noise: float = 0.0, prefix: str | None = None, symmetric: bool = False) -> TaskInfo:
    return TaskInfo(name, kind, tuple(labels), metric, description, noise, prefix if prefix is not None else f"{name}:", make, symmetric)


TAGS = ("O", *(f"{begin}-{tag}" for tag in ("PER", "LOC", "ORG", "WORK") for begin in "BI"))
TASKS: dict[str, TaskInfo] = {
    task.name: task
    for task in (
        _task("sentiment", "classification", ("negative", "positive"), "accuracy", _sentiment, "Is a review good or bad? Negation, double negation, concession.", 0.04),
        _task("topic", "classification", tuple(lexicon.TOPICS), "accuracy", _topic, "Which of six topics is the news about? Another topic stands in the background.", 0.04),
        _task("question-type", "classification", tuple(forms.QUESTIONS), "accuracy", _question_type, "What does a question ask for: person, place, number, time, reason, definition?", 0.04),
        _task("entailment", "classification", ("entailment", "neutral", "contradiction"), "accuracy", _entailment, "Does the second sentence follow from the first?", 0.04),
        _task("paraphrase", "classification", ("different", "same"), "accuracy", _paraphrase, "Do two sentences say the same?", 0.04, symmetric=True),
        _task("relation", "relation", (*RELATIONS, "no relation"), "f1_micro", _relation, "Which relation holds between two marked names?", 0.04),
        _task("tagging", "tagging", TAGS, "span_f1", _tagging, "Find the names of people, places, organisations and works."),
        _task("qa-extract", "extraction", (), "f1_answer", _qa_extract, "Answer a question with a span of the passage.", prefix="question:"),
        _task("qa-choice", "choice", (), "accuracy", _qa_choice, "Answer a question about a passage by choosing one of four.", prefix="choose:"),
        _task("qa-yesno", "classification", ("no", "yes"), "accuracy", _qa_yesno, "Answer a yes / no question about a passage.", prefix="yes or no:"),
        _task("qa-abstract", "generation", (), "exact_match", _qa_abstract, "Answer a question in words that the passage does not contain.", prefix="answer:"),
        _task("translation", "generation", (), "bleu", _translation, "Translate English into French.", prefix="translate English to French:"),
        _task("analogy", "choice", (), "accuracy", _analogy, "a is to b as c is to which of four?", prefix="analogy:"),
    )
}


def _text(record: dict) -> str:
    return str(sorted((key, value) for key, value in record.items() if key in ("text", "text_b", "tokens")))


def annotated(name: str, split: str) -> Iterator[tuple[dict, object]]:
    """The records of a split with their true labels, each beside the label it is given: wrong in a share `noise` of them.

    No text comes twice in a split, and none of the training split in another.

    >>> record, given = next(annotated("topic", "validation"))
    >>> record["label"] in TASKS["topic"].labels and given in TASKS["topic"].labels
    True
    """
    info, rng = TASKS[name], Random(f"{name} {split}")
    texts = set() if split == "train" else {_text(record) for record in _records(name, "train")}
    for _ in range(SIZES[split]):
        record = info.make(split, rng)
        while _text(record) in texts:
            record = info.make(split, rng)
        texts.add(_text(record))
        given = record.get("label")
        if info.noise and rng.random() < info.noise:
            given = rng.choice([label for label in info.labels if label != given])
        yield record, given


@lru_cache(maxsize=None)
def _records(name: str, split: str) -> tuple[dict, ...]:
    return tuple(record | {"label": given} if "label" in record else record for record, given in annotated(name, split))


def task_records(name: str, split: str) -> list[dict]:
    """The records of one split of a task.

    Args:
        name: a key of `TASKS`.
        split: "train" (4,000 records), "validation" (500) or "test" (1,000).
    Returns: plain dictionaries; the keys follow from the kind of the task:
        classification  text, [text_b], label
        relation        text, head [start, end], tail [start, end], label
        tagging         tokens, tags
        extraction      text (the passage), text_b (the question), answer, start (its character offset)
        choice          text (the passage, may be empty), text_b, choices, label (index of the right one)
        generation      text, [text_b], answer
    Raises: KeyError for an unknown task or split (the data floor turns it into a clear message).

    >>> task_records("sentiment", "train")[0]["label"] in ("negative", "positive")
    True
    """
    TASKS[name], SIZES[split]
    return [{key: list(value) if isinstance(value, list) else value for key, value in record.items()} for record in _records(name, split)]
