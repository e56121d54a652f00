"""The command `minidelta`: a thin door.  Every command prints plain words, or one JSON value with --json.

Errors that a user can cause go to standard error in one line, with exit code 2; an interruption exits with 130.
Torch is imported only by the commands that compute, so that `--help` answers at once.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import minidelta
from minidelta.errors import ConfigError, MinideltaError

LISTS = ("models", "tasks", "methods", "templates", "claims", "exercises")

EXAMPLES = {
    "": """examples:
  minidelta doctor
  minidelta lab
  minidelta run --model bert-micro --task sentiment --method lora
  minidelta run --model bert-micro --task reviews.jsonl --method full --out runs/reviews
  minidelta predict --run runs/reviews "a fine film"
""",
    "doctor": "example:\n  minidelta doctor --json\n",
    "lab": "examples:\n  minidelta lab\n  minidelta lab --no-browser --port 8890      on a machine without a screen\n",
    "list": "examples:\n  minidelta list models\n  minidelta list tasks --baselines --json\n",
    "run": """examples:
  minidelta run --model bert-micro --task sentiment --method lora
  minidelta run --model gpt-nano --task topic --method head --shots 16 --seed 1
  minidelta run --model bert-micro --task reviews.csv --method full --text-column review --label-column stars
  minidelta run --model t5-micro --task translation --method lora --out runs/french --json
  minidelta run --model bert-micro --task sentiment --method prompt --shots 16
  minidelta run --model gpt-micro --task reviews.csv --method prompt --tune none --template '{text_a|shorten} It was {mask}' --verbalizer 'bad=bad,awful;fine=good'
  minidelta run --model bert-micro --task sentiment --method prompt --shots 16 --search lm-bff --out runs/found
  minidelta run --model gpt-icl-mini --task words.csv --method incontext --shots 4 --template arrow
  minidelta run --model gpt-micro --task sentiment --method incontext --shots 8 --calibrate contextual
  minidelta run --model gpt-micro --task translation --method incontext --shots 4 --description 'Translate English to French:'

A file holds `text`, optional `text_b`, and `label`, as JSON lines, CSV or TSV; a folder holds train, validation
and test files.  What cannot be used is told with file and line; --strict stops there.
""",
    "predict": """examples:
  minidelta predict --run runs/reviews "a fine film"
  minidelta predict --run runs/pairs "It rains." --text-b "The sun shines."
  minidelta predict --run runs/reviews --file new.jsonl --json
  cat lines.txt | minidelta predict --run runs/reviews
""",
    "pretrain": """examples:
  minidelta pretrain bert-nano
  minidelta pretrain gpt-nano --corpus my-text.txt --out my-gpt

An interrupted run goes on where it was when the same command is given again.
""",
    "plan": """examples:
  minidelta plan --model bert-base-uncased --method lora --tasks 1000
  minidelta plan --model gpt2-xl --method lora,bitfit,prefix --batch 8 --length 512
  minidelta plan --model t5-11b --method lora --length 512 --target-length 64 --dtype bfloat16 --figure t5.png
  minidelta plan --model 175B --method lora --rank 4 --tasks 1000 --json
  minidelta plan --model FOLDER --method lst      a folder with config.json; the weights need not be there

Nothing is loaded or downloaded for bert-base-uncased, bert-large-uncased, roberta-base, roberta-large, gpt2, gpt2-medium,
gpt2-large, gpt2-xl, t5-small, t5-base, t5-large, t5-3b, t5-11b, and 175B (GPT-3).  Full tuning stands beside each method.
Deltas have their default settings; only --rank can be changed.
""",
    "claims": """examples:
  minidelta claims                 the table of what was measured
  minidelta claims C2              one of them, part by part
  minidelta claims C2 --rerun      measure it again; goes on where it was interrupted
  minidelta claims C2 --rerun --light      a version with fewer runs, in minutes
  minidelta claims --markdown --figure claims.png
