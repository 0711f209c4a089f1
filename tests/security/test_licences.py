"""docs/licences.md lists what is used, all of it and nothing else."""

import re
from pathlib import Path

import pytest

from verdict import licences
from verdict.errors import UserError

ROOT = Path(__file__).parents[2]
LOCK, PARAMS = ROOT / "requirements.lock", ROOT / "params.yaml"


def test_the_list_is_that_of_the_lock_and_of_the_corpora() -> None:
    told = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
    assert told == licences.markdown(PARAMS, LOCK), "run `make licences`"
    locked = re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK.read_text(encoding="utf-8"), re.M)
    assert len(locked) > 150
    listed = told.partition("## Packages")[2]
    assert re.findall(r"^\| ([\w.-]+) \| (\d[\w.+]*) \| .+ \|$", listed, re.M) == locked


def test_every_package_and_corpus_states_a_licence() -> None:
    assert [name for name, _, licence in licences.packages(LOCK) if licence == "not stated"] == []
    assert "Copyright" not in licences.markdown(PARAMS, LOCK)


@pytest.mark.parametrize(
    ("line", "told"),
    [("no-such-package-here==1.0", "not installed"), ("numpy==0.0.1", "numpy is installed as")],
)
def test_a_lock_that_is_not_installed_is_told(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "lock").write_text(f"# packages\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=told):
        licences.packages(tmp_path / "lock")


def test_another_package_changes_the_list(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"pytest=={pytest.__version__}\n", encoding="utf-8")
    assert licences.packages(tmp_path / "lock") == [("pytest", pytest.__version__, "MIT")]
