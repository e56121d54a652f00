"""Templates found by a model: T5 fills the gaps, or says a template in other words, or texts are mined for them.

    LM-BFF     t* = argmax over t of  sum over (x, y) of  sum_j log p_T5(t_j | t_<j, T_g(x, y))        Gao et al. 2021, section 5.2
               T_g(x, y) = x <extra_id_0> v(y) <extra_id_1>: one template has to fit all the examples with their true label words; a beam
               search over the sum gives many, and validation examples choose
    LPAQA      mining: the words that stand between head and tail of a relation; paraphrasing: a template in other words, likely for the
               model that says it (Jiang et al. 2020; they paraphrase by translating there and back, here T5 fills
               gaps that are cut into the template)

Searches that need gradients or rewards have files of their own: `autoprompt.py`, `policy.py`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from minidelta.data import Example, Task
from minidelta.errors import PromptError
from minidelta.progress import progress
from minidelta.prompt.learner import PromptLearner
from minidelta.prompt.render import Renderer
from minidelta.prompt.template import Part, Template
from minidelta.prompt.verbalizer import LabelWords, WordVerbalizer

Ranked = list[tuple[float, Template]]  # a score and its template, the best first
ANSWER = "the answer in the gap"  # its key in the meta of an example: none that a record has


def asking(model: nn.Module, tokenizer: Any, task: Task, label_words: LabelWords) -> Callable[[Template], PromptLearner]:
    """From a template to its learner, everything else fixed: what all searches try templates with."""
    return lambda template: PromptLearner(model, tokenizer, task, template, WordVerbalizer(label_words))


def agreement(learner: PromptLearner, examples: Sequence[Example]) -> tuple[float, float]:
    """(accuracy, mean log p(y | x)) of a learner on labelled examples; the second tells apart templates with equal accuracy."""
    scores = learner.score(examples).log_softmax(-1)  # [N,C]
    labels = torch.tensor([learner.label_number(example) for example in examples], device=scores.device)
    return (scores.argmax(-1) == labels).float().mean().item(), scores.gather(1, labels[:, None]).mean().item()


def rank(templates: Sequence[Template], ask: Callable[[Template], PromptLearner], examples: Sequence[Example]) -> Ranked:
    """Templates by the accuracy of their learners on examples, as they stand.

    (LM-BFF fine-tunes with each candidate before it is judged; pass an `ask` that trains to do so.)
    """
    judged = [(*agreement(ask(template), examples), template) for template in progress(templates, description="judging", unit="template")]
    judged.sort(key=lambda row: row[:2], reverse=True)
    return [(accuracy, template) for accuracy, _, template in judged]


# -- LM-BFF ------------------------------------------------------------------------------------------------------------


def generate_templates(t5: nn.Module, tokenizer: Any, examples: Sequence[Example], label_words: Mapping[str, Sequence[str]], beams: int = 20, longest: int = 10, before: str | None = None) -> Ranked:
    """Let T5 write the words around the label word.

    Args:
        t5, tokenizer: an encoder-decoder with sentinels.
        examples: some of each label, with their labels.
        label_words: label -> words; the first stands in the gap.
        beams: templates kept and returned.
        longest: most tokens that T5 writes for both gaps together.
        before: the texts that stand in front of the gaps, in the language of templates; default the one or two texts of the examples.
    Returns: (sum of log p, template), the likeliest first.
    Raises: PromptError for another family, or examples without labels.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> found = generate_templates(load_model("t5-nano"), load_tokenizer("t5-nano"), load_task("sentiment", shots=2).train, {"negative": ["bad"], "positive": ["good"]}, beams=3, longest=4)
    >>> len(found), [part.kind for part in found[0][1].parts if part.kind != "literal"]
    (3, ['text_a', 'mask'])
    """
    _writes(t5)
    unknown = next((example for example in examples if example.label not in label_words), None)
    if unknown is not None or not examples:
        raise PromptError(f"Templates are generated from labelled examples, and {unknown!r} has no label word." if examples else "Templates are generated from labelled examples, and none were given.")
    before = before or "{text_a|shorten}" + " {text_b|shorten}" * (examples[0].text_b is not None)
    sources = _sources(Template(f"{before} {{mask}} {{meta:{ANSWER}}} {{mask}}"), t5, tokenizer, examples, [label_words[example.label][0] for example in examples])
    found = fill_gaps(t5, tokenizer, sources, gaps=2, beams=beams, longest=longest, watched=True)
    templates = [(score, Template(before + "".join(map(str, _around(tokenizer, first, second))))) for score, (first, second) in found]
    return _distinct(templates)


def _writes(t5: nn.Module) -> None:
    if t5.config.shape != "encoder-decoder":
        raise PromptError(f"Templates are generated by a model that fills gaps of any length, and this is an {t5.config.shape}; take a T5 such as t5-micro.")


def _sources(template: Template, t5: nn.Module, tokenizer: Any, examples: Sequence[Example], answers: Sequence[str]) -> list[list[int]]:
    """What T5 reads: its sentinels at the masks, the answer of each example where the template asks for {meta:ANSWER}."""
    render = Renderer(template, tokenizer, t5.config.shape, 256, start=t5.config.decoder_start_token_id)
    return [one.ids for one in render([replace(example, meta=example.meta | {ANSWER: answer}) for example, answer in zip(examples, answers)])]


def _around(tokenizer: Any, before: list[int], after: list[int]) -> list[Part]:
    """The mask with the words that were written around it."""
    first, second = (" ".join(tokenizer.decode(ids, skip_special_tokens=True).split()) for ids in (before, after))
    return [Part("literal", f" {first} " if first else " "), Part("mask"), *([Part("literal", f" {second}")] if second else [])]


@torch.no_grad()
def fill_gaps(t5: nn.Module, tokenizer: Any, sources: Sequence[list[int]], gaps: int, beams: int, longest: int, watched: bool = False) -> list[tuple[float, list[list[int]]]]:
    """Beam search for the words of all gaps that suit all sources together.

    Args:
        sources: token ids with the sentinels 0 ... gaps - 1 in each of them.
        gaps: how many there are.
        beams: hypotheses kept.
        longest: most tokens of all gaps together.
        watched: show a progress bar.
    Returns: (sum over the sources of log p, the tokens of each gap), the likeliest first.
    """
    vocabulary = tokenizer.get_vocab()
    sentinels = [vocabulary[f"<extra_id_{number}>"] for number in range(gaps + 1)]  # the last one ends the last gap
    banned = torch.zeros(t5.config.vocab_size, dtype=torch.bool, device=t5.device)
    banned[list(set(tokenizer.all_special_ids) | {token for piece, token in vocabulary.items() if piece.startswith("<extra_id_")} | set(range(len(tokenizer), t5.config.vocab_size)))] = True
    width = max(map(len, sources))
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in sources], device=t5.device)  # [N,S]
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in sources], device=t5.device)
    modes = [(module, module.training) for module in t5.modules()]
    t5.eval()
    encoded = t5.encode(ids, mask)  # [N,S,D]
    open_, done = [(0.0, [t5.config.decoder_start_token_id, sentinels[0]], 0)], []  # log p, decoder ids, gap that is being written
    steps = range(longest + gaps)
    for _ in progress(steps, description="T5 writes", unit="token") if watched else steps:
        rows = torch.tensor([hypothesis[1] for hypothesis in open_], device=t5.device)  # [K,T]
        count = len(rows)
        hidden = t5.decode(rows.repeat_interleave(len(ids), 0), encoded.repeat(count, 1, 1), mask.repeat(count, 1))[:, -1]  # [K*N,D]
        log_p = t5.lm_logits(hidden).float().log_softmax(-1).view(count, len(ids), -1).sum(1)  # [K,V]: all sources have to agree
        grown = []
        for (score, written, gap), row in zip(open_, log_p):
            grown.append((score + row[sentinels[gap + 1]].item(), [*written, sentinels[gap + 1]], gap + 1))
            if len(written) - 2 - gap < longest:
                top = row.masked_fill(banned, -torch.inf).topk(beams)
                grown += [(score + value, [*written, token], gap) for value, token in zip(top.values.tolist(), top.indices.tolist())]
        done += [one for one in grown if one[2] == gaps]
        open_ = sorted((one for one in grown if one[2] < gaps), key=lambda one: -one[0])[:beams]
        done = sorted(done, key=lambda one: -one[0])[:beams]
        if not open_ or (len(done) == beams and done[-1][0] > open_[0][0]):
            break
    for module, mode in modes:
        module.training = mode
    return [(score, _split(written[2:], sentinels[1:])) for score, written, _ in done]


def _split(written: list[int], ends: Sequence[int]) -> list[list[int]]:
    """The tokens between the sentinels."""
    gaps, rest = [], written
    for end in ends:
        place = rest.index(end)
        gaps.append(rest[:place])
        rest = rest[place + 1 :]
    return gaps


def _distinct(ranked: Ranked) -> Ranked:
    best: dict[Template, float] = {}
    for score, template in ranked:
        best.setdefault(template, score)
    return [(score, template) for template, score in best.items()]


# -- LPAQA -------------------------------------------------------------------------------------------------------------


def mine(examples: Sequence[Example], most: int = 8, least: int = 2) -> dict[str, list[tuple[int, Template]]]:
    """For each relation the words that most often stand between head and tail, as templates that ask for the tail.

    Args:
        examples: relation examples with head and tail.
        most: words between the two, at most; a longer stretch says too much else.
        least: examples in which a template must have stood.
    Returns: label -> (how often, template), the commonest first.

    >>> said = [Example("Ada was born in Rome.", label="born", meta={"head": [0, 3], "tail": [16, 20]})] * 2
    >>> mine(said)
    {'born': [(2, Template('{head} was born in {mask}.'))]}
    """
    counts: dict[str, Counter[str]] = {}
    for example in examples:
        (a, b), (c, d) = example.meta["head"], example.meta["tail"]
        middle = example.text[b:c] if b <= c else example.text[d:a]
        if middle.strip() and len(middle.split()) <= most:
            literal = str(Part("literal", middle))
            source = f"{{head}}{literal}{{mask}}." if b <= c else f"{{mask}}{literal}{{head}}."
            counts.setdefault(str(example.label), Counter())[source] += 1
    return {label: [(count, Template(source)) for source, count in counter.most_common() if count >= least] for label, counter in sorted(counts.items())}


def paraphrase(template: Template, t5: nn.Module, tokenizer: Any, examples: Sequence[Example], answers: Sequence[str], beams: int = 5, longest: int = 6) -> Ranked:
    """A template in other words: each stretch of one or two of its words is cut out in turn, and T5 fills the gap.

    Args:
        template: with words to be replaced.
        t5, tokenizer: who fills.
        examples: texts around which the new words must be likely.
        answers: what stands at the mask of each example (its label word, say).
        beams: fillings of each gap.
        longest: most tokens of one.
    Returns: (mean log p of the new words, template), the likeliest first, without the template itself.
    """
    _writes(t5)
    template.with_masks(1)  # complains about several gaps
    found: Ranked = []
    literals = [(place, str(part).split()) for place, part in enumerate(template.parts) if part.kind == "literal"]
    stretches = [(place, words[:first], words[last:]) for place, words in literals for first in range(len(words)) for last in (first + 1, first + 2) if last <= len(words)]
    for place, before, after in progress(stretches, description="T5 rewrites", unit="stretch"):
        answered = [Part("meta", ANSWER) if part.kind == "mask" else part for part in template.parts]
        sources = _sources(_with(answered, place, [*before, "{mask}", *after]), t5, tokenizer, examples, answers)
        for score, (ids,) in fill_gaps(t5, tokenizer, sources, gaps=1, beams=beams, longest=longest):
            said = str(Part("literal", tokenizer.decode(ids, skip_special_tokens=True))).split()
            found.append((score / len(sources), _with(template.parts, place, [*before, *said, *after])))
    found.sort(key=lambda row: -row[0])
    return [row for row in _distinct(found) if row[1].words.lower() != template.words.lower()]


def _with(parts: Sequence[Part], place: int, words: Sequence[str]) -> Template:
    """A template with other words (in its own language) in one of its literals, the spaces around them as they were; a word is never glued to a gap."""
    old = parts[place].value
    left, right = old[: len(old) - len(old.lstrip())], old[len(old.rstrip()) :]
    left = " " if place and not left and words and words[0][:1].isalnum() else left
    written = left + " ".join(words) + right if words else " "
    return Template("".join(written if i == place else str(part) for i, part in enumerate(parts)))
