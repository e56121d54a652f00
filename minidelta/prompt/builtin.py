"""Templates and label words for the built-in tasks.

They were chosen after the embedded models were trained, and no four words in a row of a filled template stand in their
pre-training text (of a template with fewer words beside its mask, not all of these), so that a zero-shot score is no memory of a sentence; `tests/prompt/test_builtin.py` proves it.  Those that are
marked as seen do stand there, and show what that is worth.  Every template has its mask last, so that GPT can use it too (and never
reads the full stop).
"""

from minidelta.data import Task
from minidelta.errors import PromptError, near_misses
from minidelta.prompt.template import Template
from minidelta.prompt.verbalizer import LabelWords

TEMPLATES: dict[str, list[Template]] = {
    "sentiment": [
        Template("{text_a|shorten} Taken together, that sounds {mask}.", "sounds"),
        Template("{text_a|shorten} My friends call such things {mask}.", "friends"),
        Template("{text_a|shorten} It was {mask}.", "it-was"),
        Template("{text_a|shorten} In a word, {mask}.", "in-a-word", seen=True),
    ],
    "topic": [
        Template("{text_a|shorten} Readers would file that under {mask}.", "file"),
        Template("{text_a|shorten} Whoever wrote this cares about {mask}.", "cares"),
    ],
    "question-type": [
        Template("{text_a|shorten} Whoever asks this wants a {mask}.", "wants"),
        Template("{text_a|shorten} A fitting reply gives the {mask}.", "reply"),
    ],
    "entailment": [
        Template("{text_a|shorten} Given only this, someone claims: {text_b|shorten} Can they claim that? {mask}.", "claims"),
        Template("{text_a|shorten} Now add: {text_b|shorten} Must that hold? {mask}.", "hold"),
    ],
    "paraphrase": [
        Template("{text_a|shorten} Next comes this: {text_b|shorten} Both lines tell something {mask}.", "lines"),
        Template("{text_a|shorten} Or also: {text_b|shorten} Put like this they sound {mask}.", "sound"),
    ],
    "relation": [
        Template("{text_a|shorten} What links {head} with {tail} here would be a {mask}.", "links"),
        Template("{text_a|shorten} Between {head} and {tail} everything turns on a {mask}.", "turns"),
    ],
    "qa-yesno": [
        Template("{text_a|shorten} {text_b} Reading closely one would answer {mask}.", "closely"),
        Template("{text_a|shorten} {text_b} My honest reply here: {mask}.", "honest"),
    ],
    "qa-choice": [Template("{text_a|shorten} {text_b} Reading closely one would answer {mask}.", "closely")],
    "analogy": [Template("{text_b|shorten} My own guess here: {mask}.", "guess")],
}
LABEL_WORDS: dict[str, LabelWords] = {
    "sentiment": {"negative": ["bad"], "positive": ["good"]},
    "topic": {topic: [topic] for topic in ("politics", "business", "sport", "science", "culture", "health")},
    "question-type": {"person": ["person"], "place": ["place"], "number": ["number"], "time": ["time"], "reason": ["reason"], "definition": ["meaning"]},
    "entailment": {"entailment": ["yes"], "neutral": ["perhaps"], "contradiction": ["no"]},
    "paraphrase": {"different": ["another"], "same": ["same"]},
    "relation": {
        "born in": ["birth"], "lives in": ["home"], "works for": ["job"], "founded": ["founder"], "directed": ["film"], "wrote": ["book"],
        "coaches": ["team"], "married to": ["partner"], "owns": ["owner"], "eats at": ["dinner"], "no relation": ["nothing"],
    },
    "qa-yesno": {"no": ["no"], "yes": ["yes"]},
}  # fmt: skip
ANY_TEXT = Template("{text_a|shorten} In short: {mask}.", "short")  # for a person's own data, where nothing is said
ANY_PAIR = Template("{text_a|shorten} {text_b|shorten} In short: {mask}.", "short")


def templates_for(task: Task) -> list[Template]:
    """The templates of a built-in task; for any other task of labels a plain one, which for a relation names the two entities.

    >>> from minidelta.data import load_task
    >>> [template.name for template in templates_for(load_task("topic"))]
    ['file', 'cares']
    """
    if task.built_in and task.name in TEMPLATES:
        return TEMPLATES[task.name]
    if task.kind == "relation":
        return TEMPLATES["relation"]
    if not task.labels or task.kind == "tagging":
        raise PromptError(f"There is no template for the {task.kind} task {task.name!r}. {near_misses(task.name, TEMPLATES)}")
    return [ANY_PAIR if any(example.text_b is not None for example in task.train) else ANY_TEXT]
