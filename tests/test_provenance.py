"""What makes a job run again: a change of the code that it uses, and no other."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from verdict import provenance
from verdict.errors import UserError
from verdict.provenance import code_digest, files_digest

TRAINING = ("verdict.training.runs", "verdict.models.mixers.attention")


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Edits a copy of the package's source."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(provenance.SOURCE / "verdict", tmp_path / "verdict", ignore=ignored)
    monkeypatch.setattr(provenance, "SOURCE", tmp_path)

    def change(file: str, old: str, new: str) -> None:
        path = tmp_path / "verdict" / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        provenance._read.cache_clear()

    provenance._read.cache_clear()
    yield change
    provenance._read.cache_clear()


Edit = Callable[[str, str, str], None]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("training/loop.py", '"""The training loop', '"""Another docstring. The training loop'),
        ("training/loop.py", "PROGRESS_EVERY = 10.0", "# why ten\nPROGRESS_EVERY   =   10.0  # seconds\n\n"),
        ("training/averaging.py", '"""A running average of parameters."""', '"""Says it otherwise."""'),
        ("training/averaging.py", "(self, step: int)", "(\n        self,\n        step: int,\n    )"),
        ("models/block.py", '"""Position-wise', 'r"""Position-wise'),
        ("files.py", "import json\n", "import json\n\n"),
    ],
)  # fmt: skip
def test_comments_docstrings_and_layout_do_not_count(edit: Edit, file: str, old: str, new: str):
    before = code_digest(*TRAINING)
    edit(file, old, new)
    assert code_digest(*TRAINING) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("training/loop.py", "CHECKPOINT_EVERY = 20.0", "CHECKPOINT_EVERY = 21.0"),
        ("training/averaging.py", "ETA = 9.0", "ETA = 8.0"),
        ("training/averaging.py", "(ETA + 1.0)", "(ETA - 1.0)"),
        ("models/block.py", ".relu_()", ".tanh_()"),
        ("models/generation.py", "beams: int = 1", "beams: int = 2"),  # validations ask the model
        ("models/mixers/attention.py", "heads: int = 4", "heads: int = 2"),
        ("models/mixers/base.py", "takes_summary: ClassVar[bool] = False", "takes_summary: ClassVar[bool] = True"),
        ("tokens/__init__.py", '"""One', 'NEW = 1\n"""One'),
        ("models/__init__.py", '"""', 'NEW = 1\n"""'),  # runs when a module of the package is imported
        ("tokens/tokenizer.py", "PAD, BEGIN, END, MASK = 0, 1, 2, 3", "PAD, BEGIN, END, MASK = 0, 2, 1, 3"),
    ],
)
def test_an_edit_of_code_that_is_used_counts(edit: Edit, file: str, old: str, new: str):
    before = code_digest(*TRAINING)
    edit(file, old, new)
    assert code_digest(*TRAINING) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models/mixers/lstm.py", "forget_bias: float = 1.0", "forget_bias: float = 2.0"),
        ("measure/quality.py", "longest_output: int = 48", "longest_output: int = 49"),
        ("court/judge.py", '"""', 'CHANGED = 1\n"""'),
        ("ledger.py", "LONGEST = 6000", "LONGEST = 500"),
        ("settings/tasks.py", "ge=260", "ge=261"),
    ],
)
def test_an_edit_of_code_that_is_not_used_does_not_count(edit: Edit, file: str, old: str, new: str):
    before = code_digest(*TRAINING)
    edit(file, old, new)
    assert code_digest(*TRAINING) == before


def test_an_edit_of_a_mixer_counts_for_the_architectures_that_use_it(edit: Edit):
    ours = ("verdict.training.runs", "verdict.models.mixers.lstm")
    before = code_digest(*ours)
    edit("models/mixers/lstm.py", "forget_bias: float = 1.0", "forget_bias: float = 2.0")
    assert code_digest(*ours) != before


def test_modules_imported_by_imported_modules_count(edit: Edit):
    (provenance.SOURCE / "verdict/deep.py").write_text("VALUE = 1\n")
    (provenance.SOURCE / "verdict/middle.py").write_text("def late():\n    from verdict import deep\n    return deep\n")
    (provenance.SOURCE / "verdict/top.py").write_text("import verdict.middle as m\n")
    before = code_digest("verdict.top")
    edit("deep.py", "VALUE = 1", "VALUE = 2")
    assert code_digest("verdict.top") != before


def test_the_digest_does_not_depend_on_the_order_asked_or_on_cycles(edit: Edit):
    assert code_digest(*TRAINING) == code_digest(*TRAINING[::-1]) == code_digest(*TRAINING, *TRAINING)
    (provenance.SOURCE / "verdict/one.py").write_text("import verdict.two\n")
    (provenance.SOURCE / "verdict/two.py").write_text("import verdict.one\n")
    assert code_digest("verdict.one") == code_digest("verdict.two")


def test_broken_code_is_told_with_its_line(edit: Edit):
    edit("training/averaging.py", "ETA = 9.0", "ETA = = 9.0")
    with pytest.raises(UserError, match=r"averaging\.py line \d+ is not Python"):
        code_digest(*TRAINING)


def test_a_mixer_of_ones_own_counts_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """And what it imports of its own package; it is not run for that."""
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError\n")
    (package / "cell.py").write_text("from .gate import OPEN\nfrom numpy import zeros\nimport mine.more\n")
    (package / "gate.py").write_text("OPEN = 1\n")
    (package / "more.py").write_text("MORE = 1\n")
    monkeypatch.chdir(tmp_path)
    asked = ("verdict.training.runs", "mine.cell")
    told = [code_digest(*asked)]
    assert told[0] != code_digest(asked[0])
    for file, text in (("gate.py", "OPEN = 2\n"), ("more.py", "MORE = 2\n"), ("cell.py", "from .gate import OPEN\n")):
        (package / file).write_text(text)
        provenance._read.cache_clear()
        told.append(code_digest(*asked))
    assert len(set(told)) == 4
    with pytest.raises(UserError, match=r"no Python module mine\.cel in"):
        code_digest("mine.cel")


def test_templates_and_words_have_a_digest_of_their_bytes(edit: Edit):
    folder = provenance.SOURCE / "verdict/page/templates"
    before = files_digest("page/templates")
    (folder / "more.txt").write_bytes(b"more\n")
    added = files_digest("page/templates")
    (folder / "more.txt").write_bytes(b"mere\n")
    assert len({before, added, files_digest("page/templates")}) == 3
    (folder / "more.txt").unlink()
    assert files_digest("page/templates") == before
