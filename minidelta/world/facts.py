"""Who lives in the world, and what is true of them.

Entities are dataclasses whose fields are facts: a person's birthplace, a film's director.  The same seed always
makes the same world, so a fact that one document tells is never contradicted by another.

There are three populations with no entity in common: `told` appears in pre-training, `train` and `test` only in
the tasks.  They share the *parts* of names (Mara, Velden), so that no token is new to a pre-trained model, but no
person of a task has ever been written about: a model cannot answer from memory.  Names of the test population are
made of held-out parts.  Geography (cities, countries, rivers) is common knowledge.
"""

from dataclasses import dataclass
from functools import lru_cache
from random import Random

from . import lexicon
from .lexicon import held_out


@dataclass(frozen=True)
class City:
    name: str
    country: str
    river: str
    region: str  # north, south, east, west
    product: str
    is_capital: bool


@dataclass(frozen=True)
class Person:
    name: str
    gender: str  # "f" or "m"
    born_in: str
    birth_year: str
    lives_in: str
    occupation: str
    employer: str
    spouse: str
    hobby: str

    @property
    def pronoun(self) -> str:
        return "she" if self.gender == "f" else "he"

    @property
    def possessive(self) -> str:
        return "her" if self.gender == "f" else "his"


@dataclass(frozen=True)
class Company:
    name: str
    founder: str
    year: str
    city: str
    industry: str


@dataclass(frozen=True)
class Work:
    """A film or a book; `maker` directed or wrote it, `star` plays or is the hero's model."""

    name: str
    kind: str  # "film" or "book"
    maker: str
    genre: str
    year: str


@dataclass(frozen=True)
class Team:
    name: str
    city: str
    coach: str
    sport: str


@dataclass(frozen=True)
class Eatery:
    name: str
    city: str
    owner: str
    cuisine: str


@dataclass(frozen=True)
class Population:
    people: tuple[Person, ...]
    companies: tuple[Company, ...]
    works: tuple[Work, ...]
    teams: tuple[Team, ...]
    eateries: tuple[Eatery, ...]
    cities: tuple[City, ...]


def _share(names: list[tuple[str, str]], population: str, first: list[str], second: list[str], rng: Random) -> list[tuple[str, str]]:
    """The two-part names of one population: test takes pairs of held-out parts, train pairs of seen parts, told the rest."""
    first_held, second_held = set(held_out(first)), set(held_out(second))
    mine = []
    for pair in names:
        parts_held = (pair[0] in first_held) + (pair[1] in second_held)
        owner = {0: "train" if rng.random() < 0.5 else "told", 1: "told", 2: "test" if rng.random() < 0.9 else "told"}[parts_held]
        if owner == population:
            mine.append(pair)
    rng.shuffle(mine)
    return mine


def _pairs(first: list[str], second: list[str], population: str, seed: int, kind: str) -> list[tuple[str, str]]:
    names = [(one, two) for one in first for two in second if one != two]
    mine = _share(names, population, first, second, Random(f"{seed} {kind}"))  # one coin a name, the same for all three
    Random(f"{seed} {kind} {population}").shuffle(mine)
    return mine


@lru_cache(maxsize=None)
def geography(seed: int = 0) -> tuple[City, ...]:
    """The cities, six to a country; the first of each country is its capital.

    >>> len(geography()), geography()[0].is_capital
    (48, True)
    """
    rng = Random(f"{seed} geography")
    countries, cities = list(lexicon.COUNTRIES), []
    names = list(lexicon.CITIES)
    for index, name in enumerate(names):
        cities.append(City(name, countries[index % 8], lexicon.RIVERS[index % 8], rng.choice("north south east west".split()), rng.choice(lexicon.INDUSTRIES), is_capital=index < 8))
    return tuple(cities)


@lru_cache(maxsize=None)
def population(name: str, seed: int = 0) -> Population:
    """The people, companies, films, books, teams and restaurants of one population.

    Args:
        name: "told" (pre-training), "train" or "test".
        seed: of the whole world; the checkpoints were made in world 0.
    Returns: a `Population`; no two populations share an entity.

    >>> told, test = population("told"), population("test")
    >>> {person.name for person in told.people} & {person.name for person in test.people}
    set()
    """
    rng = Random(f"{seed} population {name}")
    cities = geography(seed)
    if name != "told":
        held = set(held_out(lexicon.CITIES))
        cities = tuple(city for city in cities if (city.name in held) == (name == "test"))
    places = [city.name for city in cities]
    years = [str(year) for year in range(1920, 1990)]

    def two_part(first: list[str], second: list[str], kind: str) -> list[tuple[str, str]]:
        return _pairs(first, second, name, seed, kind)

    company_names = [f"{stem} {tail}" for stem, tail in two_part(lexicon.COMPANY_STEMS + lexicon.LAST, lexicon.COMPANY_TAILS, "company")][:260]
    names = [(f"{first} {last}", "f") for first, last in two_part(lexicon.FEMALE, lexicon.LAST, "female")]
    names += [(f"{first} {last}", "m") for first, last in two_part(lexicon.MALE, lexicon.LAST, "male")]
    rng.shuffle(names)
    names = names[: min(800, len(names) // 2 * 2)]  # an even number, so that nobody is left without a partner
    spouses = [full for full, _ in names]
    rng.shuffle(spouses)
    partner = {}  # marriage goes both ways
    for one, two in zip(spouses[::2], spouses[1::2]):
        partner[one], partner[two] = two, one
    people = tuple(
        Person(full, gender, rng.choice(places), rng.choice(years), rng.choice(places), rng.choice(lexicon.OCCUPATIONS), rng.choice(company_names), partner[full], rng.choice(lexicon.HOBBIES))
        for full, gender in names
    )
    someone = lambda: rng.choice(people).name
    companies = tuple(Company(full, someone(), rng.choice(years), rng.choice(places), rng.choice(lexicon.INDUSTRIES)) for full in company_names)
    titles = [f"The {adjective} {noun}" for adjective, noun in two_part(lexicon.TITLE_ADJECTIVES, lexicon.TITLE_NOUNS, "title")]
    works = tuple(Work(title, "film" if index % 2 else "book", someone(), rng.choice(lexicon.GENRES), rng.choice(years)) for index, title in enumerate(titles))
    team_names = two_part(lexicon.CITIES, lexicon.TEAM_TAILS, "team")
    teams = tuple(Team(f"{city} {tail}", city, someone(), rng.choice(lexicon.SPORTS)) for city, tail in team_names)
    eatery_names = two_part(lexicon.TITLE_ADJECTIVES, lexicon.EATERY_NOUNS, "eatery")
    eateries = tuple(Eatery(f"The {one} {two}", rng.choice(places), someone(), rng.choice(lexicon.CUISINES)) for one, two in eatery_names)
    return Population(people, companies, works, teams, eateries, cities)
