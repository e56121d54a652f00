"""Prompt-learning: put a task into words, so that it asks for what pre-training has taught.

    p(y | x) = softmax over y of s(words of y at [MASK] of T(x))        Schick and Schuetze 2020 (PET)

    template       T: text with gaps, parsed; one template for all three families of models
    render         template and example -> token ids, masks, soft tokens; what is cut where the text is too long
    explain        what a model reads of an example, and what is probably wrong with a template
    learner        template, model and verbalizer in the one training loop
    verbalizer     words of labels -> scores of labels
    answers        answers of any length: chunks, sentences, choices
    decompose      a label as several words at several masks
    expand         words found by the model: from a first word, or from a few examples
    knowledge      words from a knowledge base, refined
    label_vectors, prototypes      labels that are no words
    calibrate      take off what a prompt prefers before it has read anything
    soft           tokens that stand for no word
    rules          prompts of several conditions, joined by "and"
    search, autoprompt, policy      templates found: by T5, by gradients, by rewards
    candidates     the one door to these searches
    wording        how a template reads, and whether pre-training has said its words
    ensemble, demonstrations        several templates answer together; answered examples in front
    context, incontext              description, answered examples and question as one text; who answers it: nothing trains
    structured     one schema of keys for questions of every format
    builtin, learners      templates of the built-in tasks; from one line to a learner
    bars           what stands at the mask, drawn
"""

from minidelta.prompt.answers import AnswerLearner, Answers
from minidelta.prompt.calibrate import calibrate
from minidelta.prompt.decompose import DecomposedVerbalizer
from minidelta.prompt.ensemble import Ensemble
from minidelta.prompt.explain import explain, lint
from minidelta.prompt.incontext import InContextLearner, InContextWriter
from minidelta.prompt.knowledge import KnowledgeVerbalizer
from minidelta.prompt.label_vectors import LabelVectors
from minidelta.prompt.learner import PromptLearner
from minidelta.prompt.learners import in_context, prompt_learner
from minidelta.prompt.prototypes import Prototypes
from minidelta.prompt.render import Renderer
from minidelta.prompt.structured import StructuredLearner
from minidelta.prompt.template import Template, choose_template, load_templates
from minidelta.prompt.verbalizer import Verbalizer, WordVerbalizer

__all__ = [
    "AnswerLearner", "Answers", "DecomposedVerbalizer", "Ensemble", "InContextLearner", "InContextWriter", "KnowledgeVerbalizer", "LabelVectors", "PromptLearner", "Prototypes", "Renderer", "StructuredLearner",
    "Template", "Verbalizer", "WordVerbalizer", "calibrate", "choose_template", "explain", "in_context", "lint", "load_templates", "prompt_learner",
]  # fmt: skip
