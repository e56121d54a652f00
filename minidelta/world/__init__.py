"""The embedded language: a seeded world of people, places and things, its documents and its tasks.

    lexicon     words and names, in groups; a quarter of each labelled group is held out from task training
    facts       who lives in the world and what is true of them: three populations with no one in common
    grammar     sentence forms with slots and alternatives; inflections
    forms       every sentence form, at one of three levels: told, taught, held
    reviews, news, events, relations, french      one chapter of the language each
    documents   what models read in pre-training
    tasks       what they are taught and tested on

What keeps a test honest: pre-training reads forms of the level `told` about the population `told`; task training
adds the level `taught` and has people of its own; the test has the levels `taught` and `held`, other people again,
and held-out words.  `tests/world/test_honesty.py` proves it.

`WORLD_VERSION` names the state of the language that the embedded checkpoints were trained on.  What a checkpoint has
read must not change under it: a later need is added under a new name, never by editing what stands.

>>> from itertools import islice
>>> [document.kind for document in islice(documents(3), 3)]
['review', 'review', 'inference']
>>> sorted(task_records("entailment", "test")[0])
['label', 'text', 'text_b']
"""

WORLD_VERSION = 1

from .documents import Document, documents  # noqa: E402
from .tasks import TASKS, TaskInfo, task_records  # noqa: E402

__all__ = ["WORLD_VERSION", "Document", "documents", "TASKS", "TaskInfo", "task_records"]
