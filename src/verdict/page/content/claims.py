"""The docket's areas and claims as cards: finding, conditions, charts, tests, and what would change the verdict."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from verdict.page import charts, effects
from verdict.page.content.naming import Naming
from verdict.page.content.order import CONDITION, LABELS, unique
from verdict.page.content.panels import Gallery
from verdict.page.figures import pointer

CONDITIONS_SHOWN = 4
#: how a run is named → the rule that makes it, where they differ
RULES = {"train": "train_model", "generation": "speed", "device": "machine", "algorithms": "evaluate_answers"}


def areas(naming: Naming, claims: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Areas in the docket's order, each with its claims."""
    inputs = naming.inputs
    return [
        {
            "id": area,
            "name": text.model_dump(),
            "label": judged["label"],
            "counts": [(label, judged["counts"].get(label, 0)) for label in LABELS],
            "claims": [claim for claim in claims if claim["area"] == area],
        }
        for area, text in inputs.claims.areas.items()
        for judged in [inputs.verdict["areas"][area]]
    ]


def cards(naming: Naming, gallery: Gallery) -> list[dict[str, Any]]:
    """A card for every claim, in the docket's order."""
    return [_card(naming, gallery, i, judged) for i, judged in enumerate(naming.inputs.verdict["claims"])]


def findings(naming: Naming) -> dict[str, Markup]:
    """The finding on every claim in one sentence, by the claim's id."""
    return {
        judged["id"]: _sentence(naming, judged, _tests(naming, i, judged))
        for i, judged in enumerate(naming.inputs.verdict["claims"])
    }


def _card(naming: Naming, gallery: Gallery, index: int, judged: dict[str, Any]) -> dict[str, Any]:
    words = naming.words
    claim = naming.inputs.claims.claim(judged["id"])
    tests = _tests(naming, index, judged)
    panels = gallery.of_tests(tests)
    is_split = judged["label"] == "only_when"
    return {
        "id": claim.id,
        "area": claim.area,
        "label": judged["label"],
        "text": claim.text.model_dump(),
        "short": words.t("short." + claim.id) if "short." + claim.id in words else words.both(claim.text.model_dump()),
        "measured": claim.measured.model_dump(),
        "tests": tests,
        "told": _told(tests),
        "panels": panels,
        "architectures": charts.arranged(
            name
            for item in panels
            if item["panel"].kind not in ("parts", "gap")
            for name in item["panel"].architectures
        ),
        "sentence": _sentence(naming, judged, tests),
        "change": _change(naming, judged, tests),
        "when": _conditions(naming, tests, ("supported",)) if is_split else [],
        "unless": _conditions(naming, tests, ("contradicted", "tie")) if is_split else [],
        "groups": _grouped(tests),
        "again": _again(tests),
        "rows": sorted({row for test in tests for row in test["rows"]}),
        "published": [quoted.model_dump() for quoted in claim.published],
        "rules": unique(test["rule_words"] for test in tests),
        "margins": [words.both(reason) for reason in unique(test.margin.reason.model_dump() for test in claim.tests)],
    }


def _tests(naming: Naming, index: int, judged: dict[str, Any]) -> list[dict[str, Any]]:
    """A claim's comparisons that were tried, each with the words that tell it from the others."""
    settings = {test.name: test for test in naming.inputs.claims.claim(judged["id"]).tests}
    tests = [
        _test(naming, test, pointer("claims", index, "tests", i), settings)
        for i, test in enumerate(judged["tests"])
        if test["label"] != "not_tried"
    ]
    telling = _telling(tests)
    for test in tests:
        test["telling_chips"] = naming.chips(test, telling)
    for test in _alike(tests, by="effect"):
        test["telling_chips"].append(naming.words.t("effect." + test["effect"]))
    for test in _alike(tests, by="name"):
        test["ambiguous"] = True
    return tests


def _test(naming: Naming, test: dict[str, Any], where: str, settings: dict[str, Any]) -> dict[str, Any]:
    known = settings.get(test["name"])
    sides = {
        **{name: test["condition"].get(name) for name in CONDITION},
        "against": test["against"],
        "effect": test["effect"],
    }
    judged = {**test, "pointer": where, "sides": sides}
    return {
        **judged,
        "metric_name": naming.metric(test),
        "ambiguous": False,
        "condition_chips": naming.chips(judged, CONDITION),
        "reads": known.reads.model_dump() if known else None,
        "rule_words": naming.inputs.claims.rules[test["rule"]].model_dump(),
        "geometry": effects.geometry(test),
        "spoken": f"{effects.show(test, test['estimate'])} [{effects.show(test, test['low'])}, "
        f"{effects.show(test, test['high'])}]",
        "show": lambda value: effects.show(test, value),
        "show_margin": effects.show(test, test["margin"], signed=False),
    }


