"""C9: wording matters, and automatic search finds templates as good as manual ones, less readable.

Fourteen wordings of each of two tasks, as different people might put them (the first two of each are the built-in ones), none of
which repeats four words of pre-training, stand against four searches, which see K = 16 labelled examples per class:

    written       T5 writes the words around the label word (LM-BFF)                           prompt/search.py
    said anew     T5 says the first manual wording in other words (LPAQA's paraphrases)         prompt/search.py
    gradient      three trigger words by the gradient (AutoPrompt)                              prompt/autoprompt.py
    reward        three words by a policy gradient (in the manner of RLPrompt and BDPL)         prompt/policy.py

Each search may let the frozen model read about 7,700 examples (80 templates x 96); validation, K per class, then chooses among what
it proposes, just as it chooses among the manual wordings.  Label words are the same for all.  A found template that repeats four
words of pre-training is marked `seen`.

"Frozen" is zero-shot: the model answers as it is.  "Tuned" trains all of it on K = 16 at the one tested rate, the same for every
template, with five of the wordings, and twice over, on two draws of examples: the best and the worst wording are named by one draw
and measured on the other, so that a lucky training is not taken for a good wording.  LM-BFF tunes with every candidate before it
chooses; here the choice is made frozen.

A template is as readable as it is likely, per token, to gpt-nano (`prompt/wording.py`).  That was chosen before any search was run, since
it tells sentences from strings: -12.0 for these wordings on average, -14.1 for three common words of the task drawn by lot, -17.5 for
any three words (even the first is low: the wordings were chosen to be unlike what it has read).  Other looks, at one other seed: the
scores of the wordings, what the searches find, and how long all takes.  They changed nothing but the size of the searches.
"""

import functools
import random
import statistics
from collections.abc import Callable
from typing import Any

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.data import Example, Task, load_task
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt import PromptLearner, Template, WordVerbalizer
from minidelta.prompt.autoprompt import autoprompt
from minidelta.prompt.builtin import LABEL_WORDS, TEMPLATES
from minidelta.prompt.policy import policy_search
from minidelta.prompt.search import agreement, asking, generate_templates, paraphrase
from minidelta.prompt.wording import fluency, repeated

MODEL, WRITER, READER = "bert-nano", "t5-nano", "gpt-nano"
SHOTS = 16  # examples per class, for search, training and at most for validation
RATES = (1e-3,)
STEPS, BATCH = 60, 16
CANDIDATES = 80  # templates a search may score
DRAWS = (0, 1)
FLUENT = 16  # examples on which a template is read aloud

WORDINGS: dict[str, list[Template]] = {
    "topic": TEMPLATES["topic"]
    + [
        Template("A note on {mask}: {text_a|shorten}", "note"),
        Template("{text_a|shorten} The section of the newspaper: {mask}.", "section"),
        Template("{text_a|shorten} My teacher says such lines belong to {mask}.", "teacher"),
        Template("{text_a|shorten} Category here: {mask}.", "category"),
        Template("{text_a|shorten} Anyone curious about {mask} ought to read on.", "curious"),
        Template("It seems that {mask} lies behind what follows: {text_a|shorten}", "behind"),
        Template("{text_a|shorten} So much for {mask} today.", "so-much"),
        Template("{text_a|shorten} Does that sound like {mask}?", "sound"),
        Template("On the {mask} page you read: {text_a|shorten}", "page"),
        Template("{text_a|shorten} What a day for {mask}!", "day"),
        Template("{text_a|shorten} They ask which field that is, and she answers {mask}.", "field"),
        Template("Guess my favourite subject, which is {mask}: {text_a|shorten}", "subject"),
    ],
    "question-type": TEMPLATES["question-type"]
    + [
        Template("{text_a|shorten} Please name the {mask} here.", "name"),
        Template("{text_a|shorten} They wait for some {mask}.", "wait"),
        Template("Tell them a {mask}: {text_a|shorten}", "tell"),
        Template("{text_a|shorten} The answer will be a {mask}.", "answer"),
        Template("A question about the {mask} comes now: {text_a|shorten}", "comes"),
        Template("{text_a|shorten} Only the right {mask} would satisfy them.", "satisfy"),
        Template("{text_a|shorten} Kind of answer: {mask}.", "kind"),
        Template("{text_a|shorten} Nobody here knows that {mask}.", "nobody"),
        Template("Someone looks for a {mask} and asks: {text_a|shorten}", "looks"),
        Template("{text_a|shorten} Is it about a {mask}?", "about"),
        Template("{text_a|shorten} Look up the {mask} and say it aloud.", "aloud"),
        Template("{text_a|shorten} My guess is that the {mask} is missing.", "missing"),
    ],
}
SEARCHES = ("written", "said anew", "gradient", "reward")
BEST_MANUAL, BEST_FOUND = "best manual", "best found"  # chosen by the seed's validation


