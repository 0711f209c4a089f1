"""The final question: the answer in one sentence, the table of situations, and the same for the chooser."""

from typing import Any

from markupsafe import Markup

from verdict.page import charts
from verdict.page.content.naming import Naming
from verdict.page.content.order import CONDITION, LABELS, criterion_order, task_order
from verdict.page.figures import pointer

DEVICES = ("cpu", "cuda")
#: what a reader is asked for, and the swept variables that answer it
FACETS = {"tokens": ("tokens",), "labels": ("labels",), "length": ("length", "context"), "batch": ("batch",)}


def final(naming: Naming) -> dict[str, Any]:
    """The answer, and the situations in which the evidence favours one side."""
    words, fig = naming.words, naming.fig
    judged_by = naming.inputs.verdict
    judged = judged_by["final"]
    counts = judged["counts"]
    total = sum(counts.values())
    listed = naming.listed(
        words.t("counted." + label, n=fig.verdict(counts[label], pointer("final", "counts", label)))
        for label in LABELS
        if counts.get(label) and label != "not_tried"
    )
    open_ones = counts.get("not_tried", 0)
    sentence = words.t("answer." + judged["label"], counts=listed or "–", tried=total - open_ones)
    if open_ones:
        left = fig.verdict(open_ones, pointer("final", "counts", "not_tried"))
        sentence = Markup("{} {}").format(sentence, words.t("answer.untried", untried=left, total=total))
    return {
        "label": judged["label"],
        "text": naming.inputs.claims.final.text.model_dump(),
        "sentence": sentence,
        "docket_changed": any(
            recorded not in (None, judged_by["docket_sha256"])
            for recorded in (
                judged_by.get("recorded_docket_sha256"),
                *(other.docket_sha256 for other in naming.inputs.others),
            )
        ),
        "situations": _lines(naming),
    }


def _tried(naming: Naming) -> list[dict[str, Any]]:
    found = enumerate(naming.inputs.verdict["final"].get("situations", []))
    return [naming.situation(i, situation) for i, situation in found if situation["label"] != "not_tried"]


def _lines(naming: Naming) -> list[dict[str, Any]]:
    """A line per criterion, task and metric; in it, every condition judged and whom the evidence favours there."""
    lines: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for test in _tried(naming):
        key = (test["criterion"], test.get("task") or "", test["metric"])
        chips = naming.chips(test, [*(name for name in CONDITION if name != "task"), "against"], at="/at")
        lines.setdefault(key, []).append({"favoured": test["favoured"], "chips": chips, "effect": naming.effect(test)})
    order = sorted(lines, key=lambda key: (criterion_order(key[0]), task_order(key[1]), key[2]))
    return [
        {"criterion": criterion, "task": task, "metric": metric, "entries": lines[criterion, task, metric]}
        for criterion, task, metric in order
    ]


def _family(test: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(test.get(name) for name in ("test", "task", "size", "matching"))


def _named_by_place(tried: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """The families of situations whose variants only name the places of what was swept (“twice the trained length”)."""
    variants: dict[tuple[Any, ...], set[tuple[Any, Any]]] = {}
    for test in tried:
        variants.setdefault(_family(test), set()).add((test.get("variant"), test.get("at")))
    return {
        family
        for family, pairs in variants.items()
        if len({variant for variant, _ in pairs}) == len({at for _, at in pairs}) == len(pairs)
    }


def chooser(naming: Naming) -> dict[str, Any]:
    """What the chooser asks (``choices``) and knows (``entries``, one for each situation tried).

    An entry holds the keys that it is chosen by and, as HTML, what is shown of it. What does not depend on a device
    (a count) has none.
    """
    entries = []
    tried = _tried(naming)
    named = _named_by_place(tried)
    for test in tried:
        facet = next((name for name, swept in FACETS.items() if test.get("variable") in swept), "")
        rest = [*(name for name in CONDITION if name not in ("task", "device")), "against"]
        apart = ("test", "size", "matching", *(() if _family(test) in named else ("variant",)))
        entries.append(
            {
                "criterion": test["criterion"],
                "task": test.get("task") or "",
                "device": test["device"] if test.get("device") in DEVICES else "",
                "facet": facet,
                "at": test.get("at") if facet else None,
                # entries that differ in nothing else are one series, of which the nearest value counts
                "series": "|".join(str(test.get(name) or "") for name in apart),
                "favoured": test["favoured"],
                "pointer": test["pointer"],
                "shown": {
                    "metric": str(naming.words.name("metric", test["metric"])),
                    "where": [str(chip) for chip in naming.chips(test, rest, at="/at")],
                    "effect": str(naming.effect(test)),
                    "means": str(test["means"]),
                },
            }
        )
    choices: dict[str, list[Any]] = {
        "criterion": sorted({entry["criterion"] for entry in entries}, key=criterion_order),
        "task": sorted({entry["task"] for entry in entries}, key=task_order),
        "device": sorted({entry["device"] for entry in entries if entry["device"]}),
    }
    for facet in FACETS:
        choices[facet] = sorted({entry["at"] for entry in entries if entry["facet"] == facet and entry["at"]})
    favoured = {entry["favoured"] for entry in entries} - {"no_difference", "unresolved"}
    return {"entries": entries, "choices": choices, "facets": list(FACETS), "favoured": charts.arranged(favoured)}
