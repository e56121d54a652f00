"""Text to text: every task is read and answered in words (Raffel et al. 2020).

    L = - sum_t log p(y_t | y_<t, x)        teacher forcing: the decoder reads the right answer while it learns

T5's encoder reads x and its decoder writes y; GPT reads x and goes on with y, and only y counts in its loss
(Radford et al. 2018 keep all tokens).  At test time the answer is generated greedily and read back; words that mean
nothing for the task are a wrong answer.
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.data import Example
from minidelta.finetune.formats import gpt_prompt, read_answer, t5_source, target_text
from minidelta.finetune.learner import IGNORED, Batch, Item, Learner

LONGEST_ANSWER = 64  # tokens, whatever the training answers are


class TextToText(Learner):
    """Answers any task in words; for T5 all tasks, for GPT those whose answer is a text.

    Args:
        answer_length: most tokens written; default the longest answer of the task's training part and its end.
        settings: as of `Learner`.

    It brings no head of its own: its output layer is the language model's.  When the backbone is frozen
    (method "head") that layer trains alone; if it shares its weight with the embedding, it gets a copy of its own.
    """

    def __init__(self, *args: Any, answer_length: int | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.format = t5_source if self.shape == "encoder-decoder" else gpt_prompt
        labels = [label for label in self.task.labels] if self.task.kind != "tagging" else []
        known = self.tokens([target_text(self.task, example) for example in self.task.train] + labels)
        self.answer_length = answer_length or min(LONGEST_ANSWER, 1 + max(map(len, known), default=LONGEST_ANSWER))

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        segments = [self.format(self.task, example) for example in examples]
        pieces = iter(self.tokens([text for parts in segments for text, _ in parts]))
        has_target = [example.target is not None for example in examples]
        answers = iter(self.tokens([target_text(self.task, example) for example, has in zip(examples, has_target) if has]))
        return [self._item(example, [(next(pieces), cut) for _, cut in parts], next(answers) if has else []) for example, parts, has in zip(examples, segments, has_target)]

    def _item(self, example: Example, parts: list[tuple[list[int], bool]], answer: list[int]) -> Item:
        """The input with only its long texts cut, and the answer with its end."""
        end = [self.tokenizer.eos_token_id]
        room = self.max_length - (1 if self.shape == "encoder-decoder" else self.answer_length) - sum(len(ids) for ids, cut in parts if not cut)
        kept = iter(self.shorten([ids for ids, cut in parts if cut], max(0, room)))
        ids = [token for ids, cut in parts for token in (next(kept) if cut else ids)]
        ids += end if self.shape == "encoder-decoder" else []
        return {"ids": ids, "size": len(ids), "answer": answer[: self.answer_length - 1] + end, "example": example}

    def pad(self, items: Sequence[Item]) -> Batch:
        """What teacher forcing needs: the answer shifted right as input, and the places where it is to be said."""
        answers = [item["answer"] for item in items]
        if self.shape == "encoder-decoder":
            start = self.model.config.decoder_start_token_id
            batch = self.pad_rows([item["ids"] for item in items])
            batch["inputs"]["decoder_input_ids"] = self.rows([[start, *answer[:-1]] for answer in answers], self.tokenizer.pad_token_id)
            width, before = max(map(len, answers)), [0] * len(items)
        else:
            batch = self.pad_rows([item["ids"] + item["answer"][:-1] for item in items])
            width, before = max(len(item["ids"] + item["answer"]) - 1 for item in items), [len(item["ids"]) - 1 for item in items]
        places = [row * width + first + t for row, (first, answer) in enumerate(zip(before, answers)) for t in range(len(answer))]
        targets = [token for answer in answers for token in answer]
        return batch | {"places": self.rows([places], 0)[0], "targets": self.rows([targets], IGNORED)[0], "items": items}

    def loss(self, batch: Batch) -> Tensor:
        spoken = self.hidden(batch).flatten(0, 1)[batch["places"]]  # [B,T,D] -> [answer tokens, D]
        return F.cross_entropy(self.model.lm_logits(spoken), batch["targets"])

    def answers(self, batch: Batch) -> list:
        return [read_answer(self.task, item["example"], text) for item, text in zip(batch["items"], self.write(batch))]

    def write(self, batch: Batch) -> list[str]:
        """The words that the model answers with."""
        left = self.shape == "decoder"
        ids = [item["ids"] for item in batch["items"]]
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.tokenizer.eos_token_id
        mask = self.rows([[1] * len(row) for row in ids], 0, left)
        written = self.model.generate(self.rows(ids, pad, left), mask, max_new_tokens=self.answer_length, eos_token_id=self.tokenizer.eos_token_id, pad_token_id=pad)
        answers = written[:, max(map(len, ids)) :] if left else written[:, 1:]  # without the prompt, or the start token
        return self.tokenizer.batch_decode(answers, skip_special_tokens=True)

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"answer_length": self.answer_length}

    def open_head(self) -> list[nn.Parameter]:
        """The output layer; a tied one gets its own copy, so that the embedding stays as it is."""
        head = self.model.lm_head
        if head.weight is None:
            head.weight = nn.Parameter(self.model.token_embedding.weight.detach().clone())
        self.head = head
        return self.parameters()
