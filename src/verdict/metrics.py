"""Rows of the evidence table, as every measuring and training job writes them into its metrics.json.

A metrics file: {"run": name, "rows": [...], "job": settings, "started": unix seconds, "seconds": wall-clock seconds}.
The columns are described in ``verdict.court.evidence``.
"""

import math
import time
from pathlib import Path
from typing import Any

from verdict.errors import UserError
from verdict.files import read_json, write_json

#: every column but metric, value, unit and better, with the value that says "does not apply"
BLANK: dict[str, Any] = {
    "experiment": "",
    "task": "",
    "architecture": "",
    "variant": "",
    "matching": "",
    "size": "",
    "replicate": None,
    "device": "",
    "implementation": "",
    "variable": "",
    "at": None,
}


#: what tells how much a comparison on a metric owes to the sample of test items: its standard error (of a difference in
#: the metric's unit, of a ratio that of its logarithm), of how many groups of items that was drawn, and against whom
ITEMS_ERROR, ITEMS_GROUPS, ITEMS_AGAINST = "{metric}.items_error", "{metric}.items_groups", "against:{architecture}"
LOG_RATIO = "log ratio"
#: how a metrics file writes a value that was not reached within the budget (+inf in the table)
NEVER = "never"


def read(path: Path) -> dict[str, Any]:
    """A metrics file; raises ``UserError`` if it is none."""
    told: dict[str, Any] = read_json(path)
    rows = told.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} is not a metrics file; remove it and run again")
    return told


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics file; raises ``UserError`` if it is none."""
    return list(read(path)["rows"])


class Report:
    """Collects the rows of one job and writes its metrics file."""

    def __init__(self, run: str, job: dict[str, Any], **common: Any) -> None:
        self.run, self.job, self.common = run, job, common
        self.started = time.time()
        self.clock = time.monotonic()  # the other may be set meanwhile
        self.rows: list[dict[str, Any]] = []

    def add(self, metric: str, value: float, unit: str, better: str, **columns: Any) -> None:
        """Add a measurement; ``columns`` overrules what all rows of the job have in common.

        Raises ``ValueError`` for a column that the table does not have.
        """
        row = {**BLANK, **self.common, **columns}
        if unknown := set(row) - set(BLANK):
            raise ValueError(f"evidence has no column {sorted(unknown)}")
        told: float | str = NEVER if math.isinf(value) else float(value)  # JSON has no infinity
        self.rows.append({**row, "metric": metric, "value": told, "unit": unit, "better": better, "run": self.run})

    def write(self, path: Path, **more: Any) -> None:
        """Write metrics.json; ``more`` stands in it beside the rows."""
        told = {"run": self.run, "job": self.job, "rows": self.rows, **more}
        write_json(path, {**told, "started": self.started, "seconds": time.monotonic() - self.clock})