def runs(light: bool) -> list[Run]:
    """Every template frozen; five manual ones and the two chosen ones tuned.  Light: one task, two seeds."""
    tasks, seeds = (("topic",), 2) if light else (tuple(WORDINGS), 5)
    found = []
    for seed in range(seeds):
        for task in tasks:
            manual = [template.name for template in WORDINGS[task]]
            found += [{"task": task, "by": by, "how": "frozen", "seed": seed} for by in (*manual, *SEARCHES)]
            found += [{"task": task, "by": by, "how": "tuned", "draw": draw, "seed": seed} for by in (*manual[::3], BEST_MANUAL, BEST_FOUND) for draw in DRAWS]
    return found


def do(run: Run) -> dict[str, Any]:
    """One template, as the model is or after training."""
    judged = templates(run["task"], run["seed"])
    if run["how"] == "frozen":
        return judged[run["by"]][1]
    by = chosen(judged, run["by"]) if run["by"] in (BEST_MANUAL, BEST_FOUND) else run["by"]
    task, tokenizer = load_task(run["task"], seed=run["seed"] + 1000 * run["draw"], shots=SHOTS), load_tokenizer(MODEL)

    def learner():
        return PromptLearner(load_model(MODEL), tokenizer, task, judged[by][0], WordVerbalizer(LABEL_WORDS[run["task"]]))

    return best_rate(learner, task, RATES, run["seed"], steps=STEPS, batch_size=BATCH, validations=2) | {"template": by}


@functools.lru_cache(maxsize=2)
def templates(name: str, seed: int) -> dict[str, tuple[Template, dict[str, Any]]]:
    """All manual and found templates of one seed with what is known of them frozen."""
    task, words = load_task(name, seed=seed, shots=SHOTS), LABEL_WORDS[name]
    model, tokenizer = load_model(MODEL).requires_grad_(False), load_tokenizer(MODEL)
    ask = asking(model, tokenizer, task, words)
    reader, reader_tokens = load_model(READER).eval(), load_tokenizer(READER)
    judged = {}
    for template in WORDINGS[name]:
        judged[template.name] = template, {}
    for way in SEARCHES:
        asked, readings = counting(ask)
        judged[way] = search(way, task, asked, seed), {"readings": sum(readings)}
    for template, about in judged.values():
        accuracy, log_p = agreement(ask(template), task.validation)
        about |= {"score": round(agreement(ask(template), task.test)[0], 4), "validation": round(accuracy, 4), "log_p": round(log_p, 4)}
        about |= {"fluency": round(fluency(template, reader, reader_tokens, task.train[:FLUENT], words), 3), "source": template.source, "seen": bool(repeated(template, words))}
    return judged


def search(way: str, task: Task, ask: Callable, seed: int) -> Template:
    """What one search proposes, and validation chooses."""
    words = LABEL_WORDS[task.name]
    if way in ("written", "said anew"):
        t5, tokenizer = load_model(WRITER), load_tokenizer(WRITER)
        some = four_of_each(task, seed)
        if way == "written":
            ranked = generate_templates(t5, tokenizer, some, words, beams=CANDIDATES, longest=6)
        else:
            ranked = paraphrase(WORDINGS[task.name][0], t5, tokenizer, some, [words[example.label][0] for example in some], beams=8, longest=4)
        proposed = [template for _, template in ranked[:CANDIDATES]]
    else:
        settings = {"steps": 26, "k": 10} if way == "gradient" else {"steps": 50, "samples": 8}
        found = (autoprompt if way == "gradient" else policy_search)(ask, task.train, count=3, batch=BATCH, seed=seed, **settings)
        proposed = [Template(source) for _, _, source in found.history]
    return max(proposed, key=lambda template: agreement(ask(template), task.validation))


def four_of_each(task: Task, seed: int) -> list[Example]:
    """Four training examples of each label: what T5 has to agree with at once."""
    rng = random.Random(seed)
    return [example for label in task.labels for example in rng.sample([one for one in task.train if one.label == label], 4)]


