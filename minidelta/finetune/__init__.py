"""Fine-tuning: a learner for every kind of task and every family of model, and one recipe to train it.

    kind             BERT                          GPT                          T5
    classification   head on [CLS]                 head on the last token       text to text
    relation         head on the entity starts     head on the last token       text to text
    tagging          head on first pieces          head on last pieces          text to text
    extraction       start and end of the span     writes the answer            text to text
    choice           one branch per choice         one branch per choice        text to text
    generation       cannot                        writes the answer            text to text

GPT reads a pair whose texts may be exchanged in both orders.
"""

from minidelta.finetune.learner import Learner
from minidelta.finetune.learners import learner_for
from minidelta.finetune.run_folder import Run, load_run, read_example, save_run
from minidelta.finetune.training import Result, parameter_groups, train_task

__all__ = ["Learner", "Result", "Run", "learner_for", "load_run", "parameter_groups", "read_example", "save_run", "train_task"]
