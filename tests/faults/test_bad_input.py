"""Bad input of every kind gets one clear sentence or does no harm: some inputs drawn by hypothesis, some by hand.

``benchmarks/bad_input.py`` tries many more.
"""

import random
import tempfile
from pathlib import Path

import commands
import inputs
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from promise import KINDS, ROOT, BrokenError, Kind, Outcome, complaint, told_claims, told_settings, tried, try_corpus

from verdict.errors import UserError

#: the same inputs in every run: a test that fails by chance helps nobody
FEW = settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def hold(kind: Kind) -> None:
    """The promise holds for inputs of a kind."""

    @FEW
    @given(st.randoms(use_true_random=False))
    def holds(chance) -> None:
        made = kind.make(chance)
        note(made[1] if isinstance(made, tuple) else made.about)
        with tempfile.TemporaryDirectory() as folder:
            outcome = kind.attempt(made, Path(folder))
        assert outcome.label != "wrong", outcome.said

    holds()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_input_is_taken_or_told_in_one_sentence(kind: Kind) -> None:
    hold(kind)


def test_command_lines_end_well_or_are_told_in_one_sentence(world: Path, tmp_path: Path) -> None:
    commands.finish(finished := commands.copied(world, tmp_path / "world"))
    hold(commands.command_kind(finished))


def test_what_is_not_spoilt_is_taken() -> None:
    """Or the promise would be kept by refusing everything."""
    with tempfile.TemporaryDirectory() as folder:
        for name, made in (
            ("params.yaml, keys and values", (told_settings(), "")),
            ("params.yaml, text", ((ROOT / "params.yaml").read_bytes(), "")),
            ("claims.yaml, keys and values", (told_claims(), "")),
            ("claims.yaml, text", ((ROOT / "claims.yaml").read_bytes(), "")),
        ):
            assert KINDS[name].attempt(made, Path(folder)) == Outcome("accepted"), name


def test_commands_that_are_not_spoilt_end_well(world: Path, tmp_path: Path) -> None:
    commands.finish(finished := commands.copied(world, tmp_path / "world"))
    for number, (module, arguments, reads) in enumerate(commands.known_commands()):
        assert [name for name in reads if not (finished / name).is_file()] == [], module
        made = inputs.Command(module, arguments)
        assert commands.try_command(made, tmp_path / str(number), finished) == Outcome("accepted"), module


@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        ("params.yaml: the key 'a' is missing; add it", ""),
        ("params.yaml: line one\nline two", "not one line"),
        ("params.yaml: \x1b[31mred", "not one line"),
        ("params.yaml" + "x" * 2000, "2011 characters"),
        ("something is wrong somewhere", "neither file nor key"),
    ],
)
def test_the_promise_knows_a_bad_sentence(sentence: str, wrong: str) -> None:
    found = complaint(sentence, ("params.yaml",))
    assert wrong in found
    assert bool(found) == bool(wrong)


def test_the_promise_knows_what_is_wrong() -> None:
    def fails(error: BaseException) -> Outcome:
        def do() -> None:
            raise error

        return tried(do, ("a.txt",))

    assert fails(UserError("a.txt is empty; fill it")).label == "told"
    for error in (UserError("no"), ValueError("x"), BrokenError("x"), SystemExit(3), MemoryError()):
        assert fails(error).label == "wrong"


@pytest.mark.parametrize(
    ("letters", "size"), [("a", 10**7), ("ab ", 10**6), ("save", 10**6), ("你", 10**6), ("\u202e🙂", 10**6)]
)
def test_a_line_of_megabytes_is_a_text_like_others(tmp_path: Path, letters: str, size: int) -> None:
    """Merges were once learned in a time that grows with the square of a word's length."""
    own = random.Random(0)
    lines = [inputs.sentence(number, own) for number in range(60)]
    lines[7] = letters * (size // len(letters.encode()))
    data = "\n".join(lines).encode()
    made = inputs.Corpus("lm", {**commands.SPEC}, {"mine.txt": data}, "a long line", 270)
    assert try_corpus(made, tmp_path) == Outcome("accepted")


def test_every_command_runs_under_the_wrapper_that_ends_it_in_one_sentence() -> None:
    """``job`` runs another module's ``main``, and the command ``verdict`` wraps its own."""
    without = {"src/verdict/job.py", "src/verdict/__main__.py"}
    found = 0
    for path in sorted((ROOT / "src").rglob("*.py")):
        _, asked, rest = path.read_text(encoding="utf-8").partition('\nif __name__ == "__main__":\n')
        if asked and path.relative_to(ROOT).as_posix() not in without:
            assert rest == "    run_command(main)\n", path
            found += 1
    assert found > 20
