"""Label words found by the model itself, from a first word or from a few labelled examples.

    neighbours   words whose embeddings lie nearest to a first word: paraphrase and expand
    PETAL        LLR(v, y) = mean over x of label y of log p / (1 - p)  -  the same over the x of all other labels,   p = p(v | T(x))
                 Schick, Schmid, Schuetze 2020, in the form of their code (github.com/timoschick/pet, petal.py), but for a factor that is
                 one for all words: a likelihood ratio, so that a word which is likely everywhere wins nothing, and both sides weigh alike
                 however many examples they have.  Where p is one in a million the ratio is noise, so only some words are candidates: in
                 their code, of the words that are frequent in the texts, the 1,000 that each label's examples make likeliest; here the
                 words that the model expects most over all examples.  And here a word serves the label that it suits best alone.
    auto-L       for each label the k words with the largest  sum over x of label y of log p(v | T(x));  all combinations of them are ranked
                 by accuracy on the same examples, the best n again on validation examples (LM-BFF; Gao et al. 2021, section 5.1)
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.prompt.verbalizer import LabelWords, word_tokens

MOST_COMBINATIONS = 20_000


def whole_words(tokenizer: Any, letters: int = 3) -> list[int]:
    """The pieces of a vocabulary that can stand as label words: they begin a word, and are letters only."""
    pieces, special = tokenizer.convert_ids_to_tokens(range(len(tokenizer))), set(tokenizer.all_special_ids)
    marked = any(piece.startswith(("Ġ", "▁")) for piece in pieces)  # without a mark for spaces, BERT's ## marks what goes on
    begins = [piece.startswith(("Ġ", "▁")) if marked else not piece.startswith("##") for piece in pieces]
    bare = [piece.lstrip("Ġ▁") for piece in pieces]
    return [i for i, piece in enumerate(bare) if i not in special and begins[i] and piece.isalpha() and piece.isascii() and len(piece) >= letters]


def neighbours(model: Any, tokenizer: Any, word: str, k: int = 10) -> list[str]:
    """The k whole words nearest to a word by the cosine of their embeddings, the word itself first.

    >>> from minidelta.hub import load_model, load_tokenizer
    >>> neighbours(load_model("bert-micro"), load_tokenizer("bert-micro"), "good", 3)[0]
    'good'
    """
    table, known = F.normalize(model.token_embedding.weight.detach().float(), dim=-1), whole_words(tokenizer)  # [V,D]
    own = F.normalize(table[torch.tensor(word_tokens(word, tokenizer, True))].mean(0), dim=-1)
    order = (table[known] @ own).argsort(descending=True)[:k].tolist()
    found = [name(tokenizer, known[i]) for i in order]
    return [word, *(other for other in found if other != word)][:k]


def name(tokenizer: Any, token: int) -> str:
    """A piece as the word that a person reads."""
    return tokenizer.convert_ids_to_tokens(token).lstrip("Ġ▁")


def likelihood_ratios(log_p: Tensor, labels: Tensor, classes: int) -> Tensor:
    """LLR(v, y) of every word for every label.

    Args:
        log_p: [N,V], log p(v | T(x)) of N examples.
        labels: [N].
        classes: C.
    Returns: [C,V].

    >>> likelihood_ratios(torch.tensor([[0.8, 0.5], [0.5, 0.5], [0.2, 0.5]]).log(), torch.tensor([0, 1, 1]), 2)  # log 4, and half of it
    tensor([[ 2.0794,  0.0000],
            [-2.0794,  0.0000]])
    """
    odds = log_p - torch.log1p(-log_p.exp().clamp(max=1 - 1e-6))  # log p / (1 - p)
    own = F.one_hot(labels, classes).T.to(log_p.dtype)  # [C,N]
    if not (own.sum(-1) > 0).all():
        raise PromptError("Label words can be searched only if every label has an example; give at least one shot of each.")
    inside = own @ odds / own.sum(-1, keepdim=True)
    outside = (1 - own) @ odds / (1 - own).sum(-1, keepdim=True).clamp(min=1)
    return inside - outside


def petal(learner: Any, examples: Sequence[Example], k: int = 10, candidates: Sequence[str] | None = None, among: int = 200) -> LabelWords:
    """The k words of each label with the largest likelihood ratio; each word goes to the label that it suits best.

    Args:
        learner: a `PromptLearner` with a frozen model; its template is used, its verbalizer is not.
        examples: a few of each label.
        k: words a label.
        candidates: words to choose from; default all whole words of the vocabulary.
        among: so many of them count, those with the largest mean p(v | T(x)).
    Raises: PromptError if a label has no example, or no word of its own.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> from minidelta.prompt.learners import prompt_learner
    >>> learner = prompt_learner(load_model("bert-micro"), load_tokenizer("bert-micro"), load_task("sentiment", shots=8), "in-a-word")
    >>> {label: len(words) for label, words in petal(learner, learner.task.train, k=3).items()}
    {'negative': 3, 'positive': 3}
    """
    known = _known(learner, candidates)
    labels = torch.tensor([learner.label_number(example) for example in examples])
    log_p = learner.log_p(examples)[:, known].cpu()  # [N,W]
    kept = log_p.logsumexp(0).topk(min(among, len(known))).indices
    known, log_p = [known[i] for i in kept.tolist()], log_p[:, kept]
    ratios = likelihood_ratios(log_p, labels, len(learner.task.labels))  # [C,W]
    best = ratios.argmax(0)  # [W]
    found = {}
    for number, label in enumerate(learner.task.labels):
        own = ratios[number].masked_fill(best != number, -torch.inf)
        order = [i for i in own.argsort(descending=True)[:k].tolist() if own[i] > 0]
        if not order:
            raise PromptError(f"No word is likelier for {label!r} than for the other labels; give more examples, or another template.")
        found[label] = [name(learner.tokenizer, known[i]) for i in order]
    return found


def auto_label_words(learner: Any, examples: Sequence[Example], validation: Sequence[Example] = (), k: int = 8, n: int = 5, candidates: Sequence[str] | None = None) -> list[tuple[float, LabelWords]]:
    """LM-BFF's search for one word a label.

    Args:
        learner, candidates: as of `petal`.
        examples: a few of each label: they choose the words and rank the combinations.
        validation: rank the best n again; default the same examples.
        k: words tried for each label; made smaller where the combinations would be too many.
        n: combinations that are ranked again and returned.  (The paper fine-tunes with each of them; here they are
            judged as they stand, and whoever wants to may train with the few that are returned.)
    Returns: (accuracy, label words) of n combinations, the best first.
    """
    known, classes = _known(learner, candidates), len(learner.task.labels)
    while k > 1 and k**classes > MOST_COMBINATIONS:
        k -= 1
    labels = torch.tensor([learner.label_number(example) for example in examples])
    log_p = learner.log_p(examples)[:, known].cpu()  # [N,W]
    own = F.one_hot(labels, classes).T.to(log_p.dtype)
    tops = (own @ log_p).topk(k, dim=-1).indices  # [C,k]
    combinations = torch.tensor([choice for choice in itertools.product(*tops.tolist()) if len(set(choice)) == classes])  # [K,C]
    if not len(combinations):
        raise PromptError("All labels ask for the same words here; raise k, or choose another template.")
    combinations = combinations[accuracies(log_p, labels, combinations).argsort(descending=True, stable=True)[:n]]
    if validation:
        labels = torch.tensor([learner.label_number(example) for example in validation])
        log_p = learner.log_p(validation)[:, known].cpu()
    scores = accuracies(log_p, labels, combinations)
    return [(round(scores[i].item(), 6), {label: [name(learner.tokenizer, known[token])] for label, token in zip(learner.task.labels, combinations[i].tolist())}) for i in scores.argsort(descending=True, stable=True).tolist()]


def accuracies(log_p: Tensor, labels: Tensor, combinations: Tensor) -> Tensor:
    """Accuracy of each combination of one word a label: [N,W], [N], [K,C] -> [K].

    >>> accuracies(torch.tensor([[-1.0, -2.0], [-1.0, -2.0]]), torch.tensor([0, 1]), torch.tensor([[0, 1]]))
    tensor([0.5000])
    """
    return (log_p[:, combinations].argmax(-1) == labels[:, None]).float().mean(0)  # [N,K,C] -> [N,K] -> [K]


def _known(learner: Any, candidates: Sequence[str] | None) -> list[int]:
    if candidates is None:
        return whole_words(learner.tokenizer)
    found = [word_tokens(word, learner.tokenizer, learner.template.mask_spaced()) for word in dict.fromkeys(candidates)]
    single = [ids[0] for ids in found if len(ids) == 1]
    if not single:
        raise PromptError("None of the candidates is one token of this tokenizer; give other words.")
    return single
