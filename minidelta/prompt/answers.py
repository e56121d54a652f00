"""Answers of any length: chunks and sentences, scored by what the model makes of each as a whole.

    s(v | x) = sum_t log p(v_t | v_<t, T(x))          divided by the number of tokens if normalise = "mean"

GPT and T5 read the answer up to t and say how likely token t is (teacher forcing).  BERT gets as many masks as the answer has
tokens and is asked for each of them at once, so its tokens do not know of one another (Schick and Schuetze 2021 fill them one by one
instead, the surest first, with one pass of the model for each).

Choice tasks are answered in the same way: there the answers differ from example to example.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.data import Example, Task
from minidelta.errors import PromptError
from minidelta.learner import IGNORED, Batch, Item
from minidelta.prompt.learner import PromptLearner
from minidelta.prompt.render import Renderer
from minidelta.prompt.template import Template
from minidelta.prompt.verbalizer import Verbalizer, check_words, join_words, word_tokens, words_from_names

NORMALISE = ("sum", "mean")


class Answers(Verbalizer):
    """The words of the labels as they are, of any length; `AnswerLearner` scores them.

    Args:
        label_words: label -> its answers; empty for a choice task.
        words: how several answers of a label count together, see `verbalizer.py`.
        normalise: "sum" of log p over tokens, or their "mean", which does not favour short answers.
    """

    def __init__(self, label_words: Mapping[str, Sequence[str]], words: str = "mean", normalise: str = "sum") -> None:
        super().__init__(list(label_words))
        if normalise not in NORMALISE:
            raise PromptError(f"Answers are not normalised by {normalise!r}; choose sum or mean.")
        self.label_words, self.words, self.normalise = check_words(label_words) if label_words else {}, words, normalise
        self.flat = [word for words_ in self.label_words.values() for word in words_]
        self.owner = torch.tensor([number for number, words_ in enumerate(self.label_words.values()) for _ in words_], dtype=torch.long)

    def bind(self, model: nn.Module, tokenizer: Any, spaced: bool, masks: int) -> "Answers":
        self.owner, self.spaced = self.owner.to(model.token_embedding.weight.device), spaced
        return self

    def forward(self, hidden: Tensor, lm_logits: Callable[[Tensor], Tensor]) -> Tensor:
        """Not possible: each answer needs a row of its own, and a batch of texts has one for each text."""
        raise PromptError("Answers that are read as a whole are not scored at the masks of one row; make the learner by AnswerLearner or prompt_learner, and ask its scores(batch).")

    def settings(self) -> dict[str, Any]:
        return {"label_words": self.label_words, "tokens": "span", "words": self.words, "normalise": self.normalise}


class AnswerLearner(PromptLearner):
    """A prompt learner that reads every answer in full: one row of the batch for each answer of each example.

    Args:
        model, tokenizer, task, template: as of `PromptLearner`; the task may be a choice task.
        verbalizer: `Answers`; default the names of the labels.
        settings: as of `PromptLearner`.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> learner = AnswerLearner(load_model("gpt-nano"), load_tokenizer("gpt-nano"), load_task("analogy", shots=2), "{text_b} {mask}")
    >>> learner.score(learner.task.train).shape
    torch.Size([2, 4])
    """

    def __init__(self, model: nn.Module, tokenizer: Any, task: Task, template: Template | str, verbalizer: Answers | None = None, **settings: Any) -> None:
        self.choosing = task.kind == "choice"
        verbalizer = verbalizer or Answers({} if self.choosing else words_from_names(task.labels))
        super().__init__(model, tokenizer, task, template, verbalizer, **settings)
        self.template.with_masks(1)  # complains about several gaps
        self.renderers: dict[int, Renderer] = {}

    def renderer_for(self, answer: list[int]) -> Renderer:
        """BERT: as many masks as the answer has tokens; GPT: as much room; T5: always the same."""
        length = 0 if self.shape == "encoder-decoder" else len(answer)
        if length not in self.renderers:
            template = self.template.with_masks(length) if self.shape == "encoder" else self.template
            self.renderers[length] = Renderer(template, self.tokenizer, self.shape, self.max_length, reserve=length, start=self.model.config.decoder_start_token_id)
        return self.renderers[length]

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        """An item holds one branch for each of its answers."""
        fixed = [word_tokens(word, self.tokenizer, self.verbalizer.spaced) for word in self.verbalizer.flat]
        answers = [[word_tokens(str(choice), self.tokenizer, self.verbalizer.spaced) for choice in example.meta["choices"]] if self.choosing else fixed for example in examples]
        wanted: dict[Renderer, dict[int, None]] = {}
        for place, own in enumerate(answers):
            for answer in own:
                wanted.setdefault(self.renderer_for(answer), {})[place] = None
        seen = {(renderer, place): rendered for renderer, places in wanted.items() for place, rendered in zip(places, renderer([examples[place] for place in places]))}
        items = []
        for place, (example, own) in enumerate(zip(examples, answers)):
            branches = [self._branch(seen[self.renderer_for(answer), place], answer) for answer in own]
            self.truncated += any(branch["cut"] for branch in branches)
            label = (IGNORED if example.label is None else int(example.label)) if self.choosing else self.label_number(example)
            items.append({"branches": branches, "size": max(len(branch["ids"]) for branch in branches), "label": label})
        return items

    def _branch(self, seen: Any, answer: list[int]) -> Item:
        """One row: the prompt with the answer where the family reads it, and the places at which its tokens are scored."""
        ids, types, soft, decoder, places = seen.ids, seen.types, seen.soft, seen.decoder, seen.masks[0]
        if self.shape == "decoder":
            places = [len(ids) - 1 + t for t in range(len(answer))]
            ids, types, soft = ids + answer[:-1], types + [0] * (len(answer) - 1), soft + [-1] * (len(answer) - 1)
        elif self.shape == "encoder-decoder":
            places = [1 + t for t in range(len(answer))]
            decoder = decoder + answer[:-1]
        return {"ids": ids, "types": types, "soft": soft, "decoder": decoder, "masks": places, "answer": answer, "cut": bool(seen.cut), "label": IGNORED}

    def pad(self, items: Sequence[Item]) -> Batch:
        branches = [branch for item in items for branch in item["branches"]]
        counts = [len(item["branches"]) for item in items]
        batch = super().pad(branches)
        return batch | {
            "answers": self.rows([branch["answer"] for branch in branches], IGNORED),  # [rows, longest answer]
            "where": self.rows([[row, column] for row, count in enumerate(counts) for column in range(count)], 0),
            "table": (len(items), max(counts)),
            "labels": self.rows([[item["label"]] for item in items], IGNORED)[:, 0],
        }

    def scores(self, batch: Batch) -> Tensor:
        """Scores of labels [B,C], or of choices [B, most choices] with -inf where an example has fewer."""
        log_p = self.model.lm_logits(self.at_masks(batch)).float().log_softmax(-1)  # [rows,L,V]
        real = batch["answers"] != IGNORED
        each = log_p.gather(-1, batch["answers"].clamp(min=0)[..., None])[..., 0].masked_fill(~real, 0.0).sum(-1)  # [rows]
        if self.verbalizer.normalise == "mean":
            each = each / real.sum(-1)
        rows, columns = batch["where"].unbind(-1)
        scores = torch.full(batch["table"], -torch.inf, device=each.device).index_put((rows, columns), each)
        if not self.choosing:
            scores = join_words(scores, self.verbalizer.owner, len(self.task.labels), self.verbalizer.words)
        return scores if self.prior is None else scores - self.prior

    def loss(self, batch: Batch) -> Tensor:
        return F.cross_entropy(self.scores(batch), batch["labels"], ignore_index=IGNORED)

    def answers(self, batch: Batch) -> list:
        best = self.scores(batch).argmax(-1).tolist()
        return best if self.choosing else [self.task.labels[place] for place in best]
