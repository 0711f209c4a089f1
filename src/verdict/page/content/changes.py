"""What changed since an earlier verdict, and whether it is more than noise (``verdict.court.diff``)."""

from typing import Any

from verdict.page import effects
from verdict.page.content.naming import Naming
from verdict.page.content.order import CONDITION, joined


def changes(naming: Naming) -> dict[str, Any] | None:
    """Labels that differ, and the conditions that changed by more than noise; None without an earlier verdict."""
    if naming.inputs.earlier is None:
        return None
    from verdict.court.diff import diff  # with it comes scipy, which takes longer than this page's texts

    found = diff(naming.inputs.earlier, naming.inputs.verdict)
    beyond = [one for one in found["conditions"] if one["finding"] == "more_than_noise"]
    return {
        "claims": [claim for claim in found["claims"] if claim["a"] != claim["b"]],
        "conditions": [
            {
                "claim": one["claim"],
                "what": joined([naming.words.name("metric", one["b"]["metric"]), *_where(naming, one)], " · "),
                "sides": [_said(one[side]) for side in ("a", "b")],
                "labels": [one[side]["label"] for side in ("a", "b")],
            }
            for one in beyond
        ],
        "tested": found["tested"],
        "new": len(found["only_b"]),
        "gone": len(found["only_a"]),
        "docket": not found["inputs"]["docket_sha256"]["same"],
    }


def _where(naming: Naming, one: dict[str, Any]) -> list[Any]:
    sides, words = one["condition"], naming.words
    named = [words.name(name, sides[name]) for name in CONDITION if name not in ("variable", "at") and sides[name]]
    return [*named, *([naming.at(sides["variable"], naming.fig.at(sides["at"]))] if sides["at"] is not None else [])]


def _said(entry: dict[str, Any]) -> str:
    estimate, low, high = (effects.show(entry, entry[key]) for key in ("estimate", "low", "high"))
    return estimate if entry["low"] in (None, entry["high"]) else f"{estimate} [{low}, {high}]"
