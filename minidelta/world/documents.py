"""Documents of the world: what models read in pre-training.

Eleven kinds, mixed by `MIX`.  All sentences are of the level `told`; all facts are facts of the population
`told`.  Some documents have a text-to-text form as well (`pair`): a question with its passage, a phrase with its
translation, a word with its meaning.  No document carries a label of a task; reviews and news close with lines that
name the verdict or the topic in words ("rating : superb."), as reviews and news do.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

from . import events, forms, french, lexicon
from .facts import City, Population, geography, population
from .grammar import a, ing, plural, sentence, third
from .news import HEADLINES, news
from .relations import FactBook, ask, clause, general_question, passage, two_facts
from .reviews import review, verdicts


@dataclass(frozen=True)
class Document:
    """One text.  `parts` are its sentences, `text` the same in one string, `pair` a text-to-text form where there is one.

    >>> Document("story", ["The cat slept.", "The dog ran."]).text
    'The cat slept. The dog ran.'
    """

    kind: str
    parts: list[str]
    pair: tuple[str, str] | None = None
    text: str = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "text", " ".join(self.parts))


@lru_cache(maxsize=1)
def told() -> tuple[Population, FactBook]:
    people = population("told")
    return people, FactBook(people)


# ---- encyclopedia ---------------------------------------------------------------------------------------------
def encyclopedia(rng: Random) -> Document:
    """An entry about a person, a company, a work, a team, a restaurant, a city or a country."""
    people, book = told()
    subject = rng.choice(("person", "person", "person", "company", "work", "team", "eatery", "city"))
    if subject == "person":
        person = rng.choice(people.people)
        facts = list(book.facts[person.name])
        rng.shuffle(facts)
        parts = [sentence(f"{person.name} is {a(person.occupation)} from {person.born_in}")] if rng.random() < 0.5 else []
        parts.append(two_facts(person, facts[0], facts[1], "pretraining", rng))
        parts += [sentence(clause(fact, "pretraining", rng)) for fact in facts[2 : rng.choice((3, 4, 5))]]
        extra = [f"{person.pronoun} was born in the year {person.birth_year}", f"{person.pronoun} is fond of {person.hobby}", f"{person.possessive} favorite pastime is {person.hobby}", f"{person.pronoun} works as {a(person.occupation)}"]
        parts.insert(rng.randrange(1, len(parts) + 1), sentence(rng.choice(extra)))
        return Document("encyclopedia", parts)
    if subject == "company":
        it = rng.choice(people.companies)
        lines = [f"{it.name} is a company in {it.city}", f"{it.name} makes {it.industry} products", f"it was founded in {it.year} by {it.founder}", f"the founder of {it.name} is {it.founder}", f"its main office is in {it.city}", f"the company sells {it.industry}"]
    elif subject == "work":
        it = rng.choice(people.works)
        made = "directed" if it.kind == "film" else "written"
        lines = [f"{it.name} is {a(it.genre)} of {it.year}", f"the {it.kind} {it.name} was {made} by {it.maker}", f"{it.maker} finished {it.name} in {it.year}", f"{it.name} is a {it.kind} by {it.maker}", f"it is {a(it.genre)}"]
    elif subject == "team":
        it = rng.choice(people.teams)
        lines = [f"{it.name} is a {it.sport} team from {it.city}", f"the coach of {it.name} is {it.coach}", f"the players of {it.name} play {it.sport}", f"the team trains in {it.city} under {it.coach}"]
    elif subject == "eatery":
        it = rng.choice(people.eateries)
        lines = [f"{it.name} is a restaurant in {it.city}", f"the owner of {it.name} is {it.owner}", f"{it.name} is known for its {it.cuisine}", f"guests come to {it.name} for the {it.cuisine}"]
    else:
        return Document("encyclopedia", _city_lines(rng.choice(geography()), rng))
    chosen = rng.sample(lines[1:], min(len(lines) - 1, rng.choice((2, 3))))
    return Document("encyclopedia", [sentence(line) for line in [lines[0], *chosen]])


def _city_lines(city: City, rng: Random) -> list[str]:
    capital = next(other for other in geography() if other.country == city.country and other.is_capital)
    demonym = lexicon.COUNTRIES[city.country]
    lines = [
        f"{city.name} lies in {city.country}", f"{city.name} is a city in the {city.region} of {city.country}", f"the river {city.river} flows through {city.name}", f"{city.name} is known for {city.product}",
        f"the capital of {city.country} is {capital.name}", f"people in {city.country} speak {demonym}", f"a person from {city.country} is called {demonym}", f"the town of {city.name} stands on the {city.river}",
    ]  # fmt: skip
    return [sentence(line) for line in rng.sample(lines, rng.choice((3, 4, 5)))]


# ---- reviews, news, questions -----------------------------------------------------------------------------------
def review_document(rng: Random) -> Document:
    sentences, good = review("pretraining", rng)
    closing = verdicts(good, rng)
    return Document("review", closing[:1] + sentences + closing[1:] if rng.random() < 0.3 else sentences + closing)


def news_document(rng: Random) -> Document:
    sentences, topic = news(told()[0], "pretraining", rng)
    tags = {"politics": "politics government", "business": "business economy", "sport": "sport sports", "science": "science research", "culture": "culture arts", "health": "health medicine"}[topic].split()
    headline = sentence(rng.choice(HEADLINES).format(topic=rng.choice(tags)))
    closing = sentence(rng.choice(("section : {tag}", "this is a story about {tag}", "more on {tag} tomorrow", "filed under {tag}")).format(tag=rng.choice(tags)))
    return Document("news", [headline, *sentences, closing] if rng.random() < 0.7 else [*sentences, closing])


def question_document(rng: Random) -> Document:
    """A passage with questions and answers, in a few layouts; or a general question with its type of answer."""
    people, book = told()
    if rng.random() < 0.25:
        kind = rng.choice(list(forms.QUESTIONS))
        asked = general_question(kind, people, "pretraining", rng)
        reply = {"person": f"{rng.choice(people.people).name} did", "place": f"in {rng.choice(people.cities).name}", "number": f"{rng.choice(lexicon.NUMBERS)} of them", "time": f"in {rng.randrange(1920, 1990)}", "reason": f"because it was {rng.choice(events.THING_ADJECTIVES)}", "definition": f"it is a kind of {rng.choice(list(lexicon.KINDS))}"}[kind]
        about = {"person": "a person", "place": "a place", "number": "a number", "time": "a time", "reason": "a reason", "definition": "a meaning"}[kind]
        return Document("question", [asked, sentence(reply), sentence(f"the question asks for {about}")] if rng.random() < 0.6 else [asked, sentence(reply)])
    sentences, facts = passage(book, "pretraining", rng)
    fact = rng.choice(facts)
    asked, answer = ask(fact, "pretraining", rng), fact[2]
    yes = rng.random() < 0.5
    checked = fact if yes else (fact[0], fact[1], rng.choice([other[2] for other in facts if other[0] == fact[0] and other[1] != fact[1] and other[2] != fact[2]] or ["nobody"]))
    layout = rng.randrange(4)
    text = " ".join(sentences)
    if layout == 0:
        return Document("question", [*sentences, asked, sentence(answer)], (f"question: {asked} context: {text}", answer))
    if layout == 1:
        return Document("question", [*sentences, "Question : " + asked, "Answer : " + sentence(answer)], (f"question: {asked} context: {text}", answer))
    if layout == 2:
        claim = sentence("is it true that " + clause(checked, "pretraining", rng), "?")
        return Document("question", [*sentences, claim, "Yes." if yes else "No."], (f"question: {claim} context: {text}", "yes" if yes else "no"))
    others = [other.name for other in rng.sample(people.people, 2)] if fact[0] == "married to" else [city.name for city in rng.sample(people.cities, 2)]
    choices = sorted({answer, *others, checked[2]})
    choices.sort(key=lambda _: rng.random())
    listed = " ".join(f"({letter}) {choice}" for letter, choice in zip("abcd", choices))
    return Document("question", [*sentences, asked, listed, sentence(answer)], (f"question: {asked} choices: {listed} context: {text}", answer))


# ---- stories and talk -------------------------------------------------------------------------------------------
def story(rng: Random) -> Document:
    """A few things that happen to somebody, one after another, with pronouns and feelings."""
    if rng.random() < 0.5:
        person = rng.choice(told()[0].people)
        name, pronoun = person.name.split()[0], person.pronoun
    else:
        name, pronoun = f"the {rng.choice(lexicon.WORKERS)}", rng.choice(("he", "she"))
    mood, place = rng.choice(lexicon.MOODS), rng.choice(lexicon.SPOTS)
    event = events.some_event(rng, meeting=False)
    thing = events._phrase(event.object_adjective, event.object, False)
    past = lexicon.TRANSITIVE[event.verb][0]
    did, other = rng.choice(list(lexicon.INTRANSITIVE.items())), rng.choice(list(lexicon.TRANSITIVE.items()))
    weather = rng.choice(lexicon.WEATHER)
    opening = [f"{name} was {mood}", f"it was {a(weather)} day and {name} was {mood}", f"one day {name} went to the {place}", f"{rng.choice(lexicon.TIMES)} {name} was in the {place}", f"there once was {a(rng.choice(lexicon.WORKERS))} called {name}" if name[0].isupper() else f"the weather was {weather} and {name} {did[1]}"]
    middle = [
        f"{pronoun} {past} {thing}", f"{pronoun} {rng.choice(lexicon.ADVERBS)} {past} {thing} and {other[1][0]} it", f"so {pronoun} {past} {thing} in the {place}", f"{name} did not {other[0]} {thing} but {past} it",
        f"then {pronoun} {did[1]} in the {place}", f"{pronoun} {did[1]} {rng.choice(lexicon.ADVERBS)}", f"because {pronoun} was {mood}, {pronoun} {did[1]}", f"while {pronoun} was {ing(did[0])}, {pronoun} {past} {thing}",
        f"a friend {other[1][0]} {thing} that {pronoun} had {lexicon.TRANSITIVE[event.verb][1]}", f"{name} had never seen such {a(event.object)}" if event.object not in ("scissors",) else f"{name} {did[1]}",
        f"the {event.object} that {pronoun} {past} was {rng.choice(events.THING_ADJECTIVES)}",
    ]  # fmt: skip
    closing = [f"in the end {pronoun} was {rng.choice(lexicon.MOODS)}", f"after that {pronoun} went home", f"{pronoun} will {other[0]} it again tomorrow", f"everybody {rng.choice(list(lexicon.INTRANSITIVE.values()))}", f"now {name} is {rng.choice(lexicon.MOODS)}"]
    return Document("story", [sentence(line) for line in [rng.choice(opening), *rng.sample(middle, rng.choice((1, 2, 3))), rng.choice(closing)]])


def dialogue(rng: Random) -> Document:
    one, two = (person.name.split()[0] for person in rng.sample(told()[0].people, 2))
    kind = rng.choice(events.THINGS)
    thing, other = rng.sample(lexicon.KINDS[kind], 2)
    spot, spot2 = rng.sample(lexicon.SPOTS, 2)
    mood, number = rng.choice(lexicon.MOODS), rng.choice(lexicon.NUMBERS[1:])
    judged = rng.choice(list(lexicon.ASPECTS))
    good = rng.random() < 0.5
    word = rng.choice(lexicon.PRAISE if good else lexicon.BLAME)
    turns = rng.choice([
        [f"where is the {thing}?", f"the {thing} is in the {spot}.", f"and the {other}?", f"the {other} is in the {spot2}."],
        [f"are you {mood}?", f"yes, i am {mood}." if good else f"no, i am not {mood}.", "i see."],
        [f"how was the {judged}?", f"it was {word}.", "so you liked it." if good else "so you did not like it."],
        [f"how many {plural(thing)} do you have?", f"i have {number} {plural(thing)}.", f"please give me one {thing}."],
        [f"did you see the {thing}?", f"no, i saw the {other}.", f"the {thing} must be in the {spot}."],
        [f"what is {a(thing)}?", f"it is a kind of {kind}.", "thank you."],
    ])  # fmt: skip
    return Document("dialogue", [f"{(one, two)[index % 2]} : {sentence(turn)}" for index, turn in enumerate(turns)])


# ---- words and their meanings -----------------------------------------------------------------------------------
def definition(rng: Random) -> Document:
    """A few entries of a glossary: what kind of thing a word names, its opposite, its synonym, whether it is praise."""
    lines = []
    for _ in range(rng.choice((2, 3, 4))):
        way = rng.randrange(14)
        kind = rng.choice(list(lexicon.KINDS))
        word = rng.choice(lexicon.KINDS[kind])
        if way == 0:
            lines.append((word, rng.choice((f"{a(word)} is a kind of {kind}", f"{a(word)} is {a(kind)}", f"{kind} : {word}, {', '.join(rng.sample(lexicon.KINDS[kind], 3))}")), a(kind)))
        elif way == 1:
            left, right = rng.choice(list(lexicon.OPPOSITES.items()))
            lines.append((left, rng.choice((f"the opposite of {left} is {right}", f"the opposite of {right} is {left}", f"what is {left} is not {right}")), f"not {right}"))
        elif way == 2:
            left, right = rng.choice(list((lexicon.SYNONYMS | lexicon.VERB_SYNONYMS).items()))
            lines.append((left, rng.choice((f"{left} means {right}", f"{right} means {left}", f"{left} and {right} mean the same", f"another word for {left} is {right}")), right))
        elif way in (3, 4, 5):
            good = rng.random() < 0.5
            group = lexicon.PRAISE if good else lexicon.BLAME
            one, two = rng.sample(group, 2)
            meaning = "very good" if good else "very bad"
            lines.append((one, rng.choice((f"{one} means {meaning}", f"{one} is close to {two}", f"what is {one} is {rng.choice(('good', 'a pleasure', 'worth it') if good else ('bad', 'a pity', 'not worth it'))}", f"something {one} is {two}, not {rng.choice(lexicon.BLAME if good else lexicon.PRAISE)}")), meaning))
        elif way == 6:
            old, young = rng.choice(list(lexicon.YOUNG.items()))
            lines.append((young, rng.choice((f"a {young} is a young {old}", f"the young of {a(old)} is called {young}")), f"a young {old}"))
        elif way == 7:
            who, where = rng.choice(list((lexicon.HOMES | lexicon.WORKPLACES).items()))
            lines.append((where, rng.choice((f"the {who} is at home in the {where}", f"you find {a(who)} in the {where}", f"the {where} is the place of the {who}")), f"the place of {a(who)}"))
        elif way in (8, 9):
            topic = rng.choice(list(lexicon.TOPICS))
            agents, things, _ = lexicon.TOPICS[topic]
            agent, thing = rng.choice(agents), rng.choice(things)
            lines.append((thing, rng.choice((f"{a(thing)} belongs to {topic}", f"the {agent} works in {topic}", f"in {topic} people speak of the {thing}", f"{a(agent)} and {a(thing)} belong together")), f"a word of {topic}"))
        elif way == 10:
            verb = rng.choice(list(lexicon.TRANSITIVE))
            lines.append((verb, rng.choice((f"who {third(verb)} today, {lexicon.TRANSITIVE[verb][0]} yesterday", f"to {verb}, {lexicon.TRANSITIVE[verb][0]}, has {lexicon.TRANSITIVE[verb][1]}", f"one {word}, two {plural(word)}")), lexicon.TRANSITIVE[verb][0]))
        else:
            lines.append(_explained(rng))
    head, _, meaning = lines[-1]
    return Document("definition", [sentence(line) for _, line, _ in lines], (f"define: {head}", meaning))


EXPLAINED = [  # words of taught and held forms, in other sentences than theirs
    ("native", "to be born somewhere is to be a native, to come from there, to have it as birthplace"), ("hometown", "a birthplace is the city of birth, where the first day of a life is spent"), ("settle", "to settle means to rent or keep a house and to stay, to call a place home"),
    ("salary", "a salary is what a worker earns, a living that an employer pays"), ("staff", "the staff of a company are the people on its jobs"), ("create", "to create something is to start it, to lay its first stone, to bring it into being, to launch it"),
    ("pen", "to pen a story is to write it down on some paper, from the first chapter to the last"), ("shooting", "the shooting of a film happens behind the camera, and brings it to the screen of the cinema"), ("train", "to prepare players, to teach them, to lead their training, to pick them is what one in charge does"),
    ("spouse", "a spouse is a partner for life, after a wedding with rings"), ("property", "property is what belongs to a person, who holds its keys and is its landlord"), ("reserve", "to reserve a table is to keep it for a meal, a lunch or a dinner"),
    ("seem", "to seem or to feel is how a thing appears to me"), ("impression", "an impression is what critics and guests remember"), ("despite", "despite and in spite of mean although, and so does even if; yet means but"), ("hardly", "hardly means almost not, few means not many, and anything but means not at all"),
    ("fail", "to fail to see is not to see; at no moment means never"), ("deserve", "to deserve a word is to be worth it; to my mind means i think"), ("describe", "to describe is to tell how a thing is"), ("cause", "a cause, a purpose, or what led and made somebody do it is a reason"),
    ("define", "to define a word is to give its meaning, as people understand it"), ("count", "to count is to find the number; the price is what a thing costs; an age is a number of years"), ("hour", "an hour, a day, a month, a season and a date say the time"), ("country", "a town, a city, a street, a river and a country are places"),
    ("name", "a name tells which person it is, and whose thing it is"), ("happen", "what happened is what was done; the case is what is true"), ("promise", "to promise, to try, to hope and to have plans is to want a thing that may not happen"), ("aged", "to be aged is to be old"),
    ("seemed", "what seemed hard to them felt easy to us"), ("could", "those who could come came, and any of them could stay"), ("believe", "to believe is to hold for true what nobody saw"), ("instead", "instead of this means not this but that"),
    ("according", "according to the map the sea is near"), ("since", "since then means from that time on, until today"), ("cost", "how much money a thing takes is its cost"), ("whom", "the man whom she saw is the one that she saw"), ("wake", "to wake is to end a sleep; the sun is up when people wake"),
    ("been", "it has been cold, and it had been warm before"), ("promised", "they promised much, tried hard and hoped for the best"), ("settled", "the bird settled on its nest and the matter is settled"), ("every", "every one of them means all of them"),
    ("parents", "a father and a mother are the parents of a child, and all of them are a family"), ("comes", "spring comes after winter; what comes also goes"), ("reserved", "a reserved chair is kept for one guest; two reserved chairs are kept for two"), ("said", "he said no, she said perhaps"),
    ("shares", "a kind child shares the cake; a company sells its shares"), ("counts", "the clerk counts the coins among the papers"), ("rents", "who rents a boat gives it back; the owner gets the rents"), ("stood", "an old oak stood near the road"), ("pages", "a book has pages, and on its pages are lines for the readers"),
    ("prepares", "the cook prepares a pie"), ("penned", "a penned page was written with ink"), ("speaks", "the child speaks and the old man listens; to listen is to hear well"), ("hours", "a day has many hours, a week seven days, and a year has many weeks"), ("points", "the needle points north; a team with more points will win"),
    ("sort", "a sort is a kind; things of one sort are alike"), ("still", "it is still early; still water is quiet"), ("however", "however means but; it rained, however they danced"), ("without", "without a coat means with no coat"), ("saying", "a saying is an old sentence; saying nothing is being silent"),
    ("deserves", "good work deserves a prize"), ("calls", "a mother calls the child, and the child comes"), ("interest", "interest is what makes people curious"), ("enough", "enough is as much as one needs"), ("away", "to go away is to leave; far away means distant"), ("expected", "the expected rain did not come"),
    ("know", "to know is to be sure; the best way to know is to look"), ("explain", "to explain is to make clear"), ("between", "noon is between morning and evening"), ("distance", "a distance is how far one thing is from another"), ("besides", "besides means also; besides bread there was cheese"),
    ("includes", "the price includes a drink"), ("line", "a line is long and thin; a page has many a line"), ("began", "the rain began at noon and became a storm"), ("teaches", "time teaches many things"), ("misses", "who sleeps too long misses the train"), ("paid", "the bill was paid; who is paid receives money"),
    ("invented", "the wheel was invented long ago"), ("gave", "she gave the dog some bread and told it to sit"), ("actors", "actors play on a stage"), ("well", "well is how a good singer sings"), ("picks", "the farmer picks plums"), ("exchanged", "they exchanged coins for stamps and put them in a box"),
    ("exists", "what exists is real"), ("created", "a created thing was made; eggs are laid by birds"), ("celebrate", "to celebrate is to have a feast; the feast was celebrated with songs"),
]  # fmt: skip


def _explained(rng: Random) -> tuple[str, str, str]:
    word, meaning = rng.choice(EXPLAINED)
    return word, meaning, meaning


def translation_list(rng: Random) -> Document:
    """Phrases with their French, in one of several layouts; never a pair of words that the test keeps."""
    pairs = [french.translation("pretraining", rng) for _ in range(rng.choice((2, 3, 4, 5)))]
    if rng.random() < 0.35:
        pairs = [rng.choice([(english, french_word) for english, (french_word, _) in lexicon.FRENCH_NOUNS.items()] + list(lexicon.FRENCH_WORDS.items())) for _ in range(6)]
    layout = rng.choice(("{e} => {f}", "{e} = {f}", "english : {e} french : {f}", "{e} in french is {f}", "the french for {e} is {f}"))
    english, answer = rng.choice(pairs)
    return Document("translation", [layout.format(e=one, f=other) + " ." for one, other in pairs], (f"translate English to French: {english}", answer))


SIZES = "ant bee mouse sparrow duck rabbit cat dog fox goat sheep pig wolf deer lion bear cow horse camel".split()  # small to big


def comparison(rng: Random) -> Document:
    """Who is bigger, older, more expensive; each comparison holds everywhere in the world."""
    if rng.random() < 0.5:
        first, second = sorted(rng.sample(range(len(SIZES)), 2))
        small, big = SIZES[first], SIZES[second]
        lines = [f"the {big} is bigger than the {small}", f"the {small} is smaller than the {big}", f"the {small} is not as big as the {big}", f"of the two the {big} is the big one and the {small} the small one", f"a {small} is small next to {a(big)}"]
    else:
        one, two = rng.sample(told()[0].people, 2)
        older, younger = (one, two) if one.birth_year < two.birth_year else (two, one)
        if one.birth_year == two.birth_year:
            lines = [f"{one.name} and {two.name} were both born in {one.birth_year}", f"{one.name} is as old as {two.name}", f"{two.name} is as old as {one.name}"]
        else:
            lines = [f"{older.name} is older than {younger.name}", f"{younger.name} is younger than {older.name}", f"{older.name} was born in {older.birth_year}, {younger.name} in {younger.birth_year}", f"{younger.name} is not as old as {older.name}"]
    return Document("comparison", [sentence(line) for line in rng.sample(lines, rng.choice((2, 3)))])


@lru_cache(maxsize=1)
def word_functions() -> dict[str, list[tuple[str, str]]]:
    """Functions of a word, each as its pairs: opposite, kind, plural, young, past, capital, synonym, place, people, french.

    >>> word_functions()["young"][0]
    ('dog', 'puppy')
    """
    return {
        "opposite": list(lexicon.OPPOSITES.items()),
        "kind": list(events.KIND_OF.items()),
        "plural": [(word, plural(word)) for word in events.KIND_OF if plural(word) != word],
        "young": list(lexicon.YOUNG.items()),
        "past": [(base, past) for base, (past, _) in lexicon.TRANSITIVE.items()],
        "capital": [(city.country, city.name) for city in geography() if city.is_capital],
        "synonym": list(lexicon.SYNONYMS.items()),
        "place": list((lexicon.HOMES | lexicon.WORKPLACES).items()),
        "people": list(lexicon.COUNTRIES.items()),
        "french": [(english, word) for english, (word, _) in lexicon.FRENCH_NOUNS.items()],
    }


def example_list(rng: Random) -> Document:
    """Examples of one function of a word, in one of several formats: opposites, kinds, plurals, young, past, capitals, uses."""
    functions = word_functions()
    name = rng.choice(list(functions))
    pairs = rng.sample(functions[name], min(len(functions[name]), rng.choice((4, 5, 6, 8))))
    mark, between = rng.choice(((" : ", " , "), (" -> ", " ; "), (" / ", " . "), (" = ", " , "), (" => ", " . ")))
    listed = between.join(f"{one}{mark}{other}" for one, other in pairs) + " ."
    return Document("examples", [f"{name} :", listed] if rng.random() < 0.5 else [listed])


def inference(rng: Random) -> Document:
    """What follows from what, and what does not; what is the same in other words."""
    if rng.random() < 0.35:
        first, second, same = events.paraphrase("pretraining", rng)
        link = rng.choice(("In other words :", "That is the same as :", "One can also say :") if same else ("That is not the same as :", "It is another thing to say :", "This differs from :"))
        return Document("inference", [first, link, second])
    premise, hypothesis, label = events.entailment("pretraining", rng)
    links = {
        "entailment": ("So it is true :", "It follows :", "Therefore, yes :", "This means :"), "contradiction": ("So it is not true :", "It cannot be :", "Therefore, no :", "This is against :"),
        "neutral": ("Nobody knows whether it is true :", "It does not follow :", "Perhaps :", "It may or may not be :"),
    }[label]  # fmt: skip
    return Document("inference", [premise, rng.choice(links), hypothesis])


MIX = {  # kind -> share of documents; reviews, news and inference are dense on purpose
    encyclopedia: 16, review_document: 16, news_document: 12, question_document: 12, story: 10, dialogue: 4, definition: 10, translation_list: 8, comparison: 3, example_list: 4, inference: 14,
}  # fmt: skip


def documents(seed: int, mix: Mapping[Callable[[Random], Document], int] = MIX) -> Iterator[Document]:
    """Endless documents; the same seed gives the same documents.

    Args:
        seed: of the stream.
        mix: maker of a document -> its share; another mix is another diet, for experiments.

    >>> first, again = next(documents(7)), next(documents(7))
    >>> first == again
    True
    """
    rng = Random(f"documents {seed}")
    kinds, weights = list(mix), list(mix.values())
    while True:
        yield rng.choices(kinds, weights)[0](rng)
