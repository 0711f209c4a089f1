"""Every command says what it is for, and each of its options what it means, in a phrase."""

import argparse
import importlib
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
COMMANDS = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in SOURCE.rglob("*.py")
    if "argparse.ArgumentParser(" in path.read_text(encoding="utf-8")
)


class _ParsedError(Exception):
    """In place of what the command would do next."""


def parsers_of(module: str, monkeypatch: pytest.MonkeyPatch) -> list[argparse.ArgumentParser]:
    """The parser that a module's ``main`` makes, and those of its sub-commands."""
    found: list[argparse.ArgumentParser] = []

    def parse_args(parser: argparse.ArgumentParser, *_: object) -> None:
        found.append(parser)
        raise _ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(sys, "argv", [module])
    with pytest.raises(_ParsedError):
        importlib.import_module(module).main()
    for action in found[0]._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += action.choices.values()
    return found


def test_all_commands_are_looked_at():
    assert {"verdict.__main__", "verdict.judge", "verdict.training.__main__"} <= set(COMMANDS)
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("module", COMMANDS)
def test_every_option_is_explained(module: str, monkeypatch: pytest.MonkeyPatch):
    for parser in parsers_of(module, monkeypatch):
        told = {"description": (parser.description or "").split("\n")[0]}
        for action in parser._actions:
            if not isinstance(action, argparse._SubParsersAction):
                told["/".join(action.option_strings) or action.dest] = action.help or ""
        for name, phrase in told.items():
            assert " " in phrase, f"{parser.prog} {name}: {phrase!r}"
            assert not phrase.startswith(("XX", "default:")), f"{parser.prog} {name}: {phrase!r}"
            assert not phrase.isupper(), f"{parser.prog} {name}: {phrase!r}"
        assert parser.format_help()  # a percent sign of a default that does not exist would end it
