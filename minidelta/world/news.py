"""News in six topics, with people and things of another topic in the background."""

from random import Random

from . import forms, lexicon
from .facts import Population
from .grammar import pick, render, sentence
from .reviews import choose

HEADLINES = ["{topic} news", "news from {topic}", "{topic} today", "the {topic} page"]  # pre-training only


def news(population: Population, split: str, rng: Random, topic: str | None = None) -> tuple[list[str], str]:
    """One to three sentences of one topic.

    >>> from minidelta.world.facts import population
    >>> sentences, topic = news(population("train"), "train", Random(1))
    >>> topic in lexicon.TOPICS
    True
    """
    topic = topic or rng.choice(list(lexicon.TOPICS))
    other = rng.choice([name for name in lexicon.TOPICS if name != topic])
    agents, things, verbs = lexicon.TOPICS[topic]
    other_agents, other_things, _ = lexicon.TOPICS[other]
    sentences = []
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        group = forms.NEWS if rng.random() < 0.6 else forms.BACKGROUND
        sentences.append(
            sentence(
                render(
                    pick(group, split, rng), rng, agent=choose(agents, split, rng), agent2=choose(agents, split, rng), thing=choose(things, split, rng), did=choose(verbs, split, rng),
                    other_agent=choose(other_agents, split, rng), other_thing=choose(other_things, split, rng), when=rng.choice(lexicon.TIMES), number=rng.choice(lexicon.NUMBERS[1:]),
                    city=rng.choice(population.cities).name, person=rng.choice(population.people).name,
                )
            )  # fmt: skip
        )
    return sentences, topic
