"""Known weaknesses of the locked packages, as the Python package index's advisory service tells them (pip-audit).

    make audit                               exit code 0: none is known; 1: some are, or not every package was looked
                                             at; 3: the service does not answer
    python tests/audit.py --if-reachable     the same, but a service that does not answer is told and is no failure

A package that is known to be weak is looked at first: an audit that finds nothing there is none.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import requests

ROOT = Path(__file__).parents[1]
#: a version of many years ago with several advisories, and where the service tells them
WEAK = "jinja2==2.10"
SERVICE = "https://pypi.org/pypi/jinja2/2.10/json"
PIP_AUDIT = ("-m", "pip_audit", "--strict", "--no-deps", "--disable-pip", "--progress-spinner=off", "--requirement")


def silent() -> str:
    """Why the advisory service cannot be asked; "" if it can."""
    try:
        answer = requests.get(SERVICE, timeout=20)
        return "" if answer.ok and answer.json()["vulnerabilities"] else f"status {answer.status_code}, no advisory"
    except (requests.RequestException, ValueError, KeyError) as error:
        return type(error).__name__


def finds_what_is_known() -> bool:
    """Whether pip-audit finds the advisories of the weak package."""
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "weak.lock"
        lock.write_text(f"{WEAK}\n", encoding="utf-8")
        command = [sys.executable, *PIP_AUDIT, str(lock), "--format", "json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        return bool(json.loads(done.stdout)["dependencies"][0]["vulns"])
    except (ValueError, LookupError):
        return False


def main() -> None:
    """Look at the packages of both locks."""
    if why := silent():
        print(f"NOT AUDITED: {SERVICE} does not answer ({why}); run `make audit` where it does", file=sys.stderr)
        sys.exit(0 if sys.argv[1:] == ["--if-reachable"] else 3)
    if not finds_what_is_known():
        sys.exit(f"error: pip-audit finds nothing wrong with {WEAK}, so it cannot be trusted")
    locks = [ROOT / name for name in ("requirements.lock", "requirements-dev.lock")]
    sys.exit(max(subprocess.run([sys.executable, *PIP_AUDIT, str(lock)], check=False).returncode for lock in locks))


if __name__ == "__main__":
    main()