def _told(tests: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The comparison that stands for the claim: the docket's first of which anything can be said, whatever it says. One
    chosen by its outcome would make every claim look like the best of its comparisons."""
    return next((test for test in tests if test["why"] != "never_both"), next(iter(tests), None))


def _sentence(naming: Naming, judged: dict[str, Any], tests: Sequence[dict[str, Any]]) -> Markup:
    """The finding in one sentence: the docket's first comparison, and how the others came out."""
    words, fig = naming.words, naming.fig
    test = _told(tests)
    if test is None:
        return words.t("finding.not_tried")
    common = {
        "where": naming.listed(test["condition_chips"]),
        "metric": test["metric_name"],
        "favoured": naming.side(test, test["favoured"]),
        "against": naming.side(test, test["against"]),
        "first": fig.verdict(test["favoured_mean"], test["pointer"] + "/favoured_mean", test["unit"], test["metric"]),
        "second": fig.verdict(test["against_mean"], test["pointer"] + "/against_mean", test["unit"], test["metric"]),
        "effect": naming.effect(test),
        "label": words.t("label." + test["label"]),
        "margin": _margin(naming, test),
    }
    key = naming.never(test) if test["never"] else test["effect"] if test["low"] is not None else "no_interval"
    sentence = words.t("finding." + key, **common)
    if test["why"] == "corrected":
        alone = words.t("label." + test["uncorrected_label"])
        strict = naming.corrected(test)
        sentence = Markup("{} {}").format(sentence, words.t("finding.corrected", alone=alone, interval=strict))
    if test["why"] == "unlearned":
        sentence = Markup("{} {}").format(sentence, words.t("finding.unlearned"))
    if len(tests) > 1:
        counts = [(label, sum(other["label"] == label for other in tests)) for label in LABELS]
        listed = naming.listed(words.t("counted." + label, n=count) for label, count in counts if count)
        sentence = Markup("{} {}").format(sentence, words.t("finding.of_all", n=len(tests), counts=listed))
    if untried := sum(other["label"] == "not_tried" for other in judged["tests"]):
        sentence = Markup("{} {}").format(sentence, words.t("finding.untried", n=untried))
    return sentence


def _change(naming: Naming, judged: dict[str, Any], tests: Sequence[dict[str, Any]]) -> list[Markup]:
    """What would change the verdict: the closest call among the decided comparisons, the cheapest of the open ones."""
    words, told = naming.words, []
    if not tests:
        return [words.t("change.not_tried")]
    closest = min((test for test in tests if effects.distance(test) is not None), key=_distance, default=None)
    if closest:
        told.append(
            words.t(
                "change.closest",
                where=naming.listed([closest["metric_name"], *closest["telling_chips"]]),
                label=words.t("label." + closest["label"]),
                effect=naming.effect(closest),
                margin=_margin(naming, closest),
            )
        )
    still_open = [test for test in tests if test["label"] == "inconclusive"]
    cheapest = min((t for t in still_open if t["needed_pairs"]), key=lambda test: test["needed_pairs"], default=None)
    if cheapest:
        told.append(
            words.t(
                "change.replicates",
                where=naming.listed([cheapest["metric_name"], *cheapest["telling_chips"]]),
                n=naming.fig.verdict(cheapest["needed_pairs"], cheapest["pointer"] + "/needed_pairs"),
                pairs=naming.fig.verdict(cheapest["pairs"], cheapest["pointer"] + "/pairs"),
            )
        )
    elif still_open:
        told.append(words.t("change.unknown"))
    if judged["label"] == "only_when":
        told.append(words.t("change.only_when"))
    return told


def _distance(test: dict[str, Any]) -> float:
    found = effects.distance(test)
    assert found is not None
    return found


def _again(tests: Sequence[dict[str, Any]]) -> list[str]:
    """The rules of the workflow that measure what these tests read, known by how their runs are named."""
    kinds = {run.split("/")[0] for test in tests for run in test["runs"]}
    return sorted({RULES.get(kind, kind) for kind in kinds})


def _margin(naming: Naming, test: dict[str, Any]) -> Markup:
    return naming.fig.verdict(test["margin"], test["pointer"] + "/margin", text=test["show_margin"])


def _conditions(naming: Naming, tests: Sequence[dict[str, Any]], labels: Sequence[str]) -> list[list[Markup]]:
    """Where tests got one of these labels, said by what tells them apart; the first few, then a count."""
    found = [test for test in tests if test["label"] in labels]
    lines = unique(
        [naming.words.both(test["reads"]) if test["ambiguous"] and test["reads"] else test["metric_name"],
         *test["telling_chips"]]
        for test in found
    )  # fmt: skip
    if len(lines) > CONDITIONS_SHOWN:
        more = len(lines) - CONDITIONS_SHOWN
        lines = [*lines[:CONDITIONS_SHOWN], [naming.words.t("claim.more_conditions", n=more)]]
    return lines


def _telling(tests: Sequence[dict[str, Any]]) -> list[str]:
    """The columns in which a claim's tests differ (the task always)."""
    return [
        name for name in (*CONDITION, "against") if name == "task" or len({test["sides"][name] for test in tests}) > 1
    ]


def _alike(tests: Sequence[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """The tests whose few words another test has, too, although it differs in ``by``."""
    said = [(str(test["metric_name"]), [str(chip) for chip in test["telling_chips"]]) for test in tests]
    return [
        test
        for test, words in zip(tests, said, strict=True)
        if any(words == others and test[by] != other[by] for other, others in zip(tests, said, strict=True))
    ]


def _grouped(tests: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Tests that share a name (one comparison in several conditions) side by side."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for test in tests:
        groups.setdefault(test["name"], []).append(test)
    return list(groups.values())
