"""Pre-training: how the embedded BERT, GPT and T5 came to be, and how to make one from your own text.

    recipes.py   the table: which model, how many steps, which lengths, which learning rate
    corpus.py    where documents come from: the embedded world, or a text file of yours
    rows.py      from documents to rows of token ids of like length
    masked.py    BERT: masked words, and whether two segments belong together
    causal.py    GPT: the next token
    spans.py     T5: the missing spans, and text to text
    run.py       `pretrain`: put these together, keep a record, survive an interruption
"""

from minidelta.pretrain.recipes import RECIPES, Recipe
from minidelta.pretrain.run import pretrain

__all__ = ["RECIPES", "Recipe", "pretrain"]
