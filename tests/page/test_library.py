"""The charts' library, made in this process and in another."""

import subprocess

import pytest

from verdict.page import library


def test_another_process_makes_the_same_script():
    with library.bundling() as wait:
        here = library.bundle()
        assert wait() == here
    assert "vegaEmbed" in here


def test_nobody_goes_on_making_it_when_the_page_has_failed(monkeypatch: pytest.MonkeyPatch):
    begun: list[subprocess.Popen[bytes]] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *told, **more):
            super().__init__(*told, **more)
            begun.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    with pytest.raises(ValueError, match="bad input"), library.bundling():
        raise ValueError("bad input")
    assert begun[0].returncode is not None


def test_a_process_that_fails_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(library.sys, "executable", "/bin/false")
    with library.bundling() as wait, pytest.raises(RuntimeError, match="ended with 1"):
        wait()
