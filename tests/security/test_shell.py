"""Nothing that stands in params.yaml, in a wildcard or on Snakemake's command line becomes a command of the shell.

Every text and key of params.yaml is replaced by one with commands in it. What is not refused goes through Snakemake
into the rules' shell commands, and these are run by a shell that finds another ``python``: one that writes down what it
was told.
"""

import copy
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from verdict import settings
from verdict.errors import UserError

ROOT = Path(__file__).parents[2]
SAID = "Shell command: "
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
#: each made unlike any other by a number; all that they would run makes a file whose name begins with ``planted``
PLANTS = (
    "x{0}'; touch planted{0}; '\"; touch planted{0}; \"$(touch planted{0})`touch planted{0}`",
    "x{0}; touch planted{0} & touch planted{0} | touch planted{0} #",
    "x{0}\ntouch planted{0}\n",
)


def texts(tree: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], bool]]:
    """Where a tree of settings has a text, and whether it is a key."""
    if isinstance(tree, dict):
        for key, inner in tree.items():
            yield (*way, key), True
            yield from texts(inner, (*way, key))
    elif isinstance(tree, list):
        for number, inner in enumerate(tree):
            yield from texts(inner, (*way, number))
    elif isinstance(tree, str):
        yield way, False


def planted(tree: Any, way: tuple[Any, ...], is_key: bool, text: str) -> Any:
    """A copy of the settings in which one text is another."""
    changed = copy.deepcopy(tree)
    inside = changed
    for step in way[:-1]:
        inside = inside[step]
    if is_key:
        inside[text] = inside.pop(way[-1])
    else:
        inside[way[-1]] = text
    return changed


def accepted(told: dict[str, Any], plant: str) -> tuple[dict[str, Any], dict[str, str], int]:
    """The settings with all plants in them that are not refused; the plants by their places; how many were refused."""
    kept: dict[str, str] = {}
    refused = 0
    for number, (way, is_key) in enumerate(list(texts(told))):
        text = plant.format(number)
        try:
            changed = planted(told, way, is_key, text)
            settings.resolve(changed)
        except (UserError, KeyError):  # a key above it is another now
            refused += 1
            continue
        told = changed
        kept[".".join(map(str, way))] = text
    return told, kept, refused


def shell_commands(folder: Path, *arguments: str) -> list[str]:
    """The shell commands of all jobs, as Snakemake would give them to the shell."""
    done = snakemake(folder, "-n", "--printshellcmds", "--forceall", *arguments)
    assert done.returncode == 0, done.stdout[-3000:]
    return [line.removeprefix(SAID) for line in done.stdout.split("\n") if line.startswith(f"{SAID}python ")]


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    shutil.copyfile(ROOT / "claims.yaml", folder / "claims.yaml")
    command = [str(SNAKEMAKE), "--snakefile", str(ROOT / "Snakefile"), "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)


def told_by_shell(commands: list[str], folder: Path) -> list[list[str]]:
    """The arguments that ``python`` gets when a shell runs the commands."""
    binaries, work = folder / "bin", folder / "work"
    binaries.mkdir()
    work.mkdir()
    (binaries / "python").write_text('#!/bin/sh\nprintf "%s\\0" "$@" >> ../told\nprintf "\\0" >> ../told\n')
    (binaries / "python").chmod(0o755)
    environment = {"PATH": f"{binaries}{os.pathsep}{os.defpath}"}
    for command in commands:
        for log in shlex.split(command.rpartition("| tee")[2].removesuffix(">&2")):
            (work / log).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["bash", "-c", command], cwd=work, env=environment, check=True, capture_output=True, timeout=60)
    told = (folder / "told").read_text(encoding="utf-8")
    return [call.split("\0") for call in told.removesuffix("\0\0").split("\0\0")]


def grown(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("planted*")]


def as_written(tree: Mapping[str, Any]) -> str:
    return yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)


@pytest.mark.parametrize("plant", PLANTS, ids=["quotes", "plain", "lines"])
def test_commands_planted_in_settings_are_refused_or_stay_text(tmp_path: Path, plant: str) -> None:
    told = settings.read(ROOT / "params.yaml")
    told["editions"] = {told["edition"]: {}}  # an edition changes the same keys
    told["other_devices"] = ["kept"]
    told, kept, refused = accepted(told, plant)
    print(f"{refused + len(kept)} planted: {refused} refused, {len(kept)} stay text")  # for `pytest -rP`
    assert refused > 100
    (tmp_path / "params.yaml").write_text(as_written(told), encoding="utf-8")
    if told["earlier"]:
        (tmp_path / told["earlier"]).write_text("{}", encoding="utf-8")
    for name in ("evidence.parquet", "machine.json", "docket.json"):
        (tmp_path / told["other_devices"][0]).mkdir(parents=True, exist_ok=True)
        (tmp_path / told["other_devices"][0] / name).touch()
    commands = shell_commands(tmp_path)
    assert len(commands) > 100
    calls = told_by_shell(commands, tmp_path)
    assert len(calls) == len(commands)
    assert all(call[:2] == ["-m", "verdict.job"] for call in calls)
    assert grown(tmp_path) == []
    heard = "\n".join(argument for call in calls for argument in call)
    reached = [name for name, text in kept.items() if text in heard or in_json(text) in heard]
    if "\n" not in plant:
        assert "corpora.lm.title" in reached  # else the test would hold of anything
    assert [name for name in kept if name not in reached and name != "edition"] == []


def in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


@pytest.mark.parametrize("plant", PLANTS, ids=["quotes", "plain", "lines"])
def test_a_plant_would_grow_without_quotation_marks(tmp_path: Path, plant: str) -> None:
    text = plant.format(0)
    bare = f"python -m verdict.job x --spec {text}"
    work = tmp_path / "work"
    work.mkdir()
    subprocess.run(["bash", "-c", bare], cwd=work, env={"PATH": os.defpath}, capture_output=True, timeout=60)
    assert grown(tmp_path) != []


@pytest.mark.parametrize(
    "target",
    [
        "data/corpus/lm; touch planted/card.json",
        "runs/lm/lstm/s0; touch planted/metrics.json",
        "runs/no/lstm/s0/model.json",
        "runs/lm/$(touch planted)/s0/metrics.json",
        "tuning/`touch planted`/lstm.json",
        "measurements/curves/&touch planted.json",
    ],
)
def test_commands_planted_in_wildcards_are_of_no_rule(tmp_path: Path, target: str) -> None:
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    done = snakemake(tmp_path, target)
    assert done.returncode != 0
    assert "No rule to produce" in done.stdout
    assert "Traceback" not in done.stdout
    assert grown(tmp_path) == []


@pytest.mark.parametrize(
    "setting", ["edition=smoke; touch planted", "device=$(touch planted)", "seeds=`touch planted`"]
)
def test_commands_planted_on_the_command_line_are_refused(tmp_path: Path, setting: str) -> None:
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    done = snakemake(tmp_path, "--config", setting)
    assert done.returncode != 0
    assert f"`{setting.partition('=')[0]}`" in done.stdout or f"'{setting.partition('=')[0]}'" in done.stdout
    assert "Traceback" not in done.stdout
    assert grown(tmp_path) == []