""",
    "grade": """examples:
  minidelta grade 11                              your exercises/11_adapters.ipynb
  minidelta grade 11 --task rung                  one of its exercises
  minidelta grade my-11.ipynb --exercise 11       a notebook under another name
  minidelta grade --class submissions --csv grades.csv
  minidelta grade 11 --class submissions --json
  minidelta grade 11 --gradescope results.json

A class is a folder with a folder (or a notebook) for each student.  Learners' code runs in processes of its own with
limits and without the answers; the last line says which fences stood.  They deter and detect, and are no sandbox for an exam.
""",
    "release": """examples:
  minidelta release                               make exercises/ of solutions/ again
  minidelta release --check                       only compare; exit code 1 if something differs
  minidelta release class-2027                    copy the course for a class, solutions included
  minidelta release class-2027 --without-solutions
""",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after `minidelta`; default those of the process.
    Returns: the exit code: 0 well, 1 `doctor` found something wrong, 2 a mistake to mend, 130 interrupted.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter shows its number
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except MinideltaError as error:
        print(f"minidelta: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nminidelta: interrupted; {options.saved(options)}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output (head, less) had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as problem:  # a full disk, a folder that may not be read: what no one closer to it has put into words
        print(f"minidelta: {problem.strerror or problem}{f': {problem.filename}' if problem.filename else ''}", file=sys.stderr)
        return 2


# -- the commands --------------------------------------------------------------------------------------------


def _doctor(options: argparse.Namespace) -> int:
    from minidelta.doctor import examine

    checks = examine()
    well = all(check.ok for check in checks)
    summary = "everything is here" if well else "mend the lines marked NO, and ask again"
    _answer(options, {"ok": well, "checks": [vars(check) for check in checks]}, "\n".join([*map(str, checks), summary]))
    return 0 if well else 1


def _lab(options: argparse.Namespace) -> int:
    places = [Path(__file__).parents[1], Path.cwd()]
    folder = next((place for place in places if (place / "notebooks").is_dir()), None)
    if folder is None:
        raise ConfigError("the folder `notebooks` is not here; call `minidelta lab` in a clone of the project")
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}", "--LabApp.default_url=/lab/tree/notebooks", f"--port={options.port}"]
    screen = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if options.no_browser or not screen:
        command.append("--no-browser")
        print("No browser is opened here: copy the address that JupyterLab prints into one.", file=sys.stderr)
        print(f"From another machine: ssh -L {options.port}:localhost:{options.port} THIS-MACHINE, then the same address.", file=sys.stderr)
        print("Without any browser: minidelta run --model bert-micro --task sentiment --method lora", file=sys.stderr)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in a container one is root; JupyterLab still listens on this machine alone
    if os.name == "posix":
        os.execv(command[0], command)  # JupyterLab takes our place: signals and Ctrl-C are its own
    return subprocess.call(command)


def _list(options: argparse.Namespace) -> int:
    from minidelta import listing

    if options.baselines and options.what != "tasks":
        raise ConfigError(f"--baselines belongs to `list tasks`, not to `list {options.what}`")
    rows = listing.tasks(options.baselines) if options.what == "tasks" else getattr(listing, options.what)()
    _answer(options, rows, listing.table(rows) if rows else f"no {options.what} yet")
    return 0


def _run(options: argparse.Namespace) -> int:
    from minidelta import run
    from minidelta.data import Columns, load_task

    columns = Columns(options.text_column, options.text_b_column, options.label_column)
    shown = options.method == "incontext"  # then shots are demonstrations in one prompt, chosen from all training examples
    if options.shots == 0 and not shown:
        raise ConfigError("0 shots leave nothing to train on; give at least 1, or --method incontext, or --method prompt --tune none")
    task = load_task(options.task, options.seed, None if shown else options.shots, options.strict, columns)
    for line in run.remarks(task):
        print(line, file=sys.stderr)
    result = run.run(
        options.model, task, options.method,
        shots=options.shots, seed=options.seed, steps=options.steps, lr=options.lr, batch_size=options.batch_size,
        representation=options.representation, prompt=run.Prompt(options.template, options.verbalizer, options.tokens, options.tune, options.calibrate, options.search, options.writer, options.description, options.choose, options.normalise), columns=columns, out=options.out, from_scratch=options.from_scratch,
    )  # fmt: skip
    result["task"] = options.task
    _answer(options, result, run.report(result))
    return 0


def _predict(options: argparse.Namespace) -> int:
    from minidelta import run

    if options.text is not None and options.file:
        raise ConfigError("both a text and --file were given; give one of them")
    if options.text is None and not options.file and sys.stdin.isatty():
        raise ConfigError('no text was given; write it after the run, "like this", or use --file, or a pipe')
    examples, skipped = run.texts(options.text, options.text_b, options.file, sys.stdin, run.kept_columns(options.run))
    for line in skipped:
        print(f"left out: {line}", file=sys.stderr)
    answers = run.predict(options.run, examples, options.choices)
    _answer(options, answers[0] if options.text is not None else answers, "\n".join(map(run.sentence, answers)))
    return 0


def _pretrain(options: argparse.Namespace) -> int:
    from minidelta.pretrain import pretrain

    folder = pretrain(
        options.name, corpus=options.corpus, folder=options.out, steps=options.steps, seed=options.seed,
        threads=options.threads, resume=not options.fresh,
    )  # fmt: skip
    record = json.loads((Path(folder) / "history.json").read_text(encoding="utf-8"))
    about = {key: value for key, value in record.items() if key != "curve"} | {"folder": str(folder)}
    held_out = next((point["held_out"] for point in reversed(record["curve"]) if "held_out" in point), None)
    words = f"{options.name} stands in {folder}: held-out loss {held_out}, {record['tokens']:,} tokens, {record['seconds']:,} s"
    _answer(options, about | {"held_out": held_out}, words)
    return 0


def _plan(options: argparse.Namespace) -> int:
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
    _answer(options, found | {"figure": str(options.figure) if options.figure else None}, plan.report(found))
    return 0


def _claims(options: argparse.Namespace) -> int:
    from minidelta import claims, listing
    from minidelta.claims.board import board

    chosen = claims.choose(options.ids)
    look = claims.measure if options.rerun else claims.read
    rows = [claims.row(claim, look(claim, options.light)) for claim in chosen]
    if options.figure:
        board(rows, options.figure)
    if options.markdown:
        words = listing.markdown(listing.claims(rows))
    else:
        words = "\n\n".join(map(claims.in_words, rows)) if options.ids else listing.table(listing.claims(rows))
    _answer(options, rows, words)
    return 0


def _grade(options: argparse.Namespace) -> int:
    from minidelta.grading import grade

    if not options.what and not options.group:
        raise ConfigError("nothing was given to grade; say which, such as `minidelta grade 11`, or --class FOLDER")
    if options.gradescope and options.group:
        raise ConfigError("--gradescope writes the result of one notebook; with --class use --csv or --json")
    files = grade.class_files(options.group, options.exercise or options.what) if options.group else [grade.one_file(options.what, options.exercise)]
    results = grade.grade_files(files, seed=options.seed, public=options.public, task=options.task)
    if options.csv:
        grade.write(options.csv, grade.as_csv(results))
    if options.gradescope:
        grade.write(options.gradescope, grade.as_gradescope(results[0]))
    words = grade.class_table(results) if options.group else grade.in_table(results[0])
    _answer(options, [result.as_json() for result in results] if options.group else results[0].as_json(), words)
    return 1 if options.require_all and any(result.points < result.of for result in results) else 0


def _release(options: argparse.Namespace) -> int:
    from minidelta.grading import release

    if options.dest is not None:
        if options.check:
            raise ConfigError("--check compares the exercises here; leave out the folder")
        count = release.hand_out(options.dest, options.solutions)
        kept = "with solutions" if options.solutions else "without solutions, hidden tests and wrong answers"
        _answer(options, {"folder": str(options.dest), "files": count, "solutions": options.solutions}, f"{count} files in {options.dest}, {kept}")
        return 0
    if not options.solutions:
        raise ConfigError("--without-solutions needs a folder to copy to, such as `minidelta release class-2027 --without-solutions`")
    paths = release.release(options.check)
    verb = "differs from what its solution makes" if options.check else "written"
    _answer(options, {"changed": [str(path) for path in paths], "check": options.check}, "\n".join(f"{path}: {verb}" for path in paths) or "every exercise is as its solution makes it")
    return 1 if options.check and paths else 0


def _answer(options: argparse.Namespace, value: Any, words: str) -> None:
    print(json.dumps(value, ensure_ascii=False) if options.json else words, flush=True)


# -- the words they understand -------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A mistake in the words is one line too, not a page of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` shows how it is used\n")


def _parser() -> _Parser:
    style = argparse.RawDescriptionHelpFormatter
    top = _Parser(
        prog="minidelta", description="Adapt pre-trained language models: fine-tuning, prompts, delta tuning.",
        epilog=EXAMPLES[""], formatter_class=style,
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"minidelta {minidelta.__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, function: Any, help: str, saved: Any = lambda options: "nothing was changed") -> _Parser:
        command = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".", epilog=EXAMPLES[name], formatter_class=style)
        command.set_defaults(command=function, saved=saved)
        if name != "lab":
            command.add_argument("--json", action="store_true", help="print one JSON value and nothing else on standard output")
        return command

    add("doctor", _doctor, "check versions, device, threads, checkpoints, data, write access and disk")

    lab = add("lab", _lab, "open the course in JupyterLab")
    lab.add_argument("--no-browser", action="store_true", help="only print the address")
    lab.add_argument("--port", type=_port, default=8888, help="port to listen on (default 8888)")

    listing = add("list", _list, "list what there is")
    listing.add_argument("what", choices=LISTS, metavar="WHAT", help=" | ".join(LISTS))
    listing.add_argument("--baselines", action="store_true", help="with tasks: also what the most common answer and a bag of words reach")

    run = add("run", _run, "train and evaluate a method on a task", lambda options: _unfinished(options.out))
    run.add_argument("--model", required=True, help="an embedded name, a Hugging Face folder, or a hub name")
    run.add_argument("--task", required=True, help="a built-in name, your .jsonl / .csv / .tsv file or folder, or hub:NAME")
    run.add_argument("--method", default="lora", help="full, head, prompt, incontext, lora, ... (default lora; `minidelta list methods`)")
    run.add_argument("--shots", type=_whole, metavar="K", help="train on K examples per class (default: all); with --method incontext: K examples in all stand before the question (default 8)")
    run.add_argument("--seed", type=_whole, default=0, help="of draws, splits and weights (default 0)")
    run.add_argument("--steps", type=_natural, help="updates (default: by the task's size)")
    run.add_argument("--lr", type=_rate, help="peak learning rate (default: the method's own)")
    run.add_argument("--batch-size", type=_natural, metavar="B", help="examples per update (default 32)")
    run.add_argument("--representation", metavar="R", help="what BERT's head reads; of a text: cls (default), mean; of an entity pair: cls, mention-pooling, mention-types, markers-cls, markers-pooling, entity-start (default)")
    run.add_argument("--template", metavar="T", help="with --method prompt: the template, such as '{text_a|shorten} It was {mask}', a built-in name (`minidelta list templates`), or FILE#NAME; with --method incontext: arrow, question, label, pair, passage, relation, or the template of one question")
    run.add_argument("--verbalizer", metavar="V", help="label words, such as 'negative=bad,awful;positive=good', or a .json file (default: the task's own, or the names of the labels)")
    run.add_argument("--tokens", metavar="W", help="how label words of several tokens count: strict (default), first, mean, max, product, span; knowledge: more words from the lexicon; vectors or prototypes: in place of words")
    run.add_argument("--tune", default="full", metavar="X", help="what of a prompt trains: full (default), soft, none (zero-shot), or a delta such as lora")
    run.add_argument("--calibrate", metavar="C", help="take off what a prompt prefers by itself: contextual, domain, pmi or batch")
    run.add_argument("--search", metavar="S", help="look for a better template, validation examples decide: choose (among those of a file, or built in), lm-bff, paraphrase, autoprompt or policy")
    run.add_argument("--writer", metavar="M", help="the T5 that writes for lm-bff and paraphrase (default: the model if it is one, else t5-micro)")
    run.add_argument("--description", default="", metavar="D", help="with --method incontext: what is asked, in words, before the examples")
    run.add_argument("--choose", default="balanced", metavar="H", help="with --method incontext: how its examples are chosen: balanced (default), random, or nearest (for each question the most alike)")
    run.add_argument("--normalise", default="sum", metavar="N", help="with --method incontext: how log p of an answer's tokens counts: sum (default), mean, or unconditional (less what it is without the context)")
    run.add_argument("--out", type=Path, metavar="DIR", help="keep the trained model here, for `minidelta predict`")
    run.add_argument("--from-scratch", action=argparse.BooleanOptionalAction, help="also train the same model from random weights (default: for your own data)")
    run.add_argument("--strict", action="store_true", help="stop at the first record that cannot be used")
    run.add_argument("--text-column", default="text", metavar="NAME", help="your file's column of the text")
    run.add_argument("--text-b-column", default="text_b", metavar="NAME", help="your file's column of a second text")
    run.add_argument("--label-column", default="label", metavar="NAME", help="your file's column of the label")

    predict = add("predict", _predict, "label texts with a model that `run --out` kept")
    predict.add_argument("--run", required=True, type=Path, metavar="DIR", help="the folder of the run")
    predict.add_argument("text", nargs="?", help="one text; without it, --file or one text a line from standard input")
    predict.add_argument("--text-b", help="the second text of a pair, or the question about a passage")
    predict.add_argument("--choices", nargs="+", metavar="C", help="what to choose from, for a choice task")
    predict.add_argument("--file", type=Path, help="a .jsonl, .csv or .tsv file with `text`, or a text file with one text a line")

    pretrain = add("pretrain", _pretrain, "pre-train a model on the embedded language or on your text", lambda options: "the run is kept; the same command goes on from its last saved step")
    pretrain.add_argument("name", metavar="NAME", help="such as bert-nano, gpt-micro, t5-mini")
    pretrain.add_argument("--corpus", type=Path, metavar="FILE", help="a UTF-8 text file instead of the embedded language")
    pretrain.add_argument("--out", type=Path, metavar="DIR", help="where to write (default ./checkpoints/NAME; load it from there with --model ./checkpoints/NAME)")
    pretrain.add_argument("--steps", type=_natural, help="updates of about 2,048 tokens (default: the recipe's)")
    pretrain.add_argument("--seed", type=_whole, default=0)
    pretrain.add_argument("--threads", type=_natural, help="CPU threads")
    pretrain.add_argument("--fresh", action="store_true", help="forget an interrupted run")

    plan = add("plan", _plan, "reckon what a method would take on any model: memory, storage and work, beside full tuning")
    plan.add_argument("--model", required=True, help="a published name (below), an embedded one, or a folder with config.json")
    plan.add_argument("--method", action="append", metavar="X", help="full, head or a delta; again, or with commas, for several (default lora; `minidelta list methods`)")
    plan.add_argument("--tasks", type=_natural, default=1, metavar="N", help="tasks to keep on the disk (default 1)")
    plan.add_argument("--batch", type=_natural, default=8, metavar="B", help="texts in a step (default 8)")
    plan.add_argument("--length", type=_natural, default=512, metavar="T", help="tokens of a text (default 512)")
    plan.add_argument("--target-length", type=_natural, metavar="T", help="tokens that T5's decoder reads (default: as many)")
    plan.add_argument("--classes", type=_whole, metavar="C", help="of a new head; 0: the loss scores the vocabulary at every token (default: 2 for an encoder, 0 for the others)")
    plan.add_argument("--optimizer", default="adamw", metavar="O", help="adamw (default), adam, sgd, adagrad or adadelta")
    plan.add_argument("--dtype", default="float32", metavar="D", help="float32 (default), or bfloat16 with float32 moments")
    plan.add_argument("--dropout", type=_share, metavar="P", help="share of units dropped while training (default: the model's own; with 0 attention keeps far less)")
    plan.add_argument("--rank", type=_natural, metavar="R", help="of the methods that have one (default: their own)")
    plan.add_argument("--figure", type=Path, metavar="FILE", help="draw it, too: .png, .svg or .pdf")

    claims = add("claims", _claims, "show what the experiments found, or measure it again", lambda options: "what was measured is kept; the same command goes on")
    claims.add_argument("ids", nargs="*", metavar="ID", help="such as C1 C2 (default: all)")
    claims.add_argument("--rerun", action="store_true", help="measure again; an interrupted measurement goes on")
    claims.add_argument("--light", action="store_true", help="the version with fewer runs")
    claims.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    claims.add_argument("--figure", type=Path, metavar="FILE", help="draw all parts and their verdicts as .png, .svg or .pdf")

    grade = add("grade", _grade, "grade exercises: one notebook, or those of a class")
    grade.add_argument("what", nargs="?", metavar="WHAT", help="a number or name of the exercises, or a notebook file")
    grade.add_argument("--class", dest="group", type=Path, metavar="FOLDER", help="grade every notebook in a folder of submissions")
    grade.add_argument("--exercise", metavar="N", help="which exercises a notebook answers, where its name does not say so")
    grade.add_argument("--task", metavar="NAME", help="only this exercise of the notebook")
    grade.add_argument("--csv", type=Path, metavar="FILE", help="write a line for each notebook")
    grade.add_argument("--gradescope", type=Path, metavar="FILE", help="write the results.json that Gradescope reads")
    grade.add_argument("--seed", metavar="S", help="of the hidden inputs (default: drawn anew; the same for all of a class)")
    grade.add_argument("--public", action="store_true", help="only the public tests")
    grade.add_argument("--require-all", action="store_true", help="exit with 1 if a point is lost")

    release = add("release", _release, "make the exercises of the solutions, or copy the course for a class")
    release.add_argument("dest", nargs="?", type=Path, metavar="DEST", help="copy the course into this new folder")
    release.add_argument("--without-solutions", dest="solutions", action="store_false", help="leave out solutions, hidden tests and wrong answers")
    release.add_argument("--check", action="store_true", help="only compare; exit with 1 if an exercise is not as its solution makes it")
    return top


def _unfinished(out: Path | None) -> str:
    return f"the same command goes on from the last step kept in {out}" if out else "nothing is kept (with --out DIR the same command would go on)"


def _natural(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number of at least 1")
    return int(word)


def _port(word: str) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= 65535:
        raise argparse.ArgumentTypeError(f"{word!r} is not a port from 1 to 65535")
    return int(word)


def _whole(word: str) -> int:
    if not word.isdecimal() or int(word) >= 2**31:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 0 to 2147483647")
    return int(word)


def _share(word: str) -> float:
    try:
        share = float(word)
    except ValueError:
        share = 1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a share from 0 to below 1")
    return share


def _rate(word: str) -> float:
    try:
        rate = float(word)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a positive number")
    return rate
