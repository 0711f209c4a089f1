"""What is found out about the machine before the first job."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT

sys.path.insert(0, str(ROOT / "workflow"))
import environment


def test_a_good_folder_brings_no_complaint(tmp_path: Path):
    assert environment.complaint(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root can write to")
def test_a_folder_that_cannot_be_written_is_named():
    told = environment.complaint(Path("/sys"))
    assert told is not None
    assert told.startswith("/sys cannot be written to (")


def test_a_disk_that_is_nearly_full_is_told_with_what_a_run_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment, "LEAST_FREE", 10**21)
    told = environment.complaint(tmp_path)
    assert told is not None
    assert told.startswith(f"{tmp_path} has ")
    assert "MB free, and a run needs 1000000000000000; free some space" in told


def test_paths_that_differ_in_the_seed_alone_are_one_word_of_bash():
    """And bash writes the very paths again; a command of a thousand seeds fits into one argument."""
    paths = [f"runs/lm/{name}/s{seed}/metrics.json" for name in ("lstm", "s1") for seed in range(1000)]
    paths += ["runs/lm/gru/s0/metrics.json", "tuning/lm/lstm.json", "runs/lm/rnn/s0", "runs/lm/rnn/s1"]
    words = environment.by_seed(paths)
    assert words[0] == "runs/lm/lstm/s{0..999}/metrics.json"
    assert len(words) == 5
    told = subprocess.run(["bash", "-c", f"echo {' '.join(words)}"], capture_output=True, text=True, check=True).stdout
    assert told.split() == paths


def with_devices(folder: Path, *names: str) -> Path:
    """A system that has these files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_gpu_is_seen_whatever_its_number_and_not_where_it_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert not environment.has_gpu(with_devices(tmp_path / "none", "dev/nvidiactl", "dev/nvidia-uvm", "dev/null"))
    seventh = with_devices(tmp_path / "seventh", "dev/nvidia7")
    assert environment.has_gpu(seventh)
    assert environment.has_gpu(with_devices(tmp_path / "told", "proc/driver/nvidia/gpus/0000:01:00.0/information"))
    for visible in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert not environment.has_gpu(seventh)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert environment.has_gpu(seventh)


def test_a_cluster_gives_every_job_that_wants_a_machine_to_itself_its_threads():
    alone = {
        rule.partition(":")[0]
        for rules in (ROOT / "workflow/rules").glob("*.smk")
        for rule in rules.read_text(encoding="utf-8").split("\nrule ")[1:]
        if "threads: 1024" in rule
    }
    told = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))["set-threads"]
    assert alone == {name.partition("=")[0] for name in told} != set()


def locked(folder: Path, **entries: dict[str, object] | str) -> Path:
    """A folder with Snakemake's lock and with entries of processes (a text is written as it is)."""
    locks, owners = folder / ".snakemake/locks", folder / environment.OWNERS
    for made in (locks, owners):
        made.mkdir(parents=True)
    (locks / "0.output.lock").write_text("reports/index.html")
    for name, entry in entries.items():
        (owners / f"{name}.json").write_text(entry if isinstance(entry, str) else json.dumps(entry))
    return locks / "0.output.lock"


def of_dead_process() -> dict[str, object]:
    """The entry of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    entry = environment._identity(process.pid)
    process.communicate(b"\n")
    return entry


def test_the_lock_of_a_killed_run_is_removed(tmp_path: Path):
    lock = locked(tmp_path, dead=of_dead_process(), torn='{"process": 1')
    assert environment.release(tmp_path)
    assert not lock.exists()
    assert not list((tmp_path / environment.OWNERS).iterdir())
    assert not environment.release(tmp_path)


def test_the_lock_of_a_living_run_stays_even_beside_a_dead_one(tmp_path: Path):
    lock = locked(tmp_path, dead=of_dead_process(), living=environment._identity(os.getpid()))
    assert not environment.release(tmp_path)
    assert lock.exists()


def test_a_number_that_another_process_has_now_is_no_life(tmp_path: Path):
    lock = locked(tmp_path, reused=environment._identity(os.getpid()) | {"since": "1"})
    assert environment.release(tmp_path)
    assert not lock.exists()


def test_a_lock_of_another_machine_or_of_nobody_knows_whom_stays(tmp_path: Path):
    lock = locked(tmp_path / "far", far=of_dead_process() | {"machine": "elsewhere"})
    assert not environment.release(tmp_path / "far")
    assert lock.exists()
    assert not environment.release(locked(tmp_path / "unknown").parents[2])
    assert (tmp_path / "unknown/.snakemake/locks/0.output.lock").exists()


def test_an_entry_goes_with_its_process(tmp_path: Path):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'workflow')!r}); import environment; from pathlib import Path;"
        f"folder = Path({str(tmp_path)!r}); environment.enter(folder); print(len(list(folder.rglob('*.json'))))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"
    assert not list(tmp_path.rglob("*.json"))


def test_only_mixers_named_by_import_path_are_trusted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VERDICT_MIXERS", "before:Mine")
    environment.trust(["lstm", "b.c:D", "attention", "a:B", "a:B"])
    assert os.environ["VERDICT_MIXERS"] == "a:B b.c:D"
