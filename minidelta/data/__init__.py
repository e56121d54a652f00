"""From raw records to examples: built-in tasks, a person's own files, data sets of the hub; few shots; baselines."""

from minidelta.data.example import Example
from minidelta.data.fewshot import at_most, few_shot
from minidelta.data.huggingface import from_dataset, to_dataset
from minidelta.data.lists import function_task, new_task
from minidelta.data.readers import Columns, Skipped, read_examples
from minidelta.data.tasks import Task, load_task

__all__ = ["Columns", "Example", "Skipped", "Task", "at_most", "few_shot", "from_dataset", "function_task", "load_task", "new_task", "read_examples", "to_dataset"]
