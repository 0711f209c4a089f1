"""A tiny world's jobs as the command lines that the workflow calls."""

import functools
import hashlib
import json
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import inputs
import tiny
from commands import SPEC

ROOT = Path(__file__).parents[2]
#: in a name space of its own a process may mount what nobody else sees
UNSHARE = ("unshare", "--map-root-user", "--mount")
KINDS = ("download", "corpus", "tokens", "tuning", "training", "baselines", "evidence", "judge", "ledger", "page")


@dataclass(frozen=True)
class Call:
    """A command line and the files it leaves in the folder it writes into; those may hold times."""

    command: list[str]
    made: list[str]
    #: those of them in which nothing stands
    empty: tuple[str, ...] = ()


def may_mount() -> bool:
    """Whether this system allows that."""
    return bool(shutil.which("unshare")) and not subprocess.run([*UNSHARE, "true"], capture_output=True).returncode


def module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"verdict.{name}", *map(str, arguments)]


@functools.cache
def gathered(world: Path) -> Path:
    """The world's evidence and verdict."""
    out = world.parent / f"{world.name}-results"
    for call in (_evidence(world)(out), _judge(out)(out)):
        subprocess.run(call.command, check=True, capture_output=True)
    return out


def calls(world: Path) -> dict[str, Callable[[Path], Call]]:
    """Every kind of job: given the folder to write into, the call."""
    results = gathered(world)
    text = own_text(world)
    digest = hashlib.sha256(text.read_bytes()).hexdigest()
    return {
        "download": _corpus(https=[{"url": f"{served(text.parent)}/{text.name}", "sha256": digest}]),
        "corpus": _corpus(files=[{"path": str(text)}]),
        "tokens": lambda out: Call(
            module("tokens", "--corpus", world / "corpus/lm", "--vocabulary", 280, "--out", out / "tokens"),
            ["tokens/tokens.json", "tokens/train.text.npy"],
        ),
        "tuning": lambda out: Call(
            module("training.tuning", "--trials", _jobs("tuning"), "--tokens", world / "tokens/lm",
                   "--out", out / "lstm.json"),
            ["lstm.json"],
        ),
        "training": lambda out: Call(
            module("training", "--jobs", _jobs("lm"), "--tokens", world / "tokens/lm", "--runs", out),
            [f"lm/lstm/s0/{name}" for name in ("model.safetensors", "model.json", "history.jsonl", "validation.jsonl",
                                              "metrics.json")],
            ("lm/lstm/s0/validation.jsonl",),  # a language model is asked nothing by its validations
        ),
        "baselines": lambda out: Call(
            module("measure.baselines", "--settings",
                   json.dumps({"task": "lm", "objectives": ["language_model"], "window": 16, "batch_tokens": 512}),
                   "--corpus", world / "corpus/lm", "--tokens", world / "tokens/lm", "--out", out / "lm.json"),
            ["lm.json"],
        ),
        "evidence": _evidence(world),
        "judge": _judge(results),
        "ledger": lambda out: Call(
            ["env", f"MLFLOW_TRACKING_URI=sqlite:///{out}/mlflow.db",
             *module("ledger", "--metrics", *tiny.metrics_of(world), "--machine", world / "results/machine.json",
                     "--out", out / "ledger.json")],
            ["ledger.json"],
        ),
        "page": lambda out: Call(
            module("page", "--evidence", results / "evidence.parquet", "--history", results / "history.parquet",
                   "--verdict", results / "verdict.json", "--claims", ROOT / "claims.yaml",
                   "--machine", world / "results/machine.json", "--out", out / "index.html"),
            ["index.html"],
        ),
    }  # fmt: skip


@functools.cache
def own_text(world: Path) -> Path:
    """A text beside the world, larger than any room that is left on a full disk."""
    path = world.parent / f"{world.name}-text" / "mine.txt"
    path.parent.mkdir()
    chance = random.Random(0)
    path.write_text("".join(inputs.sentence(number, chance) + "\n" for number in range(500)), encoding="utf-8")
    return path


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that prints nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@functools.cache
def served(folder: Path) -> str:
    """The address of a server of the folder's files, which lives as long as this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def _corpus(**source: list[dict[str, str]]) -> Callable[[Path], Call]:
    spec = {**SPEC, "source": source}
    return lambda out: Call(
        module("corpus", "--task", "lm", "--spec", json.dumps(spec), "--downloads", out / "downloads",
               "--out", out / "corpus"),
        ["corpus/train.jsonl", "corpus/card.json"],
    )  # fmt: skip


def _jobs(stage: str) -> str:
    return json.dumps([tiny.job(stage, "lm", "language_model", "lstm").to_dict()])


def _evidence(world: Path) -> Callable[[Path], Call]:
    runs = sorted(path.parent for path in world.glob("runs/*/*/*/history.jsonl"))
    return lambda out: Call(
        module("gathering", "--metrics", *tiny.metrics_of(world), "--runs", *runs, "--out", out),
        ["evidence.parquet", "evidence.csv", "history.parquet", "scores.json"],
    )


def _judge(results: Path) -> Callable[[Path], Call]:
    return lambda out: Call(
        module("judge", "--evidence", results / "evidence.parquet", "--claims", ROOT / "claims.yaml",
               "--out", out / "verdict.json"),
        ["verdict.json"],
    )  # fmt: skip
