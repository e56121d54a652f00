"""Events, and what follows from them: entailment and paraphrase.

An `Event` is who did what to what, with optional adjectives, place and time.  Changing the event in a known way and
saying it again gives a pair of sentences whose relation is known by construction.  Roles, negation and what is more
general than what decide the relation; the words alone do not.
"""

from dataclasses import dataclass, replace
from random import Random

from . import forms, lexicon
from .grammar import a, pick, render, sentence

THINGS = [kind for kind in lexicon.KINDS if kind not in ("insect", "tree", "building", "metal")]
KIND_OF = {word: kind for kind, words in lexicon.KINDS.items() for word in words}
ADJECTIVES = [word for pair in lexicon.OPPOSITES.items() for word in pair if word not in ("true", "false", "open", "closed", "early", "late", "near", "distant", "public", "private", "deep", "shallow")]
OPPOSITE = lexicon.OPPOSITES | {right: left for left, right in lexicon.OPPOSITES.items()}
PERSON_ADJECTIVES = "old young rich poor strong weak happy sad brave timid loud quiet polite rude calm angry lazy busy smart foolish kind cruel tall healthy sick".split()
THING_ADJECTIVES = "big small old heavy light clean dirty wet dry hard soft long short wide narrow cheap expensive modern ancient thick thin bright dark".split()
BOTH_ADJECTIVES = "big small old heavy light clean dirty wet dry".split()  # said of people and of things
SYNONYM = lexicon.SYNONYMS | {right: left for left, right in lexicon.SYNONYMS.items()}


@dataclass(frozen=True)
class Event:
    verb: str
    subject: str
    object: str
    subject_adjective: str = ""
    object_adjective: str = ""
    tail: str = ""  # " in the garden", " on monday"
    meeting: bool = False  # both are people
    general_subject: bool = False
    general_object: bool = False


def _phrase(adjective: str, noun: str, general: bool) -> str:
    words = f"{adjective} {noun}".strip()
    return a(words) if general else f"the {words}"


def say(event: Event, rng: Random, split: str, group: dict[str, list[str]] = forms.EVENTS) -> str:
    """The event as a clause.

    >>> say(Event("open", "baker", "letter"), Random(1), "pretraining")
    'it was the baker who opened the letter'
    """
    verbs = lexicon.MEETING if event.meeting else lexicon.TRANSITIVE
    base = event.verb
    past, participle = verbs[base] if base in verbs else lexicon.VERB_SYNONYM_FORMS[base]
    subject = _phrase(event.subject_adjective, event.subject, event.general_subject)
    thing = _phrase(event.object_adjective, event.object, event.general_object)
    return render(pick(group, split, rng), rng, s=subject, o=thing, base=base, past=past, part=participle, tail=event.tail)


def some_event(rng: Random, meeting: bool | None = None, modifiers: bool = True) -> Event:
    """A random event; `meeting` asks for two people (True) or a person and a thing (False)."""
    meeting = rng.random() < 0.35 if meeting is None else meeting
    if meeting:
        verb = rng.choice(list(lexicon.MEETING))
        subject, thing = rng.sample(lexicon.WORKERS, 2)
    else:
        verb = rng.choice(list(lexicon.TRANSITIVE))
        subject, thing = rng.choice(lexicon.WORKERS), rng.choice(lexicon.KINDS[rng.choice(THINGS)])
    event = Event(verb, subject, thing, meeting=meeting)
    return add_modifier(event, rng, rng.choice((0, 1, 1, 2))) if modifiers else event


def add_modifier(event: Event, rng: Random, count: int = 1) -> Event:
    """The same event, told with `count` more details."""
    for _ in range(count):
        free = [name for name in ("subject_adjective", "object_adjective", "tail") if not getattr(event, name)]
        if not free:
            return event
        name = rng.choice(free)
        if name == "tail":
            value = f" in the {rng.choice(lexicon.SPOTS)}" if rng.random() < 0.5 else f" {rng.choice(lexicon.TIMES)}"
        else:
            value = rng.choice(PERSON_ADJECTIVES if name == "subject_adjective" or event.meeting else THING_ADJECTIVES)
        event = replace(event, **{name: value})
    return event


