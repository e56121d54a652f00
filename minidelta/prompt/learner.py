"""The prompt learner: template, model, verbalizer, in the one training loop of every chapter.

    p(y | x) = softmax over y of s(V_y at [MASK] of T(x))            loss = -log p(y | x)

Schick and Schuetze 2020; they add a language-model loss on unlabelled text, which is left out here.
Nothing is said about what trains: nothing at all (zero-shot), soft tokens and label vectors alone, a delta, or every parameter.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.data import Example, Task
from minidelta.errors import PromptError
from minidelta.learner import IGNORED, Batch, Item, Learner
from minidelta.prompt.explain import Explanation, explain, lint
from minidelta.prompt.render import Renderer
from minidelta.prompt.soft import SoftTokens
from minidelta.prompt.template import Template
from minidelta.prompt.verbalizer import Verbalizer, WordVerbalizer, words_from_names


SOFT_RATE = 0.1  # of soft tokens, found on the embedded models: at a head's rate they look dead


class PromptLearner(Learner):
    """Classification through a template and a verbalizer, with BERT, GPT or T5.

    Args:
        template: a `Template`, or its source.
        verbalizer: from the masks to label scores; default the names of the labels.
        encoder: of soft tokens, see `SoftTokens`.
        prior: [C] to be taken off the scores, see `calibrate.py`.
        settings: as of `Learner`.
    Raises: PromptError if the template does not suit the family, or the label words do not suit the tokenizer.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> model, tokenizer, task = load_model("bert-nano"), load_tokenizer("bert-nano"), load_task("sentiment", shots=4)
    >>> learner = PromptLearner(model, tokenizer, task, "{text_a|shorten} It was {mask}.", WordVerbalizer({"negative": ["bad"], "positive": ["good"]}))
    >>> learner.score(task.train[:3]).shape
    torch.Size([3, 2])
    """

    needed = Learner.needed | {"decoder": ()}  # nothing ends a prompt that GPT goes on from

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        task: Task,
        template: Template | str,
        verbalizer: Verbalizer | None = None,
        *,
        encoder: str = "none",
        prior: Sequence[float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(model, tokenizer, task, **settings)
        if not task.labels and task.kind != "choice":
            raise PromptError(f"The task {task.name!r} has no labels to put into words; it is a {task.kind} task.")
        self.template = template if isinstance(template, Template) else Template(template)
        self.renderer = Renderer(self.template, tokenizer, self.shape, self.max_length, start=model.config.decoder_start_token_id)
        self.prior = None if prior is None else torch.tensor(prior, device=model.device)
        self.encoder, self.soft = encoder, None
        if self.template.softs:
            self.soft = SoftTokens(self.template, model, tokenizer, encoder, seed=self.seed)
        self.hang()
        self.use(verbalizer or WordVerbalizer(words_from_names(task.labels)))

    def use(self, verbalizer: Verbalizer) -> None:
        """Take another verbalizer: look its words up, and count what it trains with the soft tokens as the task's own."""
        if verbalizer.labels != self.task.labels:
            raise PromptError(f"The verbalizer has the labels {', '.join(verbalizer.labels)}, and the task {', '.join(self.task.labels)}.")
        masks = sum(part.count for part in self.template.masks) if self.shape == "encoder" else 1
        self.verbalizer = verbalizer.bind(self.model, self.tokenizer, self.template.mask_spaced(), masks)
        trained = {name: module for name, module in (("soft", self.soft), ("verbalizer", verbalizer if verbalizer.trains else None)) if module is not None}
        self.head = nn.ModuleDict(trained) if trained else None
        self.rate = SOFT_RATE if self.soft is not None else None

    def make_room(self, vectors: int) -> None:
        super().make_room(vectors)
        self.renderer.room = min(self.renderer.room, self.max_length)

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        """An item knows its ids, its soft rows and where its answer is read."""
        items = []
        for example, seen in zip(examples, self.renderer(examples)):
            self.truncated += bool(seen.cut)
            masks = [place for places in seen.masks for place in places]
            items.append({"ids": seen.ids, "types": seen.types, "soft": seen.soft, "masks": masks, "decoder": seen.decoder, "size": len(seen.ids), "label": self.label_number(example)})
        return items

    def pad(self, items: Sequence[Item]) -> Batch:
        batch = super().pad(items)
        batch |= {"masks": self.rows([item["masks"] for item in items], 0), "labels": self.rows([[item["label"]] for item in items], IGNORED)[:, 0]}  # [B,M], [B]
        if self.soft is not None:
            batch["soft"] = self.rows([item["soft"] for item in items], -1)  # [B,T]
        if self.shape == "encoder-decoder":
            batch["inputs"]["decoder_input_ids"] = self.rows([item["decoder"] for item in items], 0)
        return batch

    def hidden(self, batch: Batch) -> Tensor:
        self.hang()
        if self.soft is not None:
            self.soft.which = batch["soft"]
        return super().hidden(batch)

    def hang(self) -> None:
        """Let our soft tokens hang in the model, and no other template's: one model serves several learners in turn."""
        parts = (self.model.encoder if self.shape == "encoder-decoder" else self.model).embed_out.parts
        if self.soft is not None:
            parts["prompt"] = self.soft
        elif "prompt" in parts:
            del parts["prompt"]

    def at_masks(self, batch: Batch) -> Tensor:
        """The last hidden states where the answer is read [B,M,D]."""
        hidden = self.hidden(batch)
        return hidden[torch.arange(len(hidden), device=hidden.device)[:, None], batch["masks"]]

    def scores(self, batch: Batch) -> Tensor:
        """Scores of the labels [B,C]; their softmax is p(y | x)."""
        scores = self.verbalizer(self.at_masks(batch), self.model.lm_logits)
        return scores if self.prior is None else scores - self.prior

    def loss(self, batch: Batch) -> Tensor:
        if self.prior is None:
            return self.verbalizer.loss(self.at_masks(batch), self.model.lm_logits, batch["labels"])
        return F.cross_entropy(self.scores(batch), batch["labels"], ignore_index=IGNORED)

    def answers(self, batch: Batch) -> list[str]:
        return [self.task.labels[best] for best in self.scores(batch).argmax(-1).tolist()]

    @torch.no_grad()
    def score(self, examples: Sequence[Example], batch_size: int = 64) -> Tensor:
        """Label scores of any examples, in order and without dropout [N,C]."""
        items = self.encode(examples)
        with self.resting():
            return torch.cat([self.scores(self.pad(items[start : start + batch_size])) for start in range(0, len(items), batch_size)])

    @torch.no_grad()
    def log_p(self, examples: Sequence[Example], batch_size: int = 64) -> Tensor:
        """What the model expects at the first mask: log p of every piece of the vocabulary, in order and without dropout [N,V]."""
        items = self.encode(examples)
        with self.resting():
            return torch.cat([self.model.lm_logits(self.at_masks(self.pad(items[start : start + batch_size]))[:, 0]).float().log_softmax(-1) for start in range(0, len(items), batch_size)])

    def explain(self, example: Example, answer: str | None = None) -> Explanation:
        """What the model reads of an example; see `explain.py`."""
        return explain(self.renderer, example, answer)

    def lint(self, examples: Sequence[Example] | None = None) -> list[str]:
        """What is probably wrong with template and label words; see `explain.py`."""
        found = lint(self.renderer, getattr(self.verbalizer, "label_words", None), self.task.train[:50] if examples is None else examples, split=False)
        masks = sum(part.count for part in self.template.masks)
        if masks > 1 and isinstance(self.verbalizer, WordVerbalizer) and self.verbalizer.tokens != "product":
            found.append(f"The template has {masks} masks, and these label words are read at the first of them.")
        return found

    def settings(self) -> dict[str, Any]:
        prior = None if self.prior is None else self.prior.tolist()
        return super().settings() | {"template": self.template.source, "verbalizer": self.verbalizer.settings(), "encoder": self.encoder, "prior": prior}
