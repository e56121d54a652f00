"""`minidelta lab`: the course in JupyterLab."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from minidelta.cli.words import port
from minidelta.errors import ConfigError

HELP = "open the course in JupyterLab"
EXAMPLES = "examples:\n  minidelta lab\n  minidelta lab --no-browser --port 8890      on a machine without a screen\n"


def arguments(command: argparse.ArgumentParser) -> None:
    """The words it understands."""
    command.add_argument("--no-browser", action="store_true", help="only print the address")
    command.add_argument("--port", type=port, default=8888, help="port to listen on (default 8888)")


def call(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    places = [Path(__file__).parents[2], Path.cwd()]
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
