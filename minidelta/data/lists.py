"""Tasks that only their examples explain: what in-context learning is tried on.

    new_task          things of two categories, each with a label that is drawn for this task
    function_task     one of several functions of a word; the answer is written

No description could tell the first, and no question the second: without examples the best that a model can do is to guess.
The words asked about, and for "kinds" their categories too, stand in no list of the models' pre-training (world/lists.py).
"""

from random import Random

from minidelta.data.example import Example
from minidelta.data.tasks import Task
from minidelta.errors import TaskError, near_misses
from minidelta.world.lists import CATEGORIES, DESCRIPTIONS, FEW_LABELS, HELD_KINDS, HELD_LABELS, LABELS, SENTENCES, categories, functions, is_held, sentence_kinds

THINGS = {
    "words": [kind for kind, words in categories().items() if len(words) >= 24],  # enough for 32 examples without saying any twice
    "kinds": list(HELD_KINDS),
    "sentences": list(SENTENCES),
}
LABEL_SETS = {"few": FEW_LABELS, "seen": LABELS, "held": HELD_LABELS}
QUESTIONS = 40  # in the test part of a task


def new_task(seed: int = 0, things: str = "words", labels: str = "few", number: int = 2) -> Task:
    """A classification that nobody has seen: which category is called what is drawn anew.

    Args:
        seed: of categories, labels and words.
        things: "words" of categories that lists of pre-training ask about, the words asked here excepted; "kinds" that stand in no
            such list; "sentences", questions by type or news by topic.
        labels: "few", the six words that are labels most often in pre-training; "seen", any that are; "held", none that ever is.
        number: of categories.
    Returns: a task; `train` to show, `test` to ask.
    Raises: TaskError for unknown things or labels.

    >>> task = new_task(1)
    >>> task.labels, [(example.text, example.label) for example in task.test[:3]]
    (('black', 'green'), [('smart', 'black'), ('public', 'black'), ('big', 'black')])
    """
    for what, known in ((things, THINGS), (labels, LABEL_SETS)):
        if what not in known:
            raise TaskError(f"There is no {what!r} to make a task of. {near_misses(str(what), known)}")
    rng = Random(f"{seed} {things} {labels}")
    names = sentence_kinds(rng, number) if things == "sentences" else rng.sample(THINGS[things], number)
    drawn = tuple(rng.sample(LABEL_SETS[labels], number))
    train, test = [], []
    for name, label in zip(names, drawn):
        shown, asked = _things(name, things, rng)
        train += [Example(text, label=label) for text in shown]
        test += [Example(text, label=label) for text in asked]
    rng.shuffle(train)
    return Task(f"new-{things}", "classification", drawn, "accuracy", train, [], rng.sample(test, min(QUESTIONS, len(test))), description="Only the examples tell which label is whose.")


def _things(name: str, things: str, rng: Random) -> tuple[list[str], list[str]]:
    """Of one category, what is shown and what is asked."""
    if things == "sentences":
        texts = list(dict.fromkeys(SENTENCES[name](rng) for _ in range(QUESTIONS + 40)))
        return texts[QUESTIONS:], texts[:QUESTIONS]
    if things == "kinds":
        words = rng.sample(CATEGORIES[name], len(CATEGORIES[name]))
        return words[len(words) // 3 :], words[: len(words) // 3]
    return list(categories()[name]), [word for word in CATEGORIES[name] if is_held(word)]


def function_task(name: str, group: str = "noun", seed: int = 0, noise: float = 0.0, held: bool = True) -> Task:
    """Words and what one function makes of them; the other functions of the group would take the same words.

    Args:
        name: of a function of that group, such as "french".
        group: "noun", "thing", "verb", "adjective" or "city".
        seed: of the order, and of the wrong answers.
        noise: share of the examples to show whose answer is another function's.
        held: ask about the words that no list of pre-training asks about; False: about a quarter of the others, which are not shown.
    Returns: a task whose answers are written; its description is one that pre-training has never read.
    Raises: TaskError for an unknown function or group.

    >>> task = function_task("french")
    >>> task.description, task.test[0].text, task.test[0].meta
    ('Translate English to French:', 'spoon', {'answer': 'cuillère'})
    """
    if group not in functions():
        raise TaskError(f"There is no group of words called {group!r}. {near_misses(group, functions())}")
    if name not in functions()[group]:
        raise TaskError(f"There is no function {name!r} of a {group}. {near_misses(name, functions()[group])}")
    rng = Random(f"{seed} {group} {name}")
    others = [answers for other, answers in functions()[group].items() if other != name]
    answers = functions()[group][name]
    known = rng.sample([word for word in answers if not is_held(word)], sum(not is_held(word) for word in answers))
    asked = [word for word in answers if is_held(word)] if held else known[: len(known) // 4]
    shown = known if held else known[len(known) // 4 :]
    wrong = {word for word in shown if rng.random() < noise}
    train = [Example(word, meta={"answer": rng.choice(others)[word] if word in wrong else answers[word]}) for word in shown]
    test = [Example(word, meta={"answer": answers[word]}) for word in rng.sample(asked, len(asked))]
    return Task(f"{group}-{name}", "generation", (), "exact_match", train, [], test[:QUESTIONS], description=DESCRIPTIONS[name][-1])
