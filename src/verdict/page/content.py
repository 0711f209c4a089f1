"""From inputs to what the templates show: selected, ordered and named, never averaged."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup, escape

from verdict.page import charts, effects
from verdict.page.figures import NARROW, Figures, pointer
from verdict.page.inputs import Inputs, Outputs
from verdict.page.words import Words

Row = dict[str, Any]

LABELS = ("supported", "only_when", "tie", "contradicted", "inconclusive", "not_tried")
SIGNS = {"supported": "✓", "only_when": "◐", "tie": "＝", "contradicted": "✕", "inconclusive": "?", "not_tried": "○"}
CONDITION = ("task", "size", "device", "matching", "variant", "variable", "at")
TASKS = ("lm", "translation", "summarization", "classification")
METHOD_NOTES = ("one_path", "same_budget", "replicates", "pairing", "bytes", "alone", "margins", "cover")
SCORES = ("bits_per_byte", "chrf", "bleu", "rouge1", "rouge2", "rougeL", "accuracy", "f1")
OVERVIEW = 6  # tests per claim in the overview; the claim's own table has all
CONDITIONS_SHOWN = 4
SAMPLES = 5
EXAMPLE_LENGTH = 320  # characters of an example or output that are shown
DERIVED = {"throughput_kept": "length", "batch_gain": "batch"}  # ratios whose own curve, over this variable, says more
#: columns that tell charts of one metric apart, in this order
APART = ("variant", "size", "implementation", "matching")
CRITERIA = ("quality", "training_speed", "time_to_quality", "generation_speed", "memory", "parameters")


class Content:
    """Builds the page's content; ``panels`` collects the charts drawn, in page order."""

    def __init__(self, inputs: Inputs, words: Words) -> None:
        self.inputs, self.words, self.fig = inputs, words, Figures(words)
        self.panels: list[dict[str, Any]] = []
        self.run_ids: dict[str, str] = inputs.ledger.get("runs", {})

    # the docket and its verdicts

    def areas(self) -> list[dict[str, Any]]:
        """Areas in the docket's order, each with its claims."""
        claims = self.claims()
        return [
            {
                "id": area,
                "name": text.model_dump(),
                "label": judged["label"],
                "counts": [(label, judged["counts"].get(label, 0)) for label in LABELS],
                "claims": [claim for claim in claims if claim["area"] == area],
            }
            for area, text in self.inputs.claims.areas.items()
            for judged in [self.inputs.verdict["areas"][area]]
        ]

    def claims(self) -> list[dict[str, Any]]:
        """Every claim with its tests, sentence and charts."""
        if not hasattr(self, "_claims"):
            self._claims = [self._claim(i, judged) for i, judged in enumerate(self.inputs.verdict["claims"])]
        return self._claims

    def _claim(self, index: int, judged: dict[str, Any]) -> dict[str, Any]:
        claim = self.inputs.claims.claim(judged["id"])
        settings = {test.name: test for test in claim.tests}
        all_tests = [
            self._test(test, pointer("claims", index, "tests", i), settings) for i, test in enumerate(judged["tests"])
        ]
        tests = [test for test in all_tests if test["label"] != "not_tried"]
        telling = _telling(tests)
        for test in tests:
            test["telling_chips"] = self._chips(test, telling)
        for test in _alike(tests, by="effect"):
            test["telling_chips"].append(self.words.t("effect." + test["effect"]))
        for test in _alike(tests, by="name"):
            test["ambiguous"] = True
        panels = self._claim_panels(tests)
        drawn = charts.arranged(
            name for item in panels if item["panel"].kind != "parts" for name in item["panel"].architectures
        )
        overview = _spread(tests, OVERVIEW)
        return {
            "id": claim.id,
            "area": claim.area,
            "label": judged["label"],
            "text": claim.text.model_dump(),
            "short": claim.text.model_dump(),
            "measured": claim.measured.model_dump(),
            "tests": tests,
            "overview": overview,
            "more": len(tests) - len(overview),
            "panels": panels,
            "architectures": drawn,
            "sentence": self._sentence(judged, tests),
            "when": self._conditions(tests, telling, ("supported",)) if judged["label"] == "only_when" else [],
            "unless": self._conditions(tests, telling, ("contradicted", "tie"))
            if judged["label"] == "only_when"
            else [],
            "groups": _grouped(tests),
            "published": [quoted.model_dump() for quoted in claim.published],
            "rules": _unique(test["rule_words"] for test in tests),
            "margins": [
                self.words.both(reason) for reason in _unique(test.margin.reason.model_dump() for test in claim.tests)
            ],
        }

    def _test(self, test: dict[str, Any], where: str, settings: dict[str, Any]) -> dict[str, Any]:
        known = settings.get(test["name"])
        sides = {
            **{name: test["condition"].get(name) for name in CONDITION},
            "against": test["against"],
            "effect": test["effect"],
        }
        judged = {**test, "pointer": where, "sides": sides}
        return {
            **judged,
            "metric_name": self._metric(test),
            "ambiguous": False,
            "condition_chips": self._chips(judged, CONDITION),
            "reads": known.reads.model_dump() if known else None,
            "rule_words": self.inputs.claims.rules[test["rule"]].model_dump(),
            "geometry": effects.geometry(test),
            "spoken": f"{effects.show(test, test['estimate'])} [{effects.show(test, test['low'])}, "
            f"{effects.show(test, test['high'])}]",
            "show": lambda value: effects.show(test, value),
            "show_margin": effects.show(test, test["margin"], signed=False),
        }

    def _sentence(self, judged: dict[str, Any], tests: list[dict[str, Any]]) -> Markup:
        """The finding in one sentence: one telling comparison, and how the others came out."""
        if not tests:
            return self.words.t("finding.not_tried")
        wanted = "supported" if judged["label"] == "only_when" else judged["label"]
        # the first comparison with the claim's own label, one with numbers before one without
        # (of those undecided, one that the correction alone took back)
        test = min(tests, key=lambda test: (test["label"] != wanted, test["why"] != "corrected", test["never"]))
        words = self.words
        where = self._listed(test["condition_chips"])
        common = {
            "where": where,
            "metric": test["metric_name"],
            "favoured": self._side(test, test["favoured"]),
            "against": self._side(test, test["against"]),
            "first": self.fig.verdict(
                test["favoured_mean"], test["pointer"] + "/favoured_mean", test["unit"], test["metric"]
            ),
            "second": self.fig.verdict(
                test["against_mean"], test["pointer"] + "/against_mean", test["unit"], test["metric"]
            ),
            "effect": self._effect(test),
            "label": words.t("label." + test["label"]),
            "margin": self.fig.verdict(test["margin"], test["pointer"] + "/margin", text=test["show_margin"]),
        }
        key = "never" if test["never"] else test["effect"] if test["low"] is not None else "no_interval"
        sentence = words.t("finding." + key, **common)
        if test["why"] == "corrected":
            alone = words.t("label." + test["uncorrected_label"])
            sentence = Markup("{} {}").format(sentence, words.t("finding.corrected", alone=alone))
        if len(tests) > 1:
            counts = [(label, sum(other["label"] == label for other in tests)) for label in LABELS]
            listed = self._listed(words.t("counted." + label, n=count) for label, count in counts if count)
            sentence = Markup("{} {}").format(sentence, words.t("finding.of_all", n=len(tests), counts=listed))
        return sentence

    def _effect(self, test: dict[str, Any]) -> Markup:
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

    def _metric(self, test: dict[str, Any]) -> Markup:
        """The metric's name; where gains are compared, what they are gains over."""
        metric, over = self.words.name("metric", test["metric"]), test.get("relative_to") or {}
        if not over:
            return metric
        than = _joined((self.words.name(name, value) for name, value in over.items()), " · ")
        return self.words.t("test.gain", metric=metric, than=than)

    def _side(self, test: dict[str, Any], architecture: str) -> Markup:
        if architecture == "baseline" and test["baseline"]:
            return self.words.name("baseline", test["baseline"])
        return self.words.name("architecture", architecture)

    def _chips(self, test: dict[str, Any], names: Sequence[str], at: str = "/condition/at") -> list[Markup]:
        """The named sides of a test in words; a swept variable and its value are one chip."""
        found, sides = [], test["sides"]
        for name in names:
            value = sides[name]
            if value in (None, "") or (name == "variable" and sides["at"] is not None):
                continue
            if name == "at":
                key, shown = "at." + sides["variable"], self.fig.verdict(value, test["pointer"] + at)
                found.append(
                    self.words.t(key, at=shown)
                    if key in self.words
                    else Markup("{} {}").format(self.words.name("variable", sides["variable"]), shown)
                )
            elif name == "against":
                found.append(self.words.t("test.against", name=self._side(test, value)))
            else:
                found.append(self.words.name(name, value))
        return found

    def _conditions(
        self, tests: list[dict[str, Any]], telling: Sequence[str], labels: Sequence[str]
    ) -> list[list[Markup]]:
        """Where tests got one of these labels, said by what tells them apart; the first few, then a count."""
        found = [test for test in tests if test["label"] in labels]
        lines = _unique([test["metric_name"], *test["telling_chips"]] for test in found)
        if len(lines) > CONDITIONS_SHOWN:
            more = len(lines) - CONDITIONS_SHOWN
            lines = [*lines[:CONDITIONS_SHOWN], [self.words.t("claim.more_conditions", n=more)]]
        return lines

    def level(self) -> Markup:
        """The confidence level of every interval."""
        level = self.inputs.verdict["level"]
        return self.fig.verdict(level, pointer("level"), text=f"{100 * level:g}{NARROW}%")

    def final(self) -> dict[str, Any]:
        """The answer, and the situations in which the evidence favours one side."""
        judged_by = self.inputs.verdict
        judged = judged_by["final"]
        counts = judged["counts"]
        total = sum(counts.values())
        listed = self._listed(
            self.words.t("counted." + label, n=self.fig.verdict(counts[label], pointer("final", "counts", label)))
            for label in LABELS
            if counts.get(label) and label != "not_tried"
        )
        open_ones = counts.get("not_tried", 0)
        sentence = self.words.t("answer." + judged["label"], counts=listed or "–", tried=total - open_ones)
        if open_ones:
            left = self.fig.verdict(open_ones, pointer("final", "counts", "not_tried"))
            sentence = Markup("{} {}").format(sentence, self.words.t("answer.untried", untried=left, total=total))
        return {
            "label": judged["label"],
            "text": self.inputs.claims.final.text.model_dump(),
            "sentence": sentence,
            "docket_changed": judged_by.get("recorded_docket_sha256") not in (None, judged_by["docket_sha256"]),
            "situations": self._situations(judged),
        }

    def _situations(self, judged: dict[str, Any]) -> list[dict[str, Any]]:
        """A line per criterion, task and metric; in it, every condition judged and whom the evidence favours there."""
        lines: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for i, situation in enumerate(judged.get("situations", [])):
            if situation["label"] == "not_tried":
                continue
            where = pointer("final", "situations", i)
            sides = {name: situation.get(name) for name in CONDITION}
            chips = self._chips(
                {"sides": sides, "pointer": where, "baseline": None},
                ("device", "matching", "variant", "variable", "at"),
                at="/at",
            )
            test = {
                "unit": "points" if situation["effect"] == "difference" else "",
                **situation,
                "pointer": where,
                "margin": 1.0,
                "show": None,
            }
            test["show"] = lambda value, test=test: effects.show(test, value)
            key = (situation["criterion"], situation.get("task", ""), situation["metric"])
            lines.setdefault(key, []).append(
                {"favoured": situation["favoured"], "chips": chips, "effect": self._effect(test)}
            )
        known = {name: i for i, name in enumerate(CRITERIA)}
        order = sorted(lines, key=lambda key: (known.get(key[0], len(known)), _task_order(key[1]), key[2]))
        return [
            {"criterion": criterion, "task": task, "metric": metric, "entries": lines[criterion, task, metric]}
            for criterion, task, metric in order
        ]

    def _listed(self, parts: Iterable[Any]) -> Markup:
        """Parts with commas between them, each language's own."""
        return _joined(parts, self.words.t("list.comma"))

    # charts

    def _add(self, panel: charts.Panel, title: Markup) -> dict[str, Any]:
        item = {"id": f"chart-{len(self.panels) + 1}", "panel": panel, "title": title, "table": self._table(panel)}
        self.panels.append(item)
        return item

    def _title(self, panel: charts.Panel, several_devices: bool = False) -> Markup:
        """What the value axis shows, and where; the other axis has its own title."""
        about, name = panel.about, self.words.name
        parts = [name("task", about["task"])] if about["task"] else []
        parts += [name(column, about[column]) for column in APART if about.get(column)]
        if several_devices and panel.kind != "learning":
            parts.append(name("device", about["device"]))
        return Markup("<b>{}</b> {}").format(name("metric", about["metric"]), _joined(parts, " · "))

    def _claim_panels(self, tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Charts of the very rows that a claim's tests compare: strips, curves, parts, and learning curves."""
        evidence = self.inputs.evidence
        devices = {row["device"] for row in evidence if row["experiment"] in ("speed", "generation")}
        made: dict[tuple[Any, ...], charts.Panel] = {}
        learn: dict[tuple[str, str], None] = {}
        for test in tests:
            task, metric, device = test["sides"]["task"], test["metric"], test["sides"]["device"]
            runs = set(test["runs"])
            rows = [
                row
                for row in evidence
                if row["metric"] == metric
                and row["run"] in runs
                and (test["sides"]["variable"] or row["at"] is None or row["architecture"] == "baseline")
                and (not task or row["task"] == task)
                and (not device or row["device"] == device or row["architecture"] == "baseline")
            ]
            if not rows:
                continue
            experiments = {row["experiment"] for row in rows if row["architecture"] != "baseline"}
            if "anatomy" in experiments:
                variant = test["sides"]["variant"] or rows[0]["variant"]
                for here in sorted({row["task"] for row in rows}, key=_task_order):
                    body = [
                        row
                        for row in evidence
                        if row["experiment"] == "anatomy" and row["task"] == here and row["variant"] == variant
                    ]
                    if any(row["metric"].removeprefix("parameters_") in charts.PARTS for row in body):
                        made.setdefault(("parts", here, variant), charts.parts(body, self.words))
                continue
            sides = {test["favoured"], test["against"], "baseline"}
            for here in sorted({row["task"] for row in rows}, key=_task_order):
                source = metric
                if metric in DERIVED:
                    source = "generated_tokens_per_second" if "generation" in experiments else "train_tokens_per_second"
                swept = [
                    row
                    for row in evidence
                    if row["metric"] == source
                    and row["task"] == here
                    and row["experiment"] in experiments
                    and row["at"] is not None
                    and row["variable"] == (test["sides"]["variable"] or DERIVED.get(metric) or row["variable"])
                    and (not device or row["device"] == device)
                ]
                for variable in sorted({row["variable"] for row in swept}):
                    for apart, body in _apart([row for row in swept if row["variable"] == variable]).items():
                        panel = charts.curve(body, self.words)
                        made.setdefault(
                            ("curve", source, here, variable, device, tuple(sorted(experiments)), apart),
                            replace(panel, about={**panel.about, **dict(apart)}),
                        )
                flat = [
                    row for row in rows if row["task"] == here and row["at"] is None and row["architecture"] in sides
                ]
                if flat and (metric not in DERIVED or not swept):
                    key = ("strip", metric, here, device)
                    before = made[key].rows if key in made else []
                    together = _unique([*before, *flat])
                    made[key] = charts.strip(together, self.words)
                if "training" in experiments or "time_to_quality" in experiments:
                    over = {"flops": "flops", "seconds": "seconds"}.get(test["sides"]["matching"] or "", "tokens")
                    learn.setdefault((here, "seconds" if "time_to_quality" in experiments else over))
        for task, over in learn:
            # the main size alone: others would need colours of their own
            body = [
                row for row in self.inputs.history if row["task"] == task and not row["size"] and (row[over] or 0) > 0
            ]
            if body:
                made[("learning", task, over)] = charts.learning(body, self.words, over)
        return [
            self._add(panel, self._title(panel, len(devices) > 1 and panel.kind != "parts")) for panel in made.values()
        ]

    def _table(self, panel: charts.Panel) -> dict[str, Any]:
        """The panel's rows as a table: a line per model (and swept value), the replicates side by side."""
        if panel.kind == "parts":
            return {}
        lines: dict[tuple[Any, ...], dict[str, Any]] = {}
        name = self.words.name
        for row in panel.rows:
            learning = panel.kind == "learning"
            at = row["tokens"] if learning else row["at"]
            matching = "" if learning else row["matching"]
            line = lines.setdefault((row["architecture"], row["variant"], matching, at), {"values": [], "at": ""})
            if row["architecture"] == "baseline":
                line["name"] = name("baseline", row["variant"])
            else:
                parts = [
                    name("architecture", row["architecture"]),
                    *(
                        name(key, value)
                        for key, value in (("variant", row["variant"]), ("matching", matching))
                        if value
                    ),
                ]
                line["name"] = _joined(parts, " · ")
            if learning:
                line["at"] = self.fig.history(row, "tokens")
                line["values"].append(self.fig.history(row, "valid_bits_per_byte", "bits"))
            else:
                if at is not None:
                    line["at"] = _plain_at(at)
                line["values"].append(self.fig.evidence(row))
        at_title: Markup | str = ""
        if panel.kind == "learning":
            at_title = self.words.t("chart.over.tokens")
        elif panel.kind == "curve":
            at_title = name("variable", panel.about["variable"])
        return {"lines": list(lines.values()), "at": at_title}

    # models, scores, outputs, corpora, machine

    def anatomy(self) -> list[dict[str, Any]]:
        """A group per task and variant: parameters by part, FLOPs per token, and their chart."""
        rows = [row for row in self.inputs.evidence if row["experiment"] == "anatomy"]
        order = (
            "parameters_total",
            "parameters_nonembedding",
            *(f"parameters_{part}" for part in charts.PARTS),
            "flops_per_token",
        )
        groups = []
        for task, variant in sorted(
            {(row["task"], row["variant"]) for row in rows},
            key=lambda key: (key[1] != "matched", key[1], _task_order(key[0])),
        ):
            here = [row for row in rows if row["task"] == task and row["variant"] == variant]
            metrics = [metric for metric in order if any(row["metric"] == metric for row in here)]
            by = {(row["architecture"], row["metric"]): row for row in here}
            drawable = any(row["metric"].removeprefix("parameters_") in charts.PARTS for row in here)
            panel = self._add(charts.parts(here, self.words), self.words.t("chart.parameters")) if drawable else None
            groups.append(
                {
                    "task": task,
                    "variant": variant,
                    "metrics": metrics,
                    "panel": panel,
                    "lines": [
                        {"architecture": name, "rows": [by.get((name, metric)) for metric in metrics]}
                        for name in charts.arranged(row["architecture"] for row in here)
                    ],
                }
            )
        return groups

    def scores(self) -> list[dict[str, Any]]:
        """Per task: every model's test scores, replicate by replicate, beside the baselines'."""
        rows = [
            row
            for row in self.inputs.evidence
            if row["metric"] in SCORES
            and (
                row["experiment"] == "baseline"
                or (row["experiment"] == "training" and row["matching"] in ("", "parameters"))
            )
        ]
        found = []
        for task in sorted({row["task"] for row in rows}, key=_task_order):
            here = [row for row in rows if row["task"] == task]
            metrics = [metric for metric in SCORES if any(row["metric"] == metric for row in here)]
            names = charts.arranged(row["architecture"] for row in here)
            models = sorted({(names.index(row["architecture"]), row["architecture"], row["variant"]) for row in here})
            lines = [
                {
                    "architecture": architecture,
                    "variant": variant,
                    "cells": [
                        sorted(
                            (
                                row
                                for row in here
                                if (row["architecture"], row["variant"], row["metric"])
                                == (architecture, variant, metric)
                            ),
                            key=lambda row: row["replicate"] or 0,
                        )
                        for metric in metrics
                    ],
                }
                for _, architecture, variant in models
            ]
            panels = []
            for metric in metrics:
                body = [row for row in here if row["metric"] == metric]
                if any(row["architecture"] == "baseline" for row in body):
                    panel = charts.strip(body, self.words)
                    panels.append(self._add(panel, self._title(panel)))
            found.append(
                {
                    "task": task,
                    "metrics": metrics,
                    "lines": lines,
                    "panels": panels,
                    "better": {row["metric"]: row["better"] for row in here},
                    "beaten": self._beaten(here, metrics),
                }
            )
        return found

    def _beaten(self, rows: list[Row], metrics: Iterable[str]) -> list[Markup]:
        """A sentence for each baseline that is better than every single run of an architecture."""
        sentences = []
        for metric in metrics:
            here = [row for row in rows if row["metric"] == metric]
            models = [row for row in here if row["architecture"] != "baseline"]
            for base in (row for row in here if row["architecture"] == "baseline"):
                sign = -1 if base["better"] == "lower" else 1
                losers = [
                    name
                    for name in charts.arranged(row["architecture"] for row in models)
                    if all(sign * row["value"] < sign * base["value"] for row in models if row["architecture"] == name)
                ]
                if losers:
                    sentences.append(
                        self.words.t(
                            "scores.beaten",
                            baseline=self.words.name("baseline", base["variant"]),
                            value=self.fig.evidence(base),
                            metric=self.words.name("metric", metric),
                            losers=self._listed(self.words.name("architecture", name) for name in losers),
                        )
                    )
        return sentences

    def outputs(self) -> list[dict[str, Any]]:
        """Outputs beside references at evenly spaced places of the test set, the same for every model."""
        tasks: dict[str, dict[str, Outputs]] = {}
        for item in sorted(self.inputs.outputs, key=lambda item: item.run):
            if item.records:
                tasks.setdefault(item.task, {}).setdefault(item.architecture, item)  # the first seed's run
        found = []
        for task in sorted(tasks, key=_task_order):
            runs = [tasks[task][name] for name in charts.arranged(tasks[task])]
            variants = {record.get("variant", "") for record in runs[0].records}
            variant = next((name for name in ("beam", "pretrained") if name in variants), min(variants))
            by_source = [
                {_source(record): record for record in reversed(run.records) if record.get("variant", "") == variant}
                for run in runs
            ]
            sources = list(dict.fromkeys(_source(r) for r in runs[0].records if r.get("variant", "") == variant))
            picked = _evenly(sources, SAMPLES)
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

    def cards(self) -> list[dict[str, Any]]:
        """Corpus cards in the order of the tasks."""
        found = []
        for card in sorted(self.inputs.cards, key=lambda card: _task_order(card.get("task", ""))):
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

    def machine(self) -> dict[str, Any]:
        """The machine's facts in reading order."""
        machine, facts = self.inputs.machine, []
        for key in ("cpu", "cores", "memory_bytes", "gpu", "system", "python", "edition", "seconds", "commit"):
            value = machine.get(key)
            if value is None:
                continue
            if isinstance(value, int | float) and not isinstance(value, bool):
                shown = self.fig.pointed(
                    value, "machine", pointer(key), "bytes" if key == "memory_bytes" else "seconds"
                )
            else:
                shown = Markup("<code>{}</code>").format(value) if key == "commit" else escape(str(value))
            facts.append((key, shown))
        for key in ("docket_sha256", "recorded_docket_sha256", "evidence_sha256"):
            if self.inputs.verdict.get(key) is None:
                continue
            facts.append((key, Markup('<code class="hash">{}</code>').format(self.inputs.verdict[key])))
        matmul = [row for row in self.inputs.evidence if row["metric"] == "matmul_flops_per_second"]
        if matmul:
            facts.insert(
                2,
                (
                    "matmul",
                    self._listed(
                        Markup("{} {}").format(self.words.name("variant", row["variant"]), self.fig.evidence(row))
                        for row in matmul
                    ),
                ),
            )
        return {"facts": facts, "versions": sorted((machine.get("versions") or {}).items())}

    def runs(self) -> list[dict[str, str]]:
        """Every run that the page names, with its id in the ledger."""
        names = {row["run"] for row in self.inputs.evidence} | {item.run for item in self.inputs.outputs}
        return [{"name": name, "id": self.run_ids.get(name, "")} for name in sorted(names | set(self.run_ids)) if name]


def _apart(rows: list[Row]) -> dict[tuple[tuple[str, str], ...], list[Row]]:
    """The rows of one chart, or of several where one would draw two values of a replicate at one place: told apart by
    the first columns that separate them."""
    groups: dict[tuple[tuple[str, str], ...], list[Row]] = {(): rows}
    for column in APART:
        split: dict[tuple[tuple[str, str], ...], list[Row]] = {}
        for key, body in groups.items():
            places = {(row["architecture"], row["at"], row["replicate"]) for row in body}
            for row in body:
                clash = len(places) < len(body)
                split.setdefault((*key, (column, row[column])) if clash else key, []).append(row)
        groups = split
    return groups


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


def _spread(tests: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most so many tests: the first condition of every test, then the second of every one, and so on."""
    order: dict[str, int] = {}
    ranked = []
    for i, test in enumerate(tests):
        turn = order[test["name"]] = order.get(test["name"], -1) + 1
        ranked.append((turn, i))
    chosen = sorted(i for _, i in sorted(ranked)[:most])
    return [tests[i] for i in chosen]


def _unique(items: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _joined(parts: Iterable[Any], between: str) -> Markup:
    return Markup(between).join(escape(part) for part in parts)


def _task_order(task: str) -> tuple[int, str]:
    return (TASKS.index(task) if task in TASKS else len(TASKS), task)


def _plain_at(at: float) -> str:
    return f"{int(at):,}" if float(at).is_integer() else f"{at:g}"


def _evenly(items: Sequence[Any], count: int) -> list[Any]:
    """``count`` items at even distances, from the first on: a rule that nobody can pick by."""
    return (
        [items[i * len(items) // count] for i in range(min(count, len(items)))] if len(items) > count else list(items)
    )


def _source(record: dict[str, str]) -> str:
    return record.get("source", record.get("text", ""))


def _cut(text: str) -> str:
    return text if len(text) <= EXAMPLE_LENGTH else text[: EXAMPLE_LENGTH - 1].rstrip() + "…"


def _total(value: Any) -> Any:
    return value if isinstance(value, int | float) else None
