"""Facts as sentences: statements about entities, passages of several facts, and questions about them.

A fact is a triple (relation, head, tail) of plain names.  A sentence usually carries two facts, so that *which two
entities are marked* decides the relation, not which words the sentence holds.
"""

import re
from random import Random

from . import forms, lexicon
from .facts import Person, Population
from .grammar import pick, plural, question, render, sentence

Fact = tuple[str, str, str]
RELATIONS = tuple(forms.PREDICATES)


def facts_of(person: Person, population: Population, rng: Random) -> list[Fact]:
    """All facts with this person at the head, one tail a relation."""
    facts = [("born in", person.name, person.born_in), ("lives in", person.name, person.lives_in), ("works for", person.name, person.employer), ("married to", person.name, person.spouse)]
    facts += [("founded", person.name, company.name) for company in population.companies if company.founder == person.name][:1]
    facts += [("directed" if work.kind == "film" else "wrote", person.name, work.name) for work in population.works if work.maker == person.name][:1]
    facts += [("coaches", person.name, team.name) for team in population.teams if team.coach == person.name][:1]
    facts += [("owns", person.name, eatery.name) for eatery in population.eateries if eatery.owner == person.name][:1]
    facts.append(("eats at", person.name, population.eateries[hash_of(person.name) % len(population.eateries)].name))
    return facts


def hash_of(text: str) -> int:
    """A small stable hash (Python's own changes from run to run)."""
    value = 0
    for letter in text:
        value = (value * 131 + ord(letter)) % 1_000_003
    return value


class FactBook:
    """The facts of a population, by person: made once, since scanning companies for founders is slow.

    >>> from minidelta.world.facts import population
    >>> book = FactBook(population("train"))
    >>> len(book.people) == len(population("train").people)
    True
    """

    def __init__(self, population: Population):
        rng = Random("facts")
        self.population = population
        self.people = [person for person in population.people]
        self.facts = {person.name: facts_of(person, population, rng) for person in population.people}
        self.by_relation: dict[str, list[tuple[Person, Fact]]] = {relation: [] for relation in RELATIONS}
        for person in self.people:
            for fact in self.facts[person.name]:
                self.by_relation[fact[0]].append((person, fact))

    def some_fact(self, rng: Random, relation: str | None = None) -> tuple[Person, Fact]:
        """A fact of a random relation (each relation equally often), with its person."""
        return rng.choice(self.by_relation[relation or rng.choice(RELATIONS)])

    def other_fact(self, person: Person, unlike: Fact, rng: Random) -> Fact:
        """Another fact about the same person, whose names do not overlap with the first."""
        choices = [fact for fact in self.facts[person.name] if fact[0] != unlike[0] and not overlap(fact[2], unlike[2])]
        return rng.choice(choices)


def overlap(one: str, two: str) -> bool:
    """Whether one name stands inside the other ("Tolm", "Tolm Lions")."""
    return one in two or two in one


def predicate(fact: Fact, split: str, rng: Random) -> str:
    return render(pick(forms.PREDICATES[fact[0]], split, rng), rng, t=fact[2])


def clause(fact: Fact, split: str, rng: Random) -> str:
    """The fact as a whole clause, head first or tail first."""
    if rng.random() < 0.5:
        return f"{fact[1]} {predicate(fact, split, rng)}"
    return render(pick(forms.CLAUSES[fact[0]], split, rng), rng, h=fact[1], t=fact[2])


def two_facts(person: Person, one: Fact, two: Fact, split: str, rng: Random) -> str:
    """A sentence (or two) that carries two facts about one person."""
    return _capitals(
        render(pick(forms.JOINS, split, rng), rng, s=person.name, pronoun=person.pronoun, p=predicate(one, split, rng), q=predicate(two, split, rng), c=clause(one, split, rng), d=clause(two, split, rng))
    )  # fmt: skip


def join_clauses(one: str, two: str, split: str, rng: Random) -> str:
    """Two clauses of any two people, joined as `two_facts` joins its own."""
    joins = {level: [form for form in group if "{c}" in form] for level, group in forms.JOINS.items()}
    return _capitals(render(pick(joins, split, rng), rng, c=one, d=two))


def _capitals(text: str) -> str:
    return sentence(re.sub(r"\. (\w)", lambda match: ". " + match[1].upper(), text))


def passage(book: FactBook, split: str, rng: Random, people: int = 2) -> tuple[list[str], list[Fact]]:
    """Sentences about several people who share relations, in random order, so that a question needs the right one.

    Returns: the sentences and all facts they tell.
    """
    relations = rng.sample(("born in", "lives in", "works for", "married to", "eats at"), 2)
    chosen: list[Person] = []
    while len(chosen) < people:
        person = rng.choice(book.people)
        if all(person.name != other.name and person.name != other.spouse for other in chosen):
            chosen.append(person)
    facts, sentences = [], []
    for person in chosen:
        own = [next(fact for fact in book.facts[person.name] if fact[0] == relation) for relation in relations]
        if rng.random() < 0.3:
            own.append(book.other_fact(person, own[0], rng))
            own = own if own[-1][0] not in relations else own[:-1]
        rng.shuffle(own)
        for fact in own:
            facts.append(fact)
            sentences.append(sentence(clause(fact, split, rng)))
    order = list(range(len(sentences)))
    rng.shuffle(order)
    return [sentences[index] for index in order], facts


def ask(fact: Fact, split: str, rng: Random) -> str:
    """A question whose answer is the fact's tail."""
    return question(render(pick(forms.ASKS[fact[0]], split, rng), rng, h=fact[1]))


def general_question(kind: str, population: Population, split: str, rng: Random) -> str:
    """A question of one of the six types (person, place, number, ...)."""
    base = rng.choice(list(lexicon.TRANSITIVE))
    noun = rng.choice([word for words in lexicon.KINDS.values() for word in words])
    return question(
        render(
            pick(forms.QUESTIONS[kind], split, rng), rng, base=base, past=lexicon.TRANSITIVE[base][0], part=lexicon.TRANSITIVE[base][1], noun=noun, nouns=plural(noun), job=rng.choice(lexicon.OCCUPATIONS + lexicon.WORKERS),
            city=rng.choice(population.cities).name, person=rng.choice(population.people).name, company=rng.choice(population.companies).name, year=str(rng.randrange(1920, 1990)),
            adj=rng.choice(list(lexicon.OPPOSITES)),
        )
    )  # fmt: skip
