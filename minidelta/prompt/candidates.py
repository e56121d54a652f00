"""Templates found for a task: the one door to all searches.

    choose        nothing is written: the templates of a file, or those built in for the task, compete
    lm-bff        T5 writes the words around the label word        search.py
    paraphrase    T5 says the template in other words              search.py
    autoprompt    words found by the gradient                      autoprompt.py
    policy        words found by rewards                           policy.py

All look at training examples through a frozen model, and validation examples choose.  The template that a search begins
with competes: what is found has to be better than what was written.  (Mining is for facts, not for labels: see `search.mine`.)
"""

from typing import Any

from torch import nn

from minidelta.data import Task
from minidelta.errors import PromptError, near_misses
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt.answers import AnswerLearner
from minidelta.prompt.autoprompt import autoprompt
from minidelta.prompt.learner import PromptLearner
from minidelta.prompt.learners import beside, prompt_learner
from minidelta.prompt.policy import policy_search
from minidelta.prompt.search import Ranked, generate_templates, paraphrase, rank
from minidelta.prompt.template import TEXTS, Template

SEARCHES = ("choose", "lm-bff", "paraphrase", "autoprompt", "policy")
WRITER = "t5-micro"
MOST = 20  # templates that validation examples judge


def candidates(
    how: str,
    model: nn.Module,
    tokenizer: Any,
    task: Task,
    template: str | Template | None = None,
    verbalizer: str | dict[str, Any] | None = None,
    tokens: str | None = None,
    writer: str | None = None,
    seed: int = 0,
) -> Ranked:
    """Search templates for a task.

    Args:
        how: one of SEARCHES.
        model, tokenizer: who will read the templates; the model is frozen.
        task: its training part is searched on, its validation part judges: some dozens of each are plenty.
        template, verbalizer, tokens: as of `prompt_learner`.  The search keeps the texts that the template shows, and finds other words.
        writer: the T5 that writes, for lm-bff and paraphrase; default the model itself if it is one, else WRITER.
        seed: of start words, draws and batches.
    Returns: (accuracy on the validation part, template), the best first, the given template among them.
    Raises: PromptError for an unknown search, or a task, template or label words that cannot be searched with.

    >>> from minidelta.data import load_task
    >>> model, tokenizer, task = load_model("bert-nano"), load_tokenizer("bert-nano"), load_task("sentiment", shots=2)
    >>> found = candidates("paraphrase", model, tokenizer, task, writer="t5-nano")
    >>> len(found) > 5, "sounds" in [template.name for _, template in found]
    (True, True)
    """
    if how not in SEARCHES:
        raise PromptError(f"There is no search called {how!r}. {near_misses(str(how), SEARCHES)}")
    model.requires_grad_(False)
    first = prompt_learner(model, tokenizer, task, template, verbalizer, tokens, seed=seed)
    written, kept = first.template, first.verbalizer.settings()
    if not task.labels or "label_words" not in kept:
        raise PromptError(f"Templates are searched with one list of label words, which {'this task' if not task.labels else 'this verbalizer'} has not; take a task of labels and give --verbalizer.")
    if len(written.masks) != 1 or written.softs:
        raise PromptError(f"A search begins with a template of one {{mask}} and no soft tokens, and this one is {written.source!r}.")
    if how == "autoprompt" and isinstance(first, AnswerLearner):
        raise PromptError("AutoPrompt follows the gradient at one mask, and these label words are read as a whole; give label words of one token with --verbalizer, or another search.")

    def ask(template: Template) -> PromptLearner:
        return prompt_learner(model, tokenizer, task, template, kept, seed=seed)

    before = " ".join(dict.fromkeys(str(part) for part in written.parts if part.kind in TEXTS))
    if how == "choose":
        found = beside(template, task)
    elif how in ("autoprompt", "policy"):
        search = autoprompt if how == "autoprompt" else policy_search
        found = [Template(source) for _, _, source in search(ask, task.train, seed=seed, before=before).history]
        found.reverse()  # the best first
    else:
        own = writer is None and model.config.shape == "encoder-decoder"
        t5, pieces = (model, tokenizer) if own else (load_model(writer or WRITER), load_tokenizer(writer or WRITER))
        if how == "lm-bff":
            ranked = generate_templates(t5, pieces, task.train, kept["label_words"], beams=MOST, before=before)
        else:
            ranked = paraphrase(written, t5, pieces, task.train, [kept["label_words"][example.label][0] for example in task.train])
        found = [template for _, template in ranked]
    return rank(list(dict.fromkeys([written, *found]))[: MOST + 1], ask, task.validation)
