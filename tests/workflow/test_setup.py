"""What the Makefile sets up."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_bytecode_is_kept_where_the_environment_forbids_it():
    """Packages are installed without bytecode: else every job would compile all that it imports."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "KEPT": "1"}
    # what a recipe of the Makefile finds in its environment
    command = ["make", "--silent", "--eval", "shown: ; @env", "shown"]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert "KEPT=1" in found
    assert "PYTHONDONTWRITEBYTECODE" not in found
