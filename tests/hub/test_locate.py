"""From names to folders: embedded checkpoints, local folders, and a hub that this test plays itself."""

import hashlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from minidelta.errors import CheckpointError, ConfigError
from minidelta.hub import checkpoint_folder, embedded_models, load_model, load_tokenizer, train_tokenizer
from minidelta.hub.device import device
from tests.hub.oracle import case

ROOT = Path(__file__).parents[2]


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """Three embedded checkpoints, one of them real, and an empty working folder."""
    home = tmp_path / "checkpoints"
    for name in ["t5-mini", "bert-nano-step1000", "bert-nano-step200", "bert-micro", "gpt-icl-micro"]:
        (home / name).mkdir(parents=True)
        (home / name / "config.json").write_text("{}")
    case("bert", home / "bert-nano")
    monkeypatch.setattr("minidelta.hub.locate.EMBEDDED", home)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return home


def test_embedded_names_are_listed_in_order(embedded):
    assert embedded_models() == ["bert-nano", "bert-nano-step200", "bert-nano-step1000", "bert-micro", "gpt-icl-micro", "t5-mini"]
    assert checkpoint_folder("bert-nano") == embedded / "bert-nano"
    with pytest.raises(CheckpointError, match="No embedded checkpoint is called 'bert-nan'. Did you mean bert-nano"):
        checkpoint_folder("bert-nan")


def test_an_embedded_name_wins_over_a_folder_of_that_name(embedded):
    case("gpt2", Path("bert-nano"))
    case("gpt2", Path("mine"))
    assert load_model("bert-nano", device="cpu").config.shape == "encoder"
    assert load_model("./bert-nano", device="cpu").config.shape == "decoder"
    assert load_model(Path("bert-nano"), device="cpu").config.shape == "decoder"
    assert load_model("mine", device="cpu").config.shape == "decoder"


# --- the hub ------------------------------------------------------------------------------------------------------


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as a download needs.  It knows the repository me/bert and me/pickled."""

    protocol_version = "HTTP/1.1"
    folder: Path
    asked: list[str] = []

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        self.asked.append(f"{self.command} {path}")
        status, headers, body = 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        for repository in ["me/bert", "me/pickled"]:
            files = [file for file in self.folder.iterdir() if repository == "me/bert" or file.suffix != ".safetensors"]
            if path.startswith(f"/api/models/{repository}/tree"):
                tree = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": hashlib.sha1(f.read_bytes()).hexdigest()} for f in files]
                status, headers, body = 200, {}, json.dumps(tree).encode()
            elif path.startswith(f"/api/models/{repository}"):
                about = {"_id": "1", "id": repository, "sha": "a" * 40, "siblings": [], "private": False, "downloads": 0, "likes": 0, "tags": []}
                status, headers, body = 200, {}, json.dumps(about).encode()
            elif path.startswith(f"/{repository}/resolve/"):
                body = (self.folder / path.split("/")[-1]).read_bytes()
                status, headers = 200, {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": "a" * 40}
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A hub on this machine; yields its address."""
    Hub.folder = tmp_path_factory.mktemp("hub")
    case("bert", Hub.folder)
    train_tokenizer("bert", ["a cheese"], 300).save_pretrained(Hub.folder)
    for name in ["pytorch_model.bin", "modeling.py", "README.md", "tf_model.h5"]:
        (Hub.folder / name).write_text("not to be fetched")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


LOOK_UP = """
import sys, time
from minidelta.hub.locate import find_folder
for name in sys.argv[1:]:
    start = time.time()
    try:
        answer = find_folder(name)
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    print(f"{time.time() - start:.1f} {answer}")
"""


def ask(names: list[str], cache: Path, **environment) -> list[str]:
    """Look names up in a fresh process (the hub's address is read once per process); a line for each: seconds and answer."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    env |= {"HF_HOME": str(cache), "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment}
    done = subprocess.run([sys.executable, "-c", LOOK_UP, *names], capture_output=True, text=True, env=env, cwd=cache)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_hub_name_is_fetched_through_the_cache_and_works_offline_afterwards(hub, tmp_path):
    Hub.asked.clear()
    (line,) = ask(["me/bert"], tmp_path, HF_ENDPOINT=hub)
    folder = Path(line.split(maxsplit=1)[1])
    assert folder.is_relative_to(tmp_path / "hub")
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert not any(name in asked for asked in Hub.asked for name in ("pytorch_model", "modeling", "tf_model"))
    assert load_model(folder, device="cpu").config.d_model == 24 and load_tokenizer(folder)("cheese").input_ids
    closed = "http://127.0.0.1:9"
    for environment in [{"HF_ENDPOINT": closed}, {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "1"}]:
        (again,) = ask(["me/bert"], tmp_path, **environment)
        assert again.split(maxsplit=1)[1] == str(folder)


def test_what_the_hub_does_not_have(hub, tmp_path):
    lines = ask(["me/nothing", "me/pickled", "not a name"], tmp_path, HF_ENDPOINT=hub)
    assert "CheckpointError: 'me/nothing' is neither a folder, nor embedded, nor on the hub." in lines[0]
    assert "'me/pickled' has no safetensors weights on the hub; older, pickled ones are not fetched" in lines[1]
    assert "nor a possible name on the hub" in lines[2]


def test_without_network_the_answer_comes_at_once(tmp_path):
    silent = socket.socket()  # takes the call and never says a word
    silent.bind(("127.0.0.1", 0))
    silent.listen()
    cases = [
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, 5, "the hub cannot be reached"),
        ({"HF_HUB_OFFLINE": "1"}, 5, "HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}, 12, "the hub cannot be reached"),
    ]
    for environment, seconds, reason in cases:
        (line,) = ask(["bert-base-uncased"], tmp_path, **environment)
        took, answer = line.split(maxsplit=1)
        assert answer.startswith(f"CheckpointError: 'bert-base-uncased' is neither a folder, nor embedded, nor in the hub's cache, and {reason}.")
        assert float(took) < seconds
    silent.close()


def test_a_misspelt_embedded_name_is_guessed(embedded, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    start = time.time()
    for load in [load_model, load_tokenizer]:
        with pytest.raises(CheckpointError, match="'bert-mircro' is neither .*Did you mean bert-micro.* Known: bert-nano, "):
            load("bert-mircro")
    assert time.time() - start < 10


# --- devices ------------------------------------------------------------------------------------------------------


def test_the_device_is_chosen_in_one_place(monkeypatch, tmp_path):
    monkeypatch.delenv("MINIDELTA_DEVICE", raising=False)
    assert device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device("cpu") == device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setenv("MINIDELTA_DEVICE", "cpu")
    case("gpt2", tmp_path)
    assert device().type == load_model(tmp_path).device.type == "cpu"
    with pytest.raises(ConfigError, match="'gpu' is not a device; use cpu, cuda"):
        device("gpu")
    with pytest.raises(ConfigError, match="'cuda:99' was asked for, but this machine has"):
        device("cuda:99")
    monkeypatch.setenv("MINIDELTA_DEVICE", "quantum")
    with pytest.raises(ConfigError, match=r"'quantum' \(from MINIDELTA_DEVICE\) is not a device"):
        device()