def counting(ask: Callable) -> tuple[Callable, list[int]]:
    """The same `ask`, and a list that grows by the number of examples whenever a template is scored."""
    readings: list[int] = []

    def counted(template: Template) -> PromptLearner:
        learner = ask(template)
        score = learner.score
        learner.score = lambda examples, *rest: (readings.append(len(examples)), score(examples, *rest))[1]
        return learner

    return counted, readings


def chosen(judged: dict[str, tuple[Template, dict[str, Any]]], which: str) -> str:
    """The name of the best manual or found template by validation, of equals the likelier one."""
    names = [name for name in judged if (name in SEARCHES) == (which == BEST_FOUND)]
    return max(names, key=lambda name: (judged[name][1]["validation"], judged[name][1]["log_p"]))


# -- the statistics, of one seed -----------------------------------------------------------------------------------------


def _of(runs: list[Run], task: str, how: str) -> list[Run]:
    return [run for run in runs if run["task"] == task and run["how"] == how]


def _tasks(runs: list[Run]) -> list[str]:
    return sorted({run["task"] for run in runs})


def _chosen(runs: list[Run], found: bool, key: str = "validation") -> Run:
    return max((run for run in runs if (run["by"] in SEARCHES) == found), key=lambda run: (run.get(key, 0.0), run.get("log_p", 0.0)))


def frozen_spread(runs: list[Run]) -> float:
    """Test accuracy of the wording that is best on validation minus that of the worst, mean over the tasks."""

    def one(task: str) -> float:
        manual = [run for run in _of(runs, task, "frozen") if run["by"] not in SEARCHES]
        worst = min(manual, key=lambda run: (run.get("validation", 0.0), run.get("log_p", 0.0)))
        return _chosen(manual, found=False)["score"] - worst["score"]

    return statistics.mean(map(one, _tasks(runs)))


def tuned_spread(runs: list[Run]) -> float:
    """After tuning: best minus worst wording, named by one draw of examples and measured on the other, mean of both ways and tasks."""
    gaps = []
    for task in _tasks(runs):
        tuned = {(run["by"], run["draw"]): run["score"] for run in _of(runs, task, "tuned") if run["by"] not in (BEST_MANUAL, BEST_FOUND)}
        names = sorted({by for by, _ in tuned})
        for named, measured in (DRAWS, DRAWS[::-1]):
            best, worst = (pick(names, key=lambda by: tuned[by, named]) for pick in (max, min))
            gaps.append(tuned[best, measured] - tuned[worst, measured])
    return statistics.mean(gaps)


def frozen_search(runs: list[Run]) -> float:
    """The best found template minus the best manual one, both chosen by validation, mean over the tasks."""
    return statistics.mean(_chosen(_of(runs, task, "frozen"), True)["score"] - _chosen(_of(runs, task, "frozen"), False)["score"] for task in _tasks(runs))


def tuned_search(runs: list[Run]) -> float:
    """The same two after tuning, mean over draws and tasks."""
    mean = {by: statistics.mean(run["score"] for run in runs if run["by"] == by) for by in (BEST_MANUAL, BEST_FOUND)}
    return mean[BEST_FOUND] - mean[BEST_MANUAL]


def less_readable(runs: list[Run]) -> float:
    """Nats a token by which the best found template is less likely to the reader than the manual ones on average."""

    def one(task: str) -> float:
        frozen = _of(runs, task, "frozen")
        manual = [run.get("fluency", 0.0) for run in frozen if run["by"] not in SEARCHES]
        return statistics.mean(manual) - _chosen(frozen, True).get("fluency", 0.0)

    return statistics.mean(map(one, _tasks(runs)))


CLAIM = Claim(
    id="C9",
    section="prompt",
    claim="wording matters; automatic search finds templates as good as manual ones, less readable",
    paper="Gao et al. 2021 (LM-BFF), Shin et al. 2020 (AutoPrompt): templates found by T5 and by gradients; Deng et al. 2022 (RLPrompt): those found by rewards are often ungrammatical gibberish",
    parts=(
        Part("wording", "zero-shot, the best of fourteen wordings beats the worst by at least 10 points of accuracy", 0.10, frozen_spread),
        Part("tuned", "tuned on K = 16, the best of five beats the worst by at least 2 points", 0.02, tuned_spread),
        Part("search", "zero-shot, the best found template is at most 3 points below the best manual one", -0.03, frozen_search),
        Part("search, tuned", "the same two tuned on K = 16: at most 3 points below", -0.03, tuned_search),
        Part("readable", "the best found template is less likely to a GPT than manual ones, by at least half a nat a token", 0.5, less_readable),
    ),
    runs=runs,
    do=do,
)
