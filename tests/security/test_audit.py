"""The audit says when it could not be made, and does not pass for one that was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("arguments", "code"), [([], 3), (["--if-reachable"], 0)])
def test_a_service_that_does_not_answer_is_told(arguments: list[str], code: int) -> None:
    nowhere = {name: "http://127.0.0.1:9" for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY")}
    environment = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"} | nowhere
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/audit.py"), *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == code
    assert done.stderr.startswith("NOT AUDITED: https://pypi.org")
    assert len(done.stderr.splitlines()) == 1


def test_continuous_integration_audits() -> None:
    assert "\n.venv/bin/python tests/audit.py --if-reachable\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "pip-audit==" in (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
