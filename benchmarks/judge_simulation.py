"""How often the judge errs, and how often it finds what is there: worlds of chance in which the truth is known.

    python benchmarks/judge_simulation.py

Prints Markdown tables; docs/statistics.md shows them and says how to read them. The judge is the real one: error rates
come from whole tables of evidence given to ``judge``, power and coverage of single intervals from ``weigh``. Noise is
the standard deviation over seeds of one paired difference (of the other side's part, for a share), in margins.
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from verdict.court import claims as docket
from verdict.court import evidence
from verdict.court.claims import Claims
from verdict.court.judge import Case, combine, correct, judge
from verdict.court.sides import Sides
from verdict.court.weighing import weigh
from verdict.measure import items
from verdict.measure.scaling import power_law

WORDS = {"en": "-", "zh": "-"}
LEVEL = 0.95
GAIN = 10.0  # of the favoured side over the baseline, in margins, where a share of it is judged

#: rule -> conditions of its claim, and the true effect (in margins) in three worlds: sides equal; at the border, where
#: neither supported nor contradicted is true; planted, one margin beyond the border on the claim's side
RULES: dict[str, tuple[int, dict[str, float]]] = {
    "superior": (6, {"equal": 0.0, "border": 1.0, "planted": 2.0}),
    "at_least": (4, {"equal": 0.0, "border": 1.0, "planted": 2.0}),
    "non_inferior": (3, {"equal": 0.0, "border": -1.0, "planted": 0.0}),
    "share_at_most": (3, {"equal": 1.0, "border": 0.5, "planted": 0.0}),  # the share itself
}
#: labels of a claim or condition that are false where both sides are equal; at the border all decisions are
FALSE_IF_EQUAL = {
    "superior": {"supported", "contradicted", "only_when"},
    "at_least": {"supported", "only_when"},  # an effect of 0 does contradict a claimed size
    "non_inferior": {"contradicted", "only_when"},  # and is not inferior
    "share_at_most": {"supported", "only_when"},
}
DECISIONS = {"supported", "contradicted", "tie", "only_when"}


def docket_of_rules() -> Claims:
    """One area with one claim for each rule."""
    baseline = {"architecture": "baseline", "select": {"experiment": "baseline"}}
    tests = {
        rule: {
            "name": rule, "reads": WORDS, "metric": rule, "select": {"experiment": "training"},
            "favoured": "a", "against": "b", "direction": "more",
            "effect": "share" if rule == "share_at_most" else "difference", "rule": rule,
            "margin": {
                "value": 0.5 if rule == "share_at_most" else 1.0, "unit": "-", "reason": WORDS,
                **({"equal": 0.5} if rule == "at_least" else {}),
            },
            **({"baseline": baseline} if rule == "share_at_most" else {}),
        }
        for rule in RULES
    }  # fmt: skip
    return docket.parse(
        {
            "schema": 1, "level": LEVEL, "rules": dict.fromkeys(RULES, WORDS),
            "architectures": dict.fromkeys(("a", "b", "baseline"), WORDS), "metrics": dict.fromkeys(RULES, WORDS),
            "areas": {"A": WORDS}, "final": {"text": WORDS, "measured": WORDS},
            "claims": [
                {"id": f"A{number}", "area": "A", "text": WORDS, "measured": WORDS, "tests": [tests[rule]]}
                for number, rule in enumerate(RULES)
            ],
        }
    )  # fmt: skip


def tables(world: str, noise: float, seeds: int, count: int, rng: np.random.Generator) -> Iterable[Any]:
    """Evidence tables of one world; only their values differ, so the frame is made once."""
    shared = {"unit": "-", "better": "neither", "run": "simulated"}
    places = [
        {"experiment": "training", "metric": rule, "task": f"t{k}", "architecture": name, "replicate": seed, **shared}
        for rule, (conditions, _) in RULES.items() for k in range(conditions) for name in "ab" for seed in range(seeds)
    ]  # fmt: skip
    places += [
        {"experiment": "baseline", "metric": "share_at_most", "task": f"t{k}", "architecture": "baseline", **shared}
        for k in range(RULES["share_at_most"][0])
    ]
    frame = evidence.frame([{**place, "value": 0.0} for place in places])
    means = np.array([_mean(row, world) for row in frame.iter_rows(named=True)])
    spread = np.where(frame["architecture"].to_numpy() == "baseline", 0.0, noise / math.sqrt(2))
    spread = spread * np.where(frame["metric"].to_numpy() == "share_at_most", 0.5 * GAIN, 1.0)
    for _ in range(count):
        yield frame.with_columns(value=means + spread * rng.standard_normal(len(means)))


def _mean(row: dict[str, Any], world: str) -> float:
    effect = RULES[row["metric"]][1][world]
    if row["architecture"] == "baseline":
        return 0.0
    if row["metric"] == "share_at_most":
        return GAIN * (effect if row["architecture"] == "b" else 1.0)
    return effect if row["architecture"] == "a" else 0.0


def error_rates(claims: Claims, counts: int, noises: Sequence[float], seeds: int, rng: np.random.Generator) -> None:
    """False labels of claims in whole tables, with and without the correction over the area."""
    print("| world | noise | rule | conditions | supported or contradicted | only when | any false label |"
          " the same uncorrected |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    each = counts // (2 * len(noises))
    for world in ("equal", "border"):
        for noise in noises:
            found: dict[tuple[str, str], Counter[str]] = {}
            false: Counter[tuple[str, str]] = Counter()
            for table in tables(world, noise, seeds, each, rng):
                wrong = {"label": False, "uncorrected_label": False}
                for claim, rule in zip(judge(claims, table)["claims"], RULES, strict=True):
                    lies = FALSE_IF_EQUAL[rule] if world == "equal" else DECISIONS
                    for kind in wrong:
                        found.setdefault((rule, kind), Counter())[claim[kind]] += 1
                        # only_when tells of each condition; it is false if any decision in it is
                        parts = {claim[kind]} if claim[kind] != "only_when" else {t[kind] for t in claim["tests"]}
                        false[rule, kind] += bool(parts & lies)
                        wrong[kind] |= bool(parts & lies)
                for kind, any_wrong in wrong.items():
                    false["area", kind] += any_wrong
            for rule, (conditions, _) in RULES.items():
                told = found[rule, "label"]
                decided = told["supported"] + told["contradicted"]
                rates = [decided, told["only_when"], false[rule, "label"], false[rule, "uncorrected_label"]]
                cells = " | ".join(f"{value / each:.2%}" for value in rates)
                print(f"| {world} | {noise:g} | {rule} | {conditions} | {cells} |")
            area = [false["area", kind] / each for kind in ("label", "uncorrected_label")]
            print(f"| {world} | {noise:g} | **any of the four** | | | | **{area[0]:.2%}** | **{area[1]:.2%}** |")


def power(claims: Claims, noises: Sequence[float], count: int, tables_each: int, rng: np.random.Generator) -> None:
    """How often what is planted is found: single tests, and claims whose every condition is planted."""
    print("| seeds | noise | one test | claim of 6 conditions, uncorrected | corrected over the area |")
    print("|---|---|---|---|---|")
    test = claims.claims[0].tests[0]
    for seeds in (3, 5, 10):
        for noise in noises:
            draws = 2.0 + noise * rng.standard_normal((count, seeds))
            single = sum(weigh(test, _sides(row), LEVEL).label == "supported" for row in draws) / count
            labels: dict[str, list[bool]] = {"uncorrected_label": [], "label": []}
            for table in tables("planted", noise, seeds, tables_each, rng):
                superior = judge(claims, table)["claims"][0]
                for kind, hits in labels.items():
                    hits.append(superior[kind] == "supported")
            cells = " | ".join(f"{np.mean(hits):.0%}" for hits in labels.values())
            print(f"| {seeds} | {noise:g} | {single:.0%} | {cells} |")


def mixed(claims: Claims, count: int, rng: np.random.Generator) -> None:
    """False decisions in a claim of which some conditions are truly contradicted and others lie at the border, in an
    area whose three other claims are found: five seeds, noise 0.5."""
    print("| truly contradicted | at the border | called only when | any false decision | false, of the decisions |")
    print("|---|---|---|---|---|")
    test = claims.claims[0].tests[0]

    def cases(effects: Sequence[float]) -> list[Case]:
        worlds = [_sides(effect + 0.5 * rng.standard_normal(5)) for effect in effects]
        return [Case(test, {}, sides, weigh(test, sides, LEVEL)) for sides in worlds]

    for contradicted, border in ((5, 5), (10, 10), (20, 20), (0, 20)):
        effects, hits, shares = [-2.0] * contradicted + [1.0] * border, Counter[str](), []
        for _ in range(count):
            claim, *_ = correct([cases(effects), *([case] for case in cases([2.0] * 3))], LEVEL)
            false = sum(case.label in DECISIONS for case in claim[contradicted:])
            hits["only when"] += combine(case.label for case in claim) == "only_when"
            hits["any"] += false > 0
            shares.append(false / max(1, sum(case.label in DECISIONS for case in claim)))
        told = f"{hits['only when'] / count:.1%} | {hits['any'] / count:.1%} | {np.mean(shares):.1%}"
        print(f"| {contradicted} | {border} | {told} |")


def _sides(differences: Sequence[float] | np.ndarray, items_error: float = 0.0, groups: int = 0) -> Sides:
    favoured: dict[int | None, float] = {seed: float(value) for seed, value in enumerate(differences)}
    told: list[list[dict[str, Any]]] = [[{"value": value}] if items_error else [] for value in (items_error, groups)]
    return Sides(favoured, dict.fromkeys(favoured, 0.0), items=told[0], groups=told[1])


def coverage(claims: Claims, count: int, rng: np.random.Generator) -> None:
    """How often the interval holds the true effect, 0."""
    test = claims.claims[0].tests[0]
    print("| noise over replicates | error due to test items | replicates | holds the truth |\n|---|---|---|---|")

    def line(kind: str, told: str, replicates: int, worlds: Iterable[Sides]) -> None:
        estimates = [weigh(test, sides, LEVEL).estimate for sides in worlds]
        hits = [e.low <= 0 <= e.high for e in estimates if e and e.low is not None and e.high is not None]
        print(f"| {kind} | {told} | {replicates} | {np.mean(hits):.1%} |")

    kinds: dict[str, Callable[[int], np.ndarray]] = {
        "normal": rng.standard_normal,
        "heavy tails (t, 3 degrees)": lambda size: rng.standard_t(3, size),
        "skewed (lognormal less its mean)": lambda size: rng.lognormal(0, 1, size) - math.exp(0.5),
        "rounds that hang together (AR 0.3)": lambda size: _autoregressive(0.3, size, rng),
        "rounds that hang together (AR 0.6)": lambda size: _autoregressive(0.6, size, rng),
    }
    for kind, draw in kinds.items():
        for replicates in (3, 5):
            line(kind, "none", replicates, (_sides(draw(replicates)) for _ in range(count)))
    for groups, told in ((200, "left out"), (200, "added"), (25, "added"), (7, "added")):
        drawn = items.resamples(range(groups), 300, 0)
        for relative in (0.25, 0.5, 1.0, 2.0):
            for replicates in (3, 5):
                worlds = (_crossed(replicates, relative, drawn, told == "added", rng) for _ in range(count // 2))
                line("normal", f"{relative:g} of the seeds', {groups} groups, {told}", replicates, worlds)


def exponents(claims: Claims, count: int, rng: np.random.Generator) -> None:
    """How often two intervals of an exponent hold the planted one, 0.1: t over the fits of the seeds, which the judge
    uses, and the percentile bootstrap over seeds. Losses after 1, 2, 4 and 8 parts of the tokens, with noise of 2 %."""
    test, amounts = claims.claims[0].tests[0], np.array([1.0, 2.0, 4.0, 8.0])
    print("| seeds | t over the seeds' fits | percentile bootstrap over seeds |\n|---|---|---|")
    for seeds in (3, 5, 10):
        noise = np.exp(0.02 * rng.standard_normal((count, seeds, len(amounts))))
        worlds = [[power_law(amounts, amounts**-0.1 * one)[0] - 0.1 for one in world] for world in noise]
        told = [weigh(test, _sides(world), LEVEL).estimate for world in worlds]
        t = np.mean([e.low <= 0 <= e.high for e in told if e and e.low is not None and e.high is not None])
        drawn = rng.integers(seeds, size=(1000, seeds))
        ends = [np.percentile(np.asarray(world)[drawn].mean(1), (2.5, 97.5)) for world in worlds]
        print(f"| {seeds} | {t:.1%} | {np.mean([low <= 0 <= high for low, high in ends]):.1%} |")


def _autoregressive(correlation: float, size: int, rng: np.random.Generator) -> np.ndarray:
    values = np.empty(size)
    values[0] = rng.standard_normal()
    for i in range(1, size):
        values[i] = correlation * values[i - 1] + math.sqrt(1 - correlation**2) * rng.standard_normal()
    return values


def _crossed(seeds: int, relative: float, drawn: np.ndarray, told: bool, rng: np.random.Generator) -> Sides:
    """Seeds × groups of test items: what moves a seed, what items do to all seeds, and what they do to one alone."""
    size = drawn.shape[1]
    own, alone = rng.standard_normal(seeds)[:, None], rng.standard_normal((seeds, size)) * math.sqrt(size)
    shared = rng.standard_normal(size) * math.sqrt(2 * size / seeds) * relative
    values = own + alone + shared  # the seeds' standard error is √(2 / seeds)
    error = items.shared_error((drawn @ values.T / (size - 1)).T) if told else 0.0
    return _sides(values.mean(1), error, size)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=10_000, help="tables without an effect (default: %(default)s)")
    parser.add_argument(
        "--worlds", type=int, default=4000, help="worlds of each single interval (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, claims, begun = np.random.default_rng(given.seed), docket_of_rules(), time.time()
    for seeds in (3, 5):
        print(f"### Without an effect ({given.tables:,} tables in four kinds of world, {seeds} seeds)\n")
        error_rates(claims, given.tables, (0.25, 2.0), seeds, rng)
        print()
    print("### One margin beyond the border\n")
    power(claims, (0.1, 0.25, 0.5, 0.75, 1.0, 2.0), given.worlds // 4, max(1, given.worlds // 20), rng)
    print("\n### Where a claim's conditions differ in truth\n")
    mixed(claims, given.worlds // 2, rng)
    print("\n### Coverage of the 95 % intervals\n")
    coverage(claims, given.worlds, rng)
    print("\n### Coverage of intervals of exponents\n")
    exponents(claims, given.worlds, np.random.default_rng(given.seed))
    print(f"\n{time.time() - begun:.0f} s")


if __name__ == "__main__":
    main()
