"""`minidelta plan`: what a method would take on any model."""

import argparse
from pathlib import Path

from minidelta.cli.words import answer, natural, share, whole

HELP = "reckon what a method would take on any model: memory, storage and work, beside full tuning"
EXAMPLES = """examples:
  minidelta plan --model bert-base-uncased --method lora --tasks 1000
  minidelta plan --model gpt2-xl --method lora,bitfit,prefix --batch 8 --length 512
  minidelta plan --model t5-11b --method lora --length 512 --target-length 64 --dtype bfloat16 --figure t5.png
  minidelta plan --model 175B --method lora --rank 4 --tasks 1000 --json
  minidelta plan --model FOLDER --method lst      a folder with config.json; the weights need not be there

Nothing is loaded or downloaded for bert-base-uncased, bert-large-uncased, roberta-base, roberta-large, gpt2, gpt2-medium,
gpt2-large, gpt2-xl, t5-small, t5-base, t5-large, t5-3b, t5-11b, flan-t5-small, flan-t5-base, and 175B (GPT-3), or with
their owner on the hub, as in google/flan-t5-small.  Full tuning stands beside each method.  Deltas have their default
settings; only --rank can be changed.
"""


def arguments(command: argparse.ArgumentParser) -> None:
    """The words it understands."""
    command.add_argument("--model", required=True, help="a published name (below), an embedded one, or a folder with config.json")
    command.add_argument("--method", action="append", metavar="X", help="full, head or a delta; again, or with commas, for several (default lora; `minidelta list methods`)")
    command.add_argument("--tasks", type=natural, default=1, metavar="N", help="tasks to keep on the disk (default 1)")
    command.add_argument("--batch", type=natural, default=8, metavar="B", help="texts in a step (default 8)")
    command.add_argument("--length", type=natural, default=512, metavar="T", help="tokens of a text (default 512)")
    command.add_argument("--target-length", type=natural, metavar="T", help="tokens that T5's decoder reads (default: as many)")
    command.add_argument("--classes", type=whole, metavar="C", help="of a new head; 0: the loss scores the vocabulary at every token (default: 2 for an encoder, 0 for the others)")
    command.add_argument("--optimizer", default="adamw", metavar="O", help="adamw (default), adam, sgd, adagrad or adadelta")
    command.add_argument("--dtype", default="float32", metavar="D", help="float32 (default), or bfloat16 with float32 moments")
    command.add_argument("--dropout", type=share, metavar="P", help="share of units dropped while training (default: the model's own; with 0 attention keeps far less)")
    command.add_argument("--rank", type=natural, metavar="R", help="of the methods that have one (default: their own)")
    command.add_argument("--figure", type=Path, metavar="FILE", help="draw it, too: .png, .svg or .pdf")


def call(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    from minidelta import plan

    if options.figure:
        plan.drawable(options.figure)  # before anything is reckoned
    methods = [name.strip() for words in options.method or ["lora"] for name in words.split(",") if name.strip()]
    found = plan.plan(
        options.model, methods, batch_size=options.batch, length=options.length, target_length=options.target_length, classes=options.classes,
        tasks=options.tasks, optimizer=options.optimizer, dtype=options.dtype, dropout=options.dropout, rank=options.rank,
    )  # fmt: skip
    if options.figure:
        plan.figure(found, options.figure)
    answer(options, found | {"figure": str(options.figure) if options.figure else None}, plan.report(found))
    return 0
