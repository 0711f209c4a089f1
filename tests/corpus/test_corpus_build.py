"""From settings to a folder: what is written, and that nothing half-made is."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from made import read_lines, settings, sha, tarred, zipped
from pydantic import ValidationError

from verdict.corpus import CorpusSpec, check_task
from verdict.corpus.build import build
from verdict.corpus.filters import apply, copied
from verdict.corpus.records import Record, letters
from verdict.corpus.spec import Filters
from verdict.errors import UserError

ONES = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def documents(count: int) -> list[str]:
    """Texts unlike each other."""
    return [
        " ".join(
            hashlib.sha256(f"{number} {place}".encode())
            .hexdigest()
            .translate(str.maketrans("0123456789", "ghijklmnop"))[:7]
            for place in range(8)
        )
        for number in range(count)
    ]


def run(task: str, out: Path, tmp_path: Path, **changes: Any) -> dict[str, Any]:
    return build(task, CorpusSpec.model_validate(settings(**changes)), tmp_path / "downloads", out)


def test_a_corpus_of_ones_own_text(tmp_path: Path) -> None:
    texts = documents(60)
    (tmp_path / "mine.txt").write_text("\n".join([*texts, texts[0].upper() + "!"]), "utf-8")
    card = run("lm", tmp_path / "out", tmp_path)
    parts = {name: read_lines(tmp_path / "out" / f"{name}.jsonl") for name in ("train", "valid", "test")}
    assert {name: len(lines) for name, lines in parts.items()} == {"train": 50, "valid": 5, "test": 5}
    assert sorted(letters(line["text"]) for lines in parts.values() for line in lines) == sorted(map(letters, texts))
    assert json.loads((tmp_path / "out" / "card.json").read_text("utf-8")) == card
    assert card["duplicates_removed"] == 1
    assert card["kind"] == "files"
    assert card["labels"] is None
    assert len(card["examples"]) == 3
    assert card["splits"]["test"]["words_median"] == {"text": 8}
    assert card["splits"]["test"]["bytes"] == (tmp_path / "out" / "test.jsonl").stat().st_size
    joined = b"".join((tmp_path / "out" / f"{name}.jsonl").read_bytes() for name in ("train", "valid", "test"))
    assert card["sha256"] == sha(joined)

    (tmp_path / "mine.txt").write_text("\n".join([*texts, texts[0].upper() + "!"]), "utf-8", newline="\r\n")
    assert run("lm", tmp_path / "again", tmp_path)["sha256"] == card["sha256"]


def test_pretraining_text_holds_nothing_of_valid_and_test(tmp_path: Path) -> None:
    texts = documents(80)
    rows = [f"{text}\t{'good' if number % 2 else 'bad'}" for number, text in enumerate(texts[:40])]
    rows += [f"{text}\t" for text in texts[40:]]  # unlabelled
    rows += [f"So {text.upper()}!\t" for text in texts[:40]]  # unlabelled, and nearly the labelled ones
    (tmp_path / "mine.tsv").write_text("\n".join(rows), "utf-8")
    card = run(
        "classification",
        tmp_path / "out",
        tmp_path,
        source={"files": [{"path": "mine.tsv"}]},
        reader={"name": "tsv"},
    )
    held_out = {line["text"] for name in ("valid", "test") for line in read_lines(tmp_path / "out" / f"{name}.jsonl")}
    pretrain = [line["text"] for line in read_lines(tmp_path / "out" / "pretrain.jsonl")]
    assert not [one for one in pretrain for other in held_out if letters(other) in letters(one)]
    assert len(pretrain) == 30 + 40 + 30
    assert card["near_duplicates_removed"] == 10
    assert card["labels"] == {"bad": 20, "good": 20}
    assert set(read_lines(tmp_path / "out" / "pretrain.jsonl")[0]) == {"text"}


def test_a_package_read_through_two_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tarred({"d/en.txt": "\n".join(documents(40)).encode(), "d/fr.txt": "\n".join(documents(80)[40:]).encode()})
    archive = zipped({"words-1.0/inner.tar.gz": inner})
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "words-1.0.zip").write_bytes(archive)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    package = {
        "requirement": "words==1.0",
        "file": "words-1.0.zip",
        "sha256": sha(archive),
        "members": ["words-1.0/inner.tar.gz!d/en.txt", "words-1.0/inner.tar.gz!d/{language}.txt"],
    }
    made: dict[str, Any] = {"source": {"package": [package]}, "reader": {"name": "aligned"}}
    card = run("translation", tmp_path / "out", tmp_path, language="fr", title="To {language}", **made)
    assert card["title"] == "To French"
    assert card["source"] == [
        {"package": "words==1.0", "file": "words-1.0.zip", "sha256": sha(archive), "bytes": len(archive)}
    ]
    assert read_lines(tmp_path / "out" / "train.jsonl")[0].keys() == {"source", "target"}
    with pytest.raises(UserError, match=r"words-1\.0\.zip: words-1\.0/inner\.tar\.gz has no member 'd/de\.txt'"):
        run("translation", tmp_path / "out", tmp_path, language="de", **made)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "corpus mine is empty"),
        (b"one\ntwo\n", r"corpus mine is too small for its split: its 2 records give"),
        (b"caf\xe9\n", r"mine\.txt line 1 is not utf-8"),
        (b"one\n\0\n", r"mine\.txt line 2 holds a NUL"),
    ],
)
def test_what_fails_leaves_the_earlier_corpus_as_it_was(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "mine.txt").write_text("\n".join(documents(60)), "utf-8")
    run("lm", tmp_path / "made" / "out", tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "made").rglob("*") if path.is_file()}
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        run("lm", tmp_path / "made" / "out", tmp_path)
    assert {path: path.read_bytes() for path in (tmp_path / "made").rglob("*") if path.is_file()} == before


def test_groups_that_are_asked_for_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("\n".join(json.dumps({"text": one}) for one in documents(40)), "utf-8")
    with pytest.raises(UserError, match="split by group, but its records have none"):
        run(
            "lm",
            tmp_path / "out",
            tmp_path,
            source={"files": [{"path": "mine.jsonl"}]},
            reader={"name": "jsonl"},
            split={"valid": 0.1, "test": 0.1, "by": "group"},
        )


def test_of_a_large_group_some_are_kept_and_each_says_whose_it_is(tmp_path: Path) -> None:
    rows = [{"text": text, "of": f"service {number % 6}"} for number, text in enumerate(documents(120))]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    made = {
        "source": {"files": [{"path": "mine.jsonl"}]},
        "reader": {"name": "jsonl", "options": {"keys": {"group": "of"}}},
    }
    split = {"valid": 5, "test": 5, "by": "group", "most_of_group": 3}
    card = run("lm", tmp_path / "out", tmp_path, **made, split=split)
    parts = {name: read_lines(tmp_path / "out" / f"{name}.jsonl") for name in ("train", "valid", "test")}
    groups = {name: Counter(line["group"] for line in lines) for name, lines in parts.items()}
    assert set(groups["valid"].values()) == set(groups["test"].values()) == {3}
    assert set(groups["train"].values()) == {20}
    assert card["filtered"] == {"surplus of a held-out group": 4 * 17}
    with pytest.raises(ValidationError, match="most_of_group says how much of a held-out group is kept"):
        run("lm", tmp_path / "out", tmp_path, **made, split={**split, "by": "content"})


def test_filters_count_by_reason() -> None:
    rows = [
        ("one two", "x"),
        ("one two three", "<b>"),
        ("Open the Notes app", "Notes de the"),
        ("one two three", "un deux trois"),
        ("使用 this here", "x"),
    ]
    records = [Record(dict(zip(("source", "target"), row, strict=True))) for row in rows]
    chosen = Filters(words={"source": (3, 5)}, forbidden=["[<>]"], most_copied=0.34)
    kept, reasons = apply(records, chosen)
    assert [record.text for record in kept] == ["one two three", "使用 this here"]
    assert reasons == {"source words": 1, "forbidden text": 1, "copied": 1}
    assert copied(Record({"source": "Amazon S3 使", "target": "使用 S3"})) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reader": {"name": "txt"}}, "no reader 'txt'; did you mean 'text'"),
        ({"reader": {"name": "qqq"}}, "known readers: aligned"),
        ({"reader": {"name": "text", "options": {"document": 1}}}, "options.document: Extra inputs"),
        ({"split": {"valid": 0.3, "test": 0.3}}, "half of the records"),
        ({"split": {"valid": 0.3, "test": 30}}, "both as shares"),
        ({"split": {"valid": 10.5, "test": 30}}, "a whole number"),
        ({"split": {"valid": 0, "test": 30}}, "greater than 0"),
        ({"split": {"valid": 1, "test": 1, "near_duplicates": {"similarity": 1.5}}}, "less than or equal to 1"),
        ({"source": {}}, "exactly one of package, https and files"),
        ({"source": {"files": [{"path": "a"}], "https": [{"url": "https://a/b", "sha256": "0" * 64}]}}, "exactly one"),
        ({"source": {"https": [{"url": "ftp://a/b", "sha256": "0" * 64}]}}, "pattern"),
        ({"source": {"https": [{"url": "https://a/b", "sha256": "abc"}]}}, "pattern"),
        ({"filters": {"forbidden": ["("]}}, "not a regular expression"),
        ({"filters": {"words": {"source": [5, 3]}}}, "the least before the most"),
        ({"nmae": "x"}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_be_meant(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CorpusSpec.model_validate(settings(**change))


@pytest.mark.parametrize(
    ("requirement", "file"),
    [("words", "words-1.0.tar.gz"), ("words==1.0", "words-1.1.tar.gz"), ("words==1.0", "other-1.0-py3-none-any.whl")],
)
def test_a_file_must_be_of_its_package(requirement: str, file: str) -> None:
    package = {"requirement": requirement, "file": file, "sha256": "0" * 64, "members": ["*"]}
    with pytest.raises(ValidationError, match=r"pattern|is not of"):
        CorpusSpec.model_validate(settings(source={"package": [package]}))


def test_a_reader_must_fit_its_task() -> None:
    spec = CorpusSpec.model_validate(settings())
    check_task("lm", spec)
    with pytest.raises(UserError, match=r"corpora\.translation: the reader 'text' does not give source and target"):
        check_task("translation", spec)
    with pytest.raises(UserError, match="no task 'lmm'"):
        check_task("lmm", spec)
    with pytest.raises(UserError, match="'source', a field this task does not have"):
        check_task("lm", CorpusSpec.model_validate(settings(filters={"words": {"source": [1, 2]}})))


def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("\n".join(documents(60)), "utf-8")

    def command(spec: str) -> subprocess.CompletedProcess[str]:
        arguments = ["--task", "lm", "--spec", spec, "--downloads", str(tmp_path / "d"), "--out", str(tmp_path / "out")]
        return subprocess.run(
            [sys.executable, "-m", "verdict.corpus", *arguments], capture_output=True, text=True, cwd=tmp_path
        )

    good = command(json.dumps(settings()))
    assert good.returncode == 0, good.stderr
    assert "50 train, 5 valid, 5 test" in good.stderr
    for change, message in (
        ({"split": {"valid": 1, "test": 1, "bye": 2}}, "error: corpora.lm.split.bye: Extra inputs"),
        ({"source": {"files": [{"path": "absent"}]}}, "error: absent is not a file"),
    ):
        bad = command(json.dumps(settings(**change)))
        assert bad.returncode == 1
        assert bad.stderr.startswith(message)
        assert len(bad.stderr.splitlines()) == 1
    assert command("{").stderr.startswith("error: corpora.lm: Invalid JSON")
