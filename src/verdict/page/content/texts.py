"""Texts: what the models wrote, and the cards of the corpora they learnt from."""

import random
from collections.abc import Sequence
from typing import Any

from verdict.page import charts
from verdict.page.content.naming import Naming
from verdict.page.content.order import task_order
from verdict.page.figures import pointer
from verdict.page.inputs import Outputs

SAMPLES = 5
EXAMPLE_LENGTH = 320  # characters of an example or output that are shown


def outputs(naming: Naming) -> list[dict[str, Any]]:
    """Outputs beside references for records of the test set drawn by seed, the same for every model."""
    tasks: dict[str, dict[str, Outputs]] = {}
    for item in sorted(naming.inputs.outputs, key=lambda item: item.run):
        if item.records:
            tasks.setdefault(item.task, {}).setdefault(item.architecture, item)  # the first seed's run
    found = []
    for task in sorted(tasks, key=task_order):
        runs = [tasks[task][name] for name in charts.arranged(tasks[task])]
        variants = {record.get("variant", "") for record in runs[0].records}
        variant = next((name for name in ("beam", "pretrained") if name in variants), min(variants))
        by_source = [
            {_source(record): record for record in reversed(run.records) if record.get("variant", "") == variant}
            for run in runs
        ]
        sources = list(dict.fromkeys(_source(r) for r in runs[0].records if r.get("variant", "") == variant))
        picked = drawn(sources, SAMPLES)
        found.append(
            {
                "task": task,
                "runs": [run.run for run in runs],
                "samples": [
                    {
                        "source": _cut(source),
                        "reference": _cut(by_source[0][source].get("reference", "")),
                        "outputs": [
                            {
                                "architecture": run.architecture,
                                "variant": variant,
                                "output": _cut(records[source].get("output", "")),
                            }
                            for run, records in zip(runs, by_source, strict=True)
                            if source in records
                        ],
                    }
                    for source in picked
                ],
            }
        )
    return found


def drawn(items: Sequence[str], count: int) -> list[str]:
    """``count`` items drawn at random with the seed 0, in their own order: nobody picked them."""
    places = random.Random(0).sample(range(len(items)), min(count, len(items)))
    return [items[place] for place in sorted(places)]


def corpora(naming: Naming) -> list[dict[str, Any]]:
    """Corpus cards in the order of the tasks."""
    found = []
    for card in sorted(naming.inputs.cards, key=lambda card: task_order(card.get("task", ""))):
        splits = card.get("splits") or {}
        sources = []
        for i, source in enumerate(card.get("source") or []):
            sources.append(
                {
                    "name": source.get("package") or source.get("url") or source.get("path") or "",
                    "bytes": source.get("bytes"),
                    "sha256": source.get("sha256", ""),
                    "pointer": pointer("source", i, "bytes"),
                }
            )
        found.append(
            {
                "card": card,
                "source": f"card:{card.get('task', '')}",
                "sources": sources,
                "splits": [
                    (
                        name,
                        {
                            "records": splits[name].get("records"),
                            "characters": _total(splits[name].get("characters")),
                        },
                    )
                    for name in ("train", "valid", "test", "pretrain")
                    if name in splits
                ],
                "examples": [
                    [(key, _cut(str(value))) for key, value in example.items()]
                    for example in (card.get("examples") or [])[:3]
                ],
            }
        )
    return found


def _source(record: dict[str, str]) -> str:
    return record.get("source", record.get("text", ""))


def _cut(text: str) -> str:
    return text if len(text) <= EXAMPLE_LENGTH else text[: EXAMPLE_LENGTH - 1].rstrip() + "…"


def _total(value: Any) -> Any:
    return value if isinstance(value, int | float) else None
