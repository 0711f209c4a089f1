"""What a judged test is called on the page: its sides, its metric, its condition and its effect, in words."""

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from verdict.page import effects
from verdict.page.content.order import CONDITION, joined
from verdict.page.figures import NARROW, Figures, pointer
from verdict.page.inputs import Inputs
from verdict.page.words import Words

Row = dict[str, Any]
#: units that the metric's name says already, or that are none
SAID = ("", "ratio", "points", "exponent", "bit/byte", "points per doubling", "matrix products")
#: values that are no condition: counted on no device, and at a width that the variant's name says is equal
UNSAID = {("device", "none"), ("matching", "width")}


class Naming:
    """The inputs with the words and figures that name what is in them."""

    def __init__(self, inputs: Inputs, words: Words) -> None:
        self.inputs, self.words, self.fig = inputs, words, Figures(words)
        self.run_ids: dict[str, str] = inputs.ledger.get("runs", {})

    def side(self, test: dict[str, Any], architecture: str) -> Markup:
        """The name of one side; of the baseline, which one it is."""
        if architecture == "baseline" and test["baseline"]:
            return self.words.name("baseline", test["baseline"])
        return self.words.name("architecture", architecture)

    def metric(self, test: dict[str, Any]) -> Markup:
        """The metric's name; where gains are compared, what they are gains over."""
        metric, over = self.words.name("metric", test["metric"]), test.get("relative_to") or {}
        if not over:
            return metric
        than = joined((self.words.name(name, value) for name, value in over.items()), " · ")
        return self.words.t("test.gain", metric=metric, than=than)

    def unit(self, unit: str, metric: Markup) -> Markup:
        """The unit's name; nothing where the metric's name says it."""
        return Markup("") if unit in SAID or f"({unit})" in metric else self.words.name("unit", unit)

    def effect(self, test: dict[str, Any]) -> Markup:
        """The effect with its interval, as figures of verdict.json."""
        if test["estimate"] is None:
            return Markup("–")
        figure = self.fig.verdict(test["estimate"], test["pointer"] + "/estimate", text=test["show"](test["estimate"]))
        if test["low"] is None or test["low"] == test["high"]:  # a count has no interval
            return figure
        low, high = (
            self.fig.verdict(test[end], f"{test['pointer']}/{end}", text=test["show"](test[end]))
            for end in ("low", "high")
        )
        return Markup('{} <span class="nobr range">[{}, {}]</span>').format(figure, low, high)

    @staticmethod
    def never(test: dict[str, Any]) -> str:
        """How a target was missed, also where the decision made of that was taken back by the correction."""
        return str(test["why"]) if test["why"].startswith("never") else "never"

    def corrected(self, test: dict[str, Any]) -> Markup:
        """The interval by which the test is judged among the others of its area; nothing where there is none."""
        ends = [(end, test.get(end)) for end in ("corrected_low", "corrected_high")]
        if any(value is None for _, value in ends):
            return Markup("–")
        low, high = (self.fig.verdict(v, f"{test['pointer']}/{end}", text=test["show"](v)) for end, v in ends)
        return Markup('<span class="nobr range">[{}, {}]</span>').format(low, high)

    def chips(self, test: dict[str, Any], names: Sequence[str], at: str = "/condition/at") -> list[Markup]:
        """The named sides of a test in words; a swept variable and its value are one chip."""
        found, sides = [], test["sides"]
        for name in names:
            value = sides[name]
            if value in (None, "") or (name, value) in UNSAID or (name == "variable" and sides["at"] is not None):
                continue
            if name == "at":
                shown = self.fig.verdict(value, test["pointer"] + at)
                found.append(self.at(sides["variable"], shown))
            elif name == "against":
                found.append(self.words.t("test.against", name=self.side(test, value)))
            else:
                found.append(self.words.name(name, value))
        return found

    def at(self, variable: str, shown: Any) -> Markup:
        """A value of a swept variable: “64 tokens per sequence”."""
        key = "at." + variable
        if key in self.words:
            return self.words.t(key, at=shown)
        return Markup("{} {}").format(self.words.name("variable", variable), shown)

    def situation(self, number: int, situation: dict[str, Any]) -> dict[str, Any]:
        """A line of the final table as ``effect`` and ``chips`` take it, with what both sides measured (``means``)."""
        judged, place = self.inputs.verdict["final"]["tests"][number], pointer("final", "tests", number)
        sides = (("favoured", judged["favoured"]), ("against", judged["against"]))
        means = [
            Markup("{} {}").format(
                self.side(judged, name),
                self.fig.verdict(judged[f"{key}_mean"], f"{place}/{key}_mean", judged["unit"], judged["metric"]),
            )
            for key, name in sides
            if judged[f"{key}_mean"] is not None
        ]
        unit = self.unit(judged["unit"], self.words.name("metric", judged["metric"]))
        test = {
            "means": Markup("{} {}").format(self.listed(means), unit) if means else Markup(""),
            "unit": "points" if situation["effect"] == "difference" else "",
            **situation,
            "pointer": pointer("final", "situations", number),
            "sides": {name: situation.get(name) for name in CONDITION} | {"against": self._rival(number, situation)},
            "baseline": None,
        }
        return {**test, "show": lambda value: effects.show(test, value)}

    def _rival(self, number: int, situation: dict[str, Any]) -> str:
        """Whom a situation compares with, where others of its metric and task compare with somebody else."""
        tests, found = self.inputs.verdict["final"]["tests"], self.inputs.verdict["final"]["situations"]
        about = ("criterion", "task", "metric")
        rivals = {
            test["against"]
            for test, other in zip(tests, found, strict=True)
            if all(other.get(key) == situation.get(key) for key in about)
        }
        return str(tests[number]["against"]) if len(rivals) > 1 else ""

    def listed(self, parts: Iterable[Any]) -> Markup:
        """Parts with commas between them, each language's own."""
        return joined(parts, self.words.t("list.comma"))

    def level(self) -> Markup:
        """The confidence level of every interval."""
        level = self.inputs.verdict["level"]
        return self.fig.verdict(level, pointer("level"), text=f"{100 * level:g}{NARROW}%")
