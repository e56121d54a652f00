"""What a list teaches while it is read: accuracy after k answered examples, for every k in one pass.

A list is a row of questions, each with the answer right behind it.  Before it reads the answer to question k, a causal model has seen
k examples; so one pass over a list of 17 asks it with 0, 1, 2, ... 16 of them.
"""

from collections.abc import Sequence
from functools import cache
from random import Random

import torch
from torch import Tensor, nn

from minidelta.world.lists import FEW_LABELS, LAYOUTS, categories, functions, is_held

SHOTS = (0, 1, 2, 4, 8, 16)
LISTS = 100  # of each kind
ENOUGH = 14  # words of a category, so that few are asked twice

Asked = tuple[str, str, Sequence[str]]  # a question, its answer, and the answers to choose from


def drawn(rng: Random, count: int = SHOTS[-1] + 1) -> list[Asked]:
    """Words of two categories, each with a label that only this list knows.

    >>> [answer for _, answer, _ in drawn(Random(0), 6)]
    ['white', 'blue', 'blue', 'white', 'white', 'blue']
    """
    names = rng.sample([name for name, words in categories().items() if len(words) >= ENOUGH], 2)
    words = [rng.sample(categories()[name], len(categories()[name])) for name in names]
    labels = rng.sample(FEW_LABELS, 2)
    places = [rng.randrange(2) for _ in range(count)]
    return [(words[place][places[:number].count(place) % len(words[place])], labels[place], labels) for number, place in enumerate(places)]


def function(rng: Random, count: int = SHOTS[-1] + 1) -> list[Asked]:
    """Words that one of several functions answers; which, only the examples tell."""
    group = rng.choice([group for group in functions().values() if len(next(iter(group.values()))) > 2 * count])
    name = rng.choice(list(group))
    words = rng.sample([word for word in group[name] if not is_held(word)], count)
    return [(word, group[name][word], list(dict.fromkeys(answers[word] for answers in group.values()))) for word in words]


@torch.inference_mode()
def hits(model: nn.Module, tokenizer, lists: Sequence[list[Asked]], layout: tuple[str, str] = LAYOUTS[0]) -> Tensor:
    """Whether each answer is likelier, by its first token, than the others that there are to choose from.

    Args:
        model, tokenizer: of the GPT family.
        lists: N lists of equal length K.
        layout: how a pair is written, and what stands between two.
    Returns: [N,K] of True and False; column k was asked after k examples.
    """
    one, between = layout
    before, after = one.replace("{y}", "").rstrip(), one[one.index("{y}") + 3 :] + between
    pieces = cache(lambda text: tokenizer(text)["input_ids"])
    found = []
    for asked in lists:
        ids, places = [tokenizer.eos_token_id], []
        for word, answer, _ in asked:
            ids += pieces(("" if len(ids) == 1 or between == "\n" else " ") + before.format(x=word))
            places.append(len(ids) - 1)
            ids += pieces(f" {answer}{after}".rstrip(" "))
        scores = model.lm_logits(model.hidden(torch.tensor([ids], device=model.device))[0, places])  # [K,V]
        first = [[pieces(f" {choice}")[0] for choice in choices] for _, _, choices in asked]
        found.append([choices[scores[k, tokens].argmax()] == answer for k, ((_, answer, choices), tokens) in enumerate(zip(asked, first))])
    return torch.tensor(found)


def accuracies(model: nn.Module, tokenizer) -> dict[str, float]:
    """Accuracy after SHOTS examples on lists that are the same for every model: "drawn-4", "function-4", ...

    >>> from minidelta.hub import load_model, load_tokenizer
    >>> found = accuracies(load_model("gpt-nano"), load_tokenizer("gpt-nano"))
    >>> 0.3 < found["drawn-16"] < 0.7  # it has never read such lists
    True
    """
    found = {}
    for kind in (drawn, function):
        rng = Random(0)
        share = hits(model, tokenizer, [kind(rng) for _ in range(LISTS)]).float().mean(0)  # [K]
        found |= {f"{kind.__name__}-{shots}": float(share[shots]) for shots in SHOTS}
    return found
