"""The command line as a user meets it: files in, file out, one sentence on a mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic

from verdict.court import claims as docket
from verdict.court import evidence
from verdict.court.explain import explain

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("court") / "evidence.parquet"
    evidence.write(synthetic.table(), path)
    return path


def _run(*arguments, module="verdict.judge"):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


def test_two_runs_write_the_same_bytes_and_leave_nothing_beside(table, tmp_path):
    for name in ("a.json", "b.json"):
        done = _run("--evidence", table, "--claims", "claims.yaml", "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]
    assert len(json.loads((tmp_path / "a.json").read_text())["claims"]) == 21


def test_an_explanation_is_printed(table):
    done = _run("explain", "A2", "--evidence", table, module="verdict")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("A2: only_when")


@pytest.mark.parametrize("claim", [claim.id for claim in docket.load(ROOT / "claims.yaml").claims])
def test_every_claim_can_be_explained(claim):
    text = explain(docket.load(ROOT / "claims.yaml"), synthetic.table(), claim)
    assert text.startswith(claim)
    assert f"{claim}: " in text.splitlines()[-1]
    if claim == "B1":
        assert "never reached" in text
    if claim == "A7":
        assert "best baseline: nearest 29" in text
    if claim == "D1":
        assert "counted, without replicates" in text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--evidence", "absent.parquet", "--claims", "claims.yaml", "--out", "v.json"], "absent.parquet"),
        (["--evidence", "{table}", "--claims", "absent.yaml", "--out", "v.json"], "absent.yaml"),
        (["explain", "Z9", "--evidence", "{table}"], "Z9"),
        (["explain", "A1", "--evidence", "absent.parquet"], "absent.parquet"),
    ],
)
def test_a_mistake_gets_one_sentence(table, arguments, named):
    module = "verdict" if arguments[0] == "explain" else "verdict.judge"
    done = _run(*(argument.format(table=table) for argument in arguments), module=module)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_court_needs_no_model(table):
    """Neither torch nor the heavy parts of scipy are loaded, so that the judge answers at once."""
    code = (
        "import sys; from verdict.court import claims, diff, evidence, explain, form, judge; "
        "print(sorted({'torch', 'mlflow', 'scipy.stats', 'verdict.models'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_the_docket_can_be_checked_alone():
    done = _run(module="verdict.court.claims")
    assert done.returncode == 0
    assert "21 claims" in done.stdout