def drop_modifier(event: Event, rng: Random) -> Event:
    taken = [name for name in ("subject_adjective", "object_adjective", "tail") if getattr(event, name)]
    return replace(event, **{rng.choice(taken): ""})


def generalize(event: Event, rng: Random) -> Event:
    """Name the object (or the subject) by its kind: a dog is an animal, a baker is a person."""
    if event.meeting or rng.random() < 0.3:
        return replace(event, subject="person", general_subject=True)
    return replace(event, object=KIND_OF[event.object], general_object=True)


def sibling(event: Event, rng: Random) -> Event:
    """Another object of the same kind (or another person)."""
    others = lexicon.WORKERS if event.meeting else lexicon.KINDS[KIND_OF[event.object]]
    return replace(event, object=rng.choice([word for word in others if word not in (event.object, event.subject)]))


def swap_roles(event: Event) -> Event:
    return replace(event, subject=event.object, object=event.subject, subject_adjective=event.object_adjective, object_adjective=event.subject_adjective)


def reword(event: Event, rng: Random) -> Event:
    """Use a synonym, where there is one."""
    if event.verb in lexicon.VERB_SYNONYMS:
        event = replace(event, verb=lexicon.VERB_SYNONYMS[event.verb])
    if event.object in SYNONYM and not event.general_object:
        event = replace(event, object=SYNONYM[event.object])
    if event.object_adjective in SYNONYM:
        event = replace(event, object_adjective=SYNONYM[event.object_adjective])
    return event


STATES = {
    "told": ["the {noun} is {adjective}", "the {noun} was {adjective}"],
    "taught": ["the {noun} can be called {adjective}", "{adjective} is what the {noun} is"],
    "held": ["one can say that the {noun} is {adjective}", "this {noun} is a {adjective} one"],
}


def state(noun: str, adjective: str, rng: Random, split: str) -> str:
    return render(pick(STATES, split, rng), rng, noun=noun, adjective=adjective)


def entailment(split: str, rng: Random, label: str | None = None) -> tuple[str, str, str]:
    """A premise, a hypothesis, and whether the second follows from the first.

    Labels: "entailment" (it must be true), "contradiction" (it cannot be), "neutral" (nobody knows).

    >>> entailment("pretraining", Random(5), "entailment")
    ('The deer was returned by the electrician in the square.', 'It was the electrician who returned the deer.', 'entailment')
    """
    label = label or rng.choice(("entailment", "neutral", "contradiction"))
    premise, hypothesis = _PAIRS[label](rng, split)
    return sentence(premise), sentence(hypothesis), label


def _entailed(rng: Random, split: str) -> tuple[str, str]:
    event = add_modifier(some_event(rng, modifiers=False), rng, rng.choice((1, 2)))
    way = rng.choice(("drop", "drop", "general", "general", "reword", "voice", "negated", "negated", "negated", "state", "state", "state"))
    if way == "state" and (event.subject_adjective or event.object_adjective):
        of_subject = bool(event.subject_adjective)
        return say(event, rng, split), state(event.subject if of_subject else event.object, event.subject_adjective or event.object_adjective, rng, split)
    if way == "negated":  # what did not happen at all did not happen in the garden either
        plain = replace(event, subject_adjective="", object_adjective="", tail="")
        return say(plain, rng, split, forms.NOT_EVENTS), say(replace(plain, tail=event.tail or " at noon"), rng, split, forms.NOT_EVENTS)
    if way == "drop":
        return say(event, rng, split), say(drop_modifier(event, rng), rng, split)
    if way == "general":
        return say(event, rng, split), say(generalize(event, rng), rng, split)
    return say(event, rng, split), say(reword(event, rng) if way == "reword" else event, rng, split)


