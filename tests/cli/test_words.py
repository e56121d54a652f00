"""The command line as a person meets it: words, exit codes, one line for a mistake, clean JSON."""

import json
import os
import subprocess
import sys
import time

import pytest

from minidelta import __version__, cli


def call(*words, **options):
    return subprocess.run([sys.executable, "-m", "minidelta", *words], capture_output=True, text=True, encoding="utf-8", timeout=120, **options)


def mistake(capsys, *words) -> str:
    """Run a command that must fail; give the one line it prints on standard error."""
    try:
        code = cli.main(list(words))
    except SystemExit as stop:  # argparse leaves by itself
        code = stop.code
    out, error = capsys.readouterr()
    assert code == 2 and out == "" and "Traceback" not in error
    assert error.count("\n") == 1 and error.startswith("minidelta"), error
    return error


def test_the_command_starts_fast_and_without_torch():
    script = "import sys, minidelta.cli as cli\ntry: cli.main(['run', '--help'])\nexcept SystemExit: pass\nsys.exit('torch' in sys.modules)"
    begin = time.perf_counter()
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60).returncode == 0
    assert time.perf_counter() - begin < 5, "a tenth of this is usual; a busy machine may take longer"


def test_version_and_help():
    assert call("--version").stdout.strip() == f"minidelta {__version__}"
    for command in ("doctor", "lab", "list", "run", "predict", "pretrain", "plan", "claims", "grade", "release"):
        assert "example" in cli.COMMANDS[command].EXAMPLES


@pytest.mark.parametrize("command", ["doctor", "lab", "list", "run", "predict", "pretrain", "plan", "claims", "grade", "release"])
def test_every_command_has_help_with_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0 and f"minidelta {command}" in out and "example" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["list", "songs"], "invalid choice: 'songs'"),
        (["run"], "required: --model, --task"),
        (["run", "--model", "m", "--task", "t", "--shots", "-1"], "--shots"),
        (["run", "--model", "m", "--task", "t", "--steps", "-5"], "--steps"),
        (["run", "--model", "m", "--task", "t", "--seed", "x"], "'x' is not a whole number from 0"),
        (["run", "--model", "m", "--task", "t", "--lr", "nan"], "'nan' is not a positive number"),
        (["run", "--model", "m", "--task", "t", "--colour"], "unrecognized arguments: --colour"),
        (["predict", "text"], "required: --run"),
        (["list", "models", "--baselines"], "--baselines belongs to `list tasks`"),
        (["pretrain"], "required: NAME"),
        (["pretrain", "bert-huge"], "There is no recipe 'bert-huge'"),
        (["pretrain", "bert-nano", "--corpus", "nowhere.txt", "--out", "x"], "nowhere.txt"),
        (["lab", "--port", "many"], "'many' is not a port"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in mistake(capsys, *words)


@pytest.mark.parametrize("what", cli.lists.LISTS)
def test_lists_in_words_and_in_json(what, capsys):
    assert cli.main(["list", what]) == 0
    words = capsys.readouterr().out
    assert cli.main(["list", what, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(row["name"] in words for row in rows)
    if not rows:
        assert words == f"no {what} yet\n"


def test_lists_name_what_the_course_needs(capsys):
    cli.main(["list", "methods", "--json"])
    assert {"full", "head", "lora"} <= {row["name"] for row in json.loads(capsys.readouterr().out)}
    cli.main(["list", "tasks", "--json"])
    assert len(json.loads(capsys.readouterr().out)) >= 10


def test_doctor_looks_at_everything_and_its_exit_code_is_its_verdict(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = cli.main(["doctor", "--json"])
    verdict = json.loads(capsys.readouterr().out)
    names = [check["name"] for check in verdict["checks"]]
    assert {"python", "torch", "transformers", "device", "threads", "checkpoints", "data", "write access", "disk"} <= set(names)
    assert verdict["ok"] == all(check["ok"] for check in verdict["checks"]) == (code == 0)


def test_doctor_sees_what_is_wrong(capsys, monkeypatch):
    from minidelta import doctor

    monkeypatch.setattr(doctor, "requirements", lambda: ["torch==0.1.0", "no-such-package==1.0"])
    monkeypatch.setattr(doctor, "_checkpoints", lambda: [])
    monkeypatch.setenv("MINIDELTA_DEVICE", "abacus")
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert 'expected 0.1.0: pip install "torch==0.1.0"' in out and "missing, expected 1.0" in out and "abacus" in out
    assert "mend the lines marked NO" in out


def test_lab_on_a_machine_without_a_screen(monkeypatch, capsys):
    started = []
    monkeypatch.setattr(os, "execv", lambda program, command: started.append(command))
    monkeypatch.setattr(subprocess, "call", lambda command: started.append(command) or 0)
    assert cli.main(["lab", "--no-browser", "--port", "9999"]) == 0
    assert "--no-browser" in started[0] and "--port=9999" in started[0] and started[0][1:3] == ["-m", "jupyterlab"]
    assert "ssh -L 9999:localhost:9999" in capsys.readouterr().err


def test_an_interruption_says_what_is_saved(monkeypatch, capsys):
    import minidelta.pretrain

    def interrupted(*words, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(minidelta.pretrain, "pretrain", interrupted)
    assert cli.main(["pretrain", "bert-nano"]) == 130
    assert "interrupted; the run is kept; the same command goes on" in capsys.readouterr().err
