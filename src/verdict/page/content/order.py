"""In which order the page names things, and by which sign."""

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

Row = dict[str, Any]

LABELS = ("supported", "only_when", "tie", "contradicted", "inconclusive", "not_tried")
TASKS = ("lm", "translation", "summarization", "classification")
CRITERIA = ("quality", "training_speed", "time_to_quality", "generation_speed", "memory", "parameters")
#: the columns that tell a condition, in reading order
CONDITION = ("task", "size", "device", "matching", "variant", "variable", "at")


def task_order(task: str) -> tuple[int, str]:
    """Known tasks first, then the others by name."""
    return (TASKS.index(task) if task in TASKS else len(TASKS), task)


def criterion_order(criterion: str) -> int:
    """What most readers care for first."""
    return CRITERIA.index(criterion) if criterion in CRITERIA else len(CRITERIA)


def unique(items: Iterable[Any]) -> list[Any]:
    """The items, each at its first place; they need not be hashable."""
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def joined(parts: Iterable[Any], between: str) -> Markup:
    """Escaped parts with ``between`` (markup) between them."""
    return Markup(between).join(escape(part) for part in parts)
