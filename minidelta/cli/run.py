"""`minidelta run`: train and evaluate a method on a task."""

import argparse
import sys
from pathlib import Path

from minidelta.cli.words import answer, natural, rate, whole
from minidelta.errors import ConfigError

HELP = "train and evaluate a method on a task"
EXAMPLES = """examples:
  minidelta run --model bert-micro --task sentiment --method lora
  minidelta run --model gpt-nano --task topic --method head --shots 16 --seed 1
  minidelta run --model bert-micro --task reviews.csv --method full --text-column review --label-column stars
  minidelta run --model t5-micro --task translation --method lora --out runs/french --json
  minidelta run --model bert-micro --task sentiment --method prompt --shots 16
  minidelta run --model gpt-micro --task reviews.csv --method prompt --tune none --template '{text_a|shorten} It was {mask}' --verbalizer 'bad=bad,awful;fine=good'
  minidelta run --model bert-micro --task sentiment --method prompt --shots 16 --search lm-bff --out runs/found
  minidelta run --model gpt-icl-mini --task words.csv --method incontext --shots 4 --template arrow
  minidelta run --model gpt-micro --task sentiment --method incontext --shots 8 --calibrate contextual
  minidelta run --model bert-base-uncased --task hub:mnli --method lora --limit 2000
  minidelta run --model gpt-micro --task translation --method incontext --shots 4 --description 'Translate English to French:'

hub:NAME is a data set of the Hugging Face hub: sst2, mnli, ag_news, semeval, squad, wmt14:de-en and wmt16:ro-en are known by
name, in either direction of languages, and of any other NAME[text=COLUMN,label=COLUMN] says which columns are meant.
A file holds `text`, optional `text_b`, and `label`, as JSON lines, CSV or TSV; a folder holds train, validation
and test files.  What cannot be used is told with file and line; --strict stops there.
"""


def arguments(command: argparse.ArgumentParser) -> None:
    """The words it understands."""
    command.add_argument("--model", required=True, help="an embedded name, a Hugging Face folder, or a hub name")
    command.add_argument("--task", required=True, help="a built-in name, your .jsonl / .csv / .tsv file or folder, or hub:NAME")
    command.add_argument("--method", default="lora", help="full, head, prompt, incontext, lora, ... (default lora; `minidelta list methods`)")
    command.add_argument("--shots", type=whole, metavar="K", help="train on K examples per class (default: all); with --method incontext: K examples in all stand before the question (default 8)")
    command.add_argument("--limit", type=natural, metavar="N", help="take at most N records of each part, drawn by the seed, to try a large data set; none of its labels gets lost (default: all)")
    command.add_argument("--seed", type=whole, default=0, help="of draws, splits and weights (default 0)")
    command.add_argument("--steps", type=natural, help="updates (default: by the task's size)")
    command.add_argument("--lr", type=rate, help="peak learning rate (default: the method's own)")
    command.add_argument("--batch-size", type=natural, metavar="B", help="examples per update (default 32)")
    command.add_argument("--representation", metavar="R", help="what BERT's head reads; of a text: cls (default), mean; of an entity pair: cls, mention-pooling, mention-types, markers-cls, markers-pooling, entity-start (default)")
    command.add_argument("--template", metavar="T", help="with --method prompt: the template, such as '{text_a|shorten} It was {mask}', a built-in name (`minidelta list templates`), or FILE#NAME; with --method incontext: arrow, question, label, pair, passage, relation, or the template of one question")
    command.add_argument("--verbalizer", metavar="V", help="label words, such as 'negative=bad,awful;positive=good', or a .json file (default: the task's own, or the names of the labels)")
    command.add_argument("--tokens", metavar="W", help="how label words of several tokens count: strict (default), first, mean, max, product, span; knowledge: more words from the lexicon; vectors or prototypes: in place of words")
    command.add_argument("--tune", default="full", metavar="X", help="what of a prompt trains: full (default), soft, none (zero-shot), or a delta such as lora")
    command.add_argument("--calibrate", metavar="C", help="take off what a prompt prefers by itself: contextual, domain, pmi or batch")
    command.add_argument("--search", metavar="S", help="look for a better template, validation examples decide: choose (among those of a file, or built in), lm-bff, paraphrase, autoprompt or policy")
    command.add_argument("--writer", metavar="M", help="the T5 that writes for lm-bff and paraphrase (default: the model if it is one, else t5-micro)")
    command.add_argument("--description", default="", metavar="D", help="with --method incontext: what is asked, in words, before the examples")
    command.add_argument("--choose", default="balanced", metavar="H", help="with --method incontext: how its examples are chosen: balanced (default), random, or nearest (for each question the most alike)")
    command.add_argument("--normalise", default="sum", metavar="N", help="with --method incontext: how log p of an answer's tokens counts: sum (default), mean, or unconditional (less what it is without the context)")
    command.add_argument("--out", type=Path, metavar="DIR", help="keep the trained model here, for `minidelta predict`")
    command.add_argument("--from-scratch", action=argparse.BooleanOptionalAction, help="also train the same model from random weights (default: for your own data)")
    command.add_argument("--strict", action="store_true", help="stop at the first record that cannot be used")
    command.add_argument("--text-column", default="text", metavar="NAME", help="the column of the text in your file, or in a data set of the hub")
    command.add_argument("--text-b-column", default="text_b", metavar="NAME", help="the column of a second text")
    command.add_argument("--label-column", default="label", metavar="NAME", help="the column of the label")


def call(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    from minidelta import run
    from minidelta.data import Columns, load_task

    columns = Columns(options.text_column, options.text_b_column, options.label_column)
    shown = options.method == "incontext"  # then shots are demonstrations in one prompt, chosen from all training examples
    if options.shots == 0 and not shown:
        raise ConfigError("0 shots leave nothing to train on; give at least 1, or --method incontext, or --method prompt --tune none")
    task = load_task(options.task, options.seed, None if shown else options.shots, options.strict, columns, options.limit)
    for line in run.remarks(task):
        print(line, file=sys.stderr)
    result = run.run(
        options.model, task, options.method,
        shots=options.shots, seed=options.seed, steps=options.steps, lr=options.lr, batch_size=options.batch_size,
        representation=options.representation, prompt=run.Prompt(options.template, options.verbalizer, options.tokens, options.tune, options.calibrate, options.search, options.writer, options.description, options.choose, options.normalise), columns=columns, out=options.out, from_scratch=options.from_scratch,
    )  # fmt: skip
    result["task"] = options.task
    answer(options, result, run.report(result))
    return 0


def saved(options: argparse.Namespace) -> str:
    """What an interruption leaves."""
    return f"the same command goes on from the last step kept in {options.out}" if options.out else "nothing is kept (with --out DIR the same command would go on)"
