"""Which learner suits which model and task: one plain chain of ifs."""

from typing import Any

from torch import nn

from minidelta.data import Task
from minidelta.errors import TaskError
from minidelta.finetune.choice import Chooser
from minidelta.finetune.classify import Classifier
from minidelta.finetune.extract import Extractor
from minidelta.finetune.learner import Learner
from minidelta.finetune.relation import RelationClassifier
from minidelta.finetune.similarity import SimilarityClassifier
from minidelta.finetune.tagging import Tagger
from minidelta.finetune.text2text import TextToText


def learner_for(model: nn.Module, tokenizer: Any, task: Task, **settings: Any) -> Learner:
    """The learner that suits a model and a task.

    Args:
        model: a Transformer of any shape.
        tokenizer: its own.
        task: of any kind.
        settings: as of the learner: seed, max_length, lm_weight (GPT), answer_length (text to text), representation
            (with BERT: of a text, or of the pair of entities).
    Raises: TaskError where the family cannot do the task, with the family that can.
    """
    shape, kind = model.config.shape, task.kind
    if "representation" in settings and (kind not in ("classification", "relation") or shape != "encoder"):
        raise TaskError(f"A representation belongs to the classification of texts or relations with a BERT; {task.name!r} is a {kind} task and the model an {shape}. Leave it out.")
    if shape == "encoder-decoder":
        return TextToText(model, tokenizer, task, **settings)
    if kind == "relation" and shape == "encoder":
        return RelationClassifier(model, tokenizer, task, **settings)
    if kind == "classification" and task.symmetric and shape == "decoder":
        return SimilarityClassifier(model, tokenizer, task, **settings)
    if kind in ("classification", "relation"):
        return Classifier(model, tokenizer, task, **settings)
    if kind == "tagging":
        return Tagger(model, tokenizer, task, **settings)
    if kind == "choice":
        return Chooser(model, tokenizer, task, **settings)
    if kind == "extraction" and shape == "encoder":
        return Extractor(model, tokenizer, task, **settings)
    if kind in ("extraction", "generation") and shape == "decoder":
        return TextToText(model, tokenizer, task, **settings)
    if kind == "generation":
        raise TaskError(f"BERT reads and does not write, so it cannot do the generation task {task.name!r}. Take a GPT or a T5, such as t5-micro.")
    raise TaskError(f"The task {task.name!r} is of the kind {kind!r}, which no learner knows. Known kinds: classification, relation, tagging, extraction, choice, generation.")