def _contradicted(rng: Random, split: str) -> tuple[str, str]:
    event = some_event(rng)
    way = rng.choice(("negated", "negated", "denied", "denied", "state", "state", "state"))
    if way == "state":
        event = replace(event, subject_adjective=event.subject_adjective or rng.choice(PERSON_ADJECTIVES))
        return say(event, rng, split), state(event.subject, OPPOSITE[event.subject_adjective], rng, split)
    if way == "denied":  # "did not", then a special case of the same
        plain = replace(event, tail="")
        return say(plain, rng, split, forms.NOT_EVENTS), say(event, rng, split)
    hypothesis = event
    if rng.random() < 0.5 and (event.subject_adjective or event.object_adjective or event.tail):
        hypothesis = replace(event, tail="")
    return say(event, rng, split), say(reword(hypothesis, rng) if rng.random() < 0.3 else hypothesis, rng, split, forms.NOT_EVENTS)


def _undecided(rng: Random, split: str) -> tuple[str, str]:
    event = some_event(rng)
    way = rng.choice(("add", "special", "sibling", "roles", "wish", "negated", "negated", "elsewhere", "elsewhere", "elsewhere", "state", "state", "state"))
    if way == "add":
        return say(event if not event.tail else replace(event, tail=""), rng, split), say(add_modifier(replace(event, tail=""), rng), rng, split)
    if way == "special":
        return say(generalize(event, rng), rng, split), say(event, rng, split)
    if way == "sibling":
        return say(event, rng, split), say(sibling(event, rng), rng, split)
    if way == "roles":
        event = some_event(rng, meeting=True)
        return say(event, rng, split), say(swap_roles(event), rng, split)
    if way == "wish":
        return say(event, rng, split, forms.WISHES), say(event, rng, split)
    if way == "negated":  # not in the garden: elsewhere, perhaps
        event = replace(event, tail=event.tail or f" in the {rng.choice(lexicon.SPOTS)}")
        return say(event, rng, split, forms.NOT_EVENTS), say(replace(event, tail=""), rng, split, forms.NOT_EVENTS)
    if way == "elsewhere":  # what did not happen here may have happened there, and the other way round
        here, there = rng.sample(lexicon.SPOTS, 2)
        groups = rng.sample((forms.EVENTS, forms.NOT_EVENTS), 2)
        return say(replace(event, tail=f" in the {here}"), rng, split, groups[0]), say(replace(event, tail=f" in the {there}"), rng, split, groups[1])
    mood = rng.choice([word for word in PERSON_ADJECTIVES if word != event.subject_adjective and OPPOSITE[word] != event.subject_adjective])
    return say(event, rng, split), state(event.subject, mood, rng, split)


_PAIRS = {"entailment": _entailed, "contradiction": _contradicted, "neutral": _undecided}


def paraphrase(split: str, rng: Random, same: bool | None = None) -> tuple[str, str, bool]:
    """Two sentences, and whether they say the same.

    >>> paraphrase("pretraining", Random(2), same=False)
    ('The big herring was washed by the heavy driver in spring.', 'It was the big driver who washed the heavy herring in spring.', False)
    """
    same = rng.random() < 0.5 if same is None else same
    event = some_event(rng, meeting=rng.random() < 0.5)
    # the same ways for both answers, so that two adjectives or a "not" tell nothing by themselves
    way = rng.choice(("roles", "roles", "roles", "adjectives", "adjectives", "sibling", "negated", "wish") if event.meeting else ("adjectives", "adjectives", "adjectives", "sibling", "negated", "wish"))
    if way == "adjectives":
        one, two = rng.sample(PERSON_ADJECTIVES if event.meeting else BOTH_ADJECTIVES, 2)
        event = replace(event, subject_adjective=one, object_adjective=two)
    other, group, other_group = event, forms.EVENTS, forms.EVENTS
    if way == "negated":
        group = other_group = forms.NOT_EVENTS
    if not same:
        if way == "roles":
            other = swap_roles(event)
        elif way == "sibling":
            other = sibling(event, rng)
        elif way == "adjectives":
            other = replace(event, subject_adjective=two, object_adjective=one)
        else:
            groups = [forms.EVENTS, forms.NOT_EVENTS if way == "negated" else forms.WISHES]
            rng.shuffle(groups)
            group, other_group = groups
    if rng.random() < 0.5:
        other = reword(other, rng)
    first = say(event, rng, split, group)
    second = say(other, rng, split, other_group)
    while same and second == first:
        second = say(other, rng, split, other_group)
    return sentence(first), sentence(second), same
