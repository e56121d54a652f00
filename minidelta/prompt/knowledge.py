"""Label words from outside: a knowledge base proposes many, four refinements keep what helps (KPT; Hu et al. 2022).

    expand        V_y = the words that a knowledge base lists for the label's first word
    frequency     drop v where  p(v) = mean over x in X of p([MASK] = v | T(x))  is small: half of the vocabulary is likelier
    relevance     rank v by  R(v) = r(v, y) - mean over y' != y of r(v, y'),   y the label of v, and cut every label at one rate
                  r(v, y) = cosine over x in X of log p(v | x) and log p(v_y | x), each less its mean,  v_y the label's first word
    calibrate     p'(v | x) = p(v | x) / p(v)           contextualised calibration: frequent words weigh no more than rare ones
    weights       s(y | x) = sum over v in V_y of alpha_v log p'(v | x),   alpha = softmax of trained numbers, equal at the start

X are unlabelled texts of the task.  Without examples (zero-shot) the paper drops by frequency, relevance
and calibrates; with a few it trains the weights, and filters no more.  Here each step is a function of its own, to be used or left out.

Relevance follows the authors' code (github.com/thunlp/KnowledgeablePromptTuning, filter_method.py), which compares centred logits,
divides r(v, y) by a power mean of |r(v, y')|, and cuts where the words at the edge come nearest to a ratio of 1.  Here the mean is a
plain one with its signs and taken off, for a word that falls where another label rises is no worse for it; so the cut is where R
comes nearest to 0.  Logarithms take the place of logits, from which they differ by one number a text.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.prompt.verbalizer import LabelWords, WordVerbalizer, word_tokens
from minidelta.world import lexicon

KnowledgeBase = Mapping[str, Sequence[str]]  # word -> related words


def world_knowledge() -> dict[str, list[str]]:
    """The lexicon of the embedded world as a knowledge base: synonyms, words of praise and blame, of topics, of kinds.

    >>> world_knowledge()["good"][:3], len(world_knowledge()["sport"])
    (['great', 'excellent', 'wonderful'], 46)
    """
    base: dict[str, list[str]] = {}

    def add(word: str, related: Iterable[str]) -> None:
        own = base.setdefault(word, [])
        own += [other for other in related if other != word and other not in own]

    for group in (lexicon.PRAISE, lexicon.BLAME):
        add(group[0], group)  # good, bad
    for topic, groups in lexicon.TOPICS.items():
        for group in groups:
            add(topic, group)
    for kind, things in lexicon.KINDS.items():
        add(kind, things)
    for one, other in (lexicon.SYNONYMS | lexicon.VERB_SYNONYMS).items():
        add(one, [other])
        add(other, [one])
    return base


def read_thesaurus(path: str | Path) -> dict[str, list[str]]:
    """A word list as a knowledge base: one entry a line, "word: related, related, ..."; # begins a remark.

    Raises: PromptError for a file that cannot be read, or a line without a colon.
    """
    path, base = Path(path), {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise PromptError(f"{path}: the word list cannot be read ({getattr(problem, 'strerror', None) or problem}).") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        word, colon, related = line.partition(":")
        if not colon or not word.strip():
            raise PromptError(f'{path.name}:{number}: expected "word: related, related", and met {line.strip()!r}.')
        base[word.strip()] = base.get(word.strip(), []) + [other.strip() for other in related.split(",") if other.strip()]
    return base


def expand_words(label_words: Mapping[str, Sequence[str]], base: KnowledgeBase, tokenizer: Any, spaced: bool = True) -> LabelWords:
    """Add to each label's words what the knowledge base lists for them; the first word stays first.

    Words of several tokens, and words that belong to two labels, are left out.

    >>> from minidelta.hub import load_tokenizer
    >>> expand_words({"no": ["bad"], "yes": ["good"]}, {"bad": ["dull", "film"], "good": ["fine", "film"]}, load_tokenizer("bert-nano"))
    {'no': ['bad', 'dull'], 'yes': ['good', 'fine']}
    """
    proposed = {label: list(dict.fromkeys([*words, *(other for word in words for other in base.get(word, ()))])) for label, words in label_words.items()}
    count: dict[str, int] = {}
    for words in proposed.values():
        for word in words:
            count[word] = count.get(word, 0) + 1
    return {label: [word for place, word in enumerate(words) if place == 0 or (count[word] == 1 and len(word_tokens(word, tokenizer, spaced)) == 1)] for label, words in proposed.items()}


class KnowledgeVerbalizer(WordVerbalizer):
    """Many words a label, calibrated and weighted.

    Args:
        label_words: from `expand_words`; the first word of each label is its anchor.
        weighted: train one weight a word (alpha).
        prior: [W] log p(v), from `word_priors`.

    >>> verbalizer = KnowledgeVerbalizer({"no": ["bad", "dull"], "yes": ["good"]}, weighted=True)
    >>> verbalizer.label_scores(torch.tensor([[-1.0, -3.0, -4.0]]))
    tensor([[-2., -4.]], grad_fn=<StackBackward0>)
    """

    def __init__(self, label_words: Mapping[str, Sequence[str]], tokens: str = "strict", weighted: bool = False, prior: Sequence[float] | None = None) -> None:
        super().__init__(label_words, tokens)
        self.trains = weighted
        self.alpha = nn.Parameter(torch.zeros(len(self.flat))) if weighted else None
        self.prior = None if prior is None else torch.as_tensor(prior)

    def bind(self, model: nn.Module, tokenizer: Any, spaced: bool, masks: int) -> "KnowledgeVerbalizer":
        super().bind(model, tokenizer, spaced, masks)
        self.to(self.owner.device)
        if self.prior is not None:
            self.prior = self.prior.to(self.owner.device)
        return self

    def label_scores(self, word_scores: Tensor) -> Tensor:
        if self.alpha is None:
            return super().label_scores(word_scores)
        own = [self.owner == number for number in range(len(self.labels))]
        return torch.stack([word_scores[:, mine] @ self.alpha[mine].softmax(-1) for mine in own], dim=1)  # [B,C]

    def settings(self) -> dict[str, Any]:
        prior = None if self.prior is None else self.prior.tolist()
        return super().settings() | {"weighted": self.alpha is not None, "prior": prior}


# -- refinement: each step takes log p(v | x) of all words over N texts [N,W] --------------------------------------


def word_priors(log_p: Tensor) -> Tensor:
    """log p(v) over the texts: [N,W] -> [W].

    >>> word_priors(torch.tensor([[0.2, 0.1], [0.4, 0.1]]).log()).exp()
    tensor([0.3000, 0.1000])
    """
    return log_p.logsumexp(0) - torch.tensor(float(len(log_p))).log()


def relevance(log_p: Tensor, owner: Tensor, anchors: Sequence[int]) -> Tensor:
    """R(v): how each word goes with its own label, less the mean of how it goes with the others.

    Args:
        log_p: [N,W].
        owner: [W] the label of each word.
        anchors: for each label the place of its first word among the W.
    Returns: [W], from -2 to 2; below 0: nearer to other labels than to its own.

    >>> relevance(torch.tensor([[-1.0, -3.0, -6.0], [-3.0, -7.0, -5.0]]), torch.tensor([0, 0, 1]), [0, 2])  # the first two fall, the last rises
    tensor([2.0000, 2.0000, 2.0000])
    """
    centred = F.normalize(log_p - log_p.mean(0), dim=0)  # [N,W], each word a unit vector over the texts
    r = centred.T @ centred[:, list(anchors)]  # [W,C]
    own = r.gather(1, owner[:, None])[:, 0]
    return own - (r.sum(1) - own) / (len(anchors) - 1)


def cut(found: Tensor, owner: Tensor) -> list[bool]:
    """Which words to keep: the most relevant of each label, of all labels the same share.

    Args:
        found: [W] from `relevance`.
        owner: [W] the label of each word.
    Returns: W marks; the share is the one at which the first words to go, one a label, lie nearest to 0.

    >>> cut(torch.tensor([0.9, 0.1, -0.8, 0.7, -0.1, -0.9]), torch.tensor([0, 0, 0, 1, 1, 1]))
    [True, False, False, True, False, False]
    """
    labels = [owner == number for number in range(int(owner.max()) + 1)]
    ranked = [found[own].sort(descending=True).values.tolist() for own in labels]
    most = max(map(len, ranked))

    def distance(step: int) -> float:
        return sum(scores[step * len(scores) // most] ** 2 for scores in ranked)

    step = min(range(most - 1, -1, -1), key=distance)  # of equals the one that keeps more
    floor = [scores[step * len(scores) // most] for scores in ranked]
    return [value > floor[label] for value, label in zip(found.tolist(), owner.tolist())]


def keep_words(label_words: LabelWords, keep: Sequence[bool]) -> LabelWords:
    """The words marked to be kept, and always the first word of each label.

    >>> keep_words({"no": ["bad", "dull"], "yes": ["good", "fine"]}, [False, False, True, True])
    {'no': ['bad'], 'yes': ['good', 'fine']}
    """
    marks = iter(keep)
    return {label: [word for place, word, kept in [(place, word, next(marks)) for place, word in enumerate(words)] if kept or place == 0] for label, words in label_words.items()}


def refine(learner: Any, label_words: LabelWords, texts: Sequence[Example], frequency: float = 0.5, relevant: bool = True, calibrated: bool = True, weighted: bool = False) -> KnowledgeVerbalizer:
    """All of KPT on one learner.

    Args:
        learner: a `PromptLearner`; its template is used, its verbalizer is replaced by the result.
        label_words: from `expand_words`.
        texts: X, unlabelled.
        frequency: share of the vocabulary that counts as too rarely expected; its words are dropped.  0 keeps all.
        relevant: drop the words of each label that go least with it.
        calibrated: take log p(v) off.
        weighted: train one weight a word.
    Returns: the verbalizer, bound and in its place.
    """
    if not texts:
        raise PromptError("The words of a knowledge base are refined on texts of the task without labels; give some dozens.")
    spaced = learner.template.mask_spaced()
    everywhere = learner.log_p(texts).cpu()  # [N,V]

    def of(words: LabelWords) -> Tensor:
        return everywhere[:, [word_tokens(word, learner.tokenizer, spaced)[0] for own in words.values() for word in own]]

    if frequency:
        rare = word_priors(everywhere).quantile(frequency)
        label_words = keep_words(label_words, (word_priors(of(label_words)) > rare).tolist())
    if relevant:
        owner = torch.tensor([number for number, own in enumerate(label_words.values()) for _ in own])
        anchors = [int((owner == number).nonzero()[0]) for number in range(len(label_words))]
        label_words = keep_words(label_words, cut(relevance(of(label_words), owner, anchors), owner))
    verbalizer = KnowledgeVerbalizer(label_words, weighted=weighted, prior=word_priors(of(label_words)).tolist() if calibrated else None)
    learner.use(verbalizer)
    return verbalizer
