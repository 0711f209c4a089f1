"""What the page says of a verdict: findings, what would change them, the chooser, costs, tuning, changes, pictures."""

import copy
import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import world
from markupsafe import Markup

from verdict.court import evidence
from verdict.court.beside import estimates
from verdict.court.evidence import ELSEWHERE
from verdict.errors import UserError
from verdict.page import build, card, inputs, words
from verdict.page.content import assemble, changes, claims, explain, models, panels, provenance, situations
from verdict.page.content.naming import Naming
from verdict.page.content.panels import Gallery

WORDS = words.load()


@pytest.fixture(scope="module")
def read(built: dict[str, Path]) -> inputs.Inputs:
    names = ("evidence", "history", "verdict", "claims")
    return inputs.read(*(built[name] for name in names), ledger=built["ledger"], machine=built["machine"])


@pytest.fixture(scope="module")
def naming(read: inputs.Inputs) -> Naming:
    return Naming(read, WORDS)


def with_evidence(read: inputs.Inputs, rows: list[dict[str, Any]]) -> Naming:
    return Naming(inputs.Inputs(**{**vars(read), "evidence": rows}), WORDS)


def entry(label: str, favoured: str = "transformer", against: str = "lstm", why: str = "") -> dict[str, Any]:
    ends = {"supported": (1.5, 2.5), "contradicted": (-2.5, -1.5), "tie": (-0.5, 0.5), "inconclusive": (-2.0, 2.0)}
    low, high = ends[label] if why != "too_small" else (-0.5, 0.5)
    told = {"effect": "difference", "rule": "superior", "margin": 1.0, "never": False, "low": low, "high": high}
    return {"label": label, "why": why, "favoured": favoured, "against": against, "baseline": None, **told}


def test_what_two_devices_measured_stands_apart_and_is_named(read: inputs.Inputs):
    """A GPU's rows beside the CPU's: neither takes the other's place, nor joins it in one cell or line."""
    sample, rows = read.evidence[0], list(read.evidence)
    trial = {
        **sample, "experiment": "tuning", "task": "lm", "metric": "valid_bits_per_byte", "variable": "learning_rate",
        "variant": "", "device": "cpu",
    }  # fmt: skip
    rows += [
        {**trial, "architecture": name, "at": rate, "value": rate}
        for name in ("transformer", "lstm")
        for rate in (0.1, 0.2)
    ]
    moved = [
        {**row, "device": "cuda", "value": row["value"] * 2}
        for row in rows
        if row["experiment"] in ("training", "tuning", "time_to_quality")
    ]

    def told(rows: list[dict[str, Any]]) -> tuple[list[Any], ...]:
        naming = with_evidence(read, [{**row, "row": number} for number, row in enumerate(rows)])
        scored = [line for task in models.scores(naming, Gallery(naming)) for line in task["lines"]]
        asked = [item for told in explain.explorers(naming, Gallery(naming)) for item in told["items"]]
        return (
            models.costs(naming)["lines"],
            models.tuning(naming),
            [line for line in scored if line["architecture"] != "baseline"],
            [item["panel"] for item in asked if item["panel"].about["metric"] == "seconds_to_target"],
        )

    for alone, both in zip(told(rows), told([*rows, *moved]), strict=True):
        assert len(both) == 2 * len(alone) > 0
    _, tuned, scored, curves = told([*rows, *moved])
    assert {group["device"] for group in tuned} == {line["device"] for line in scored} == {"cpu", "cuda"}
    assert {group["device"] for group in told(rows)[1]} == {""}
    assert all(len({row["device"] for row in panel.rows}) == 1 for panel in curves)


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ([], ""),
        ([entry("supported")], "Favours Transformer"),
        ([entry("contradicted")], "Favours LSTM"),
        ([entry("contradicted", why="too_small")], "Smaller than claimed"),
        ([entry("tie"), entry("tie")], "No difference that matters (all 2)"),
        ([entry("inconclusive"), entry("supported"), entry("supported")], "Transformer: 2, Undecided: 1"),
        # who is favoured is said by name, whichever side the claim is on
        ([entry("supported", "lstm", "transformer"), entry("contradicted")], "Favours LSTM (all 2)"),
    ],
)
def test_a_finding_says_whom_the_comparisons_favour(naming: Naming, tests: list[Any], said: str) -> None:
    assert build.english(panels.finding(naming, tests)) == said


def test_every_claim_says_what_would_change_it(naming: Naming) -> None:
    cards = claims.cards(naming, Gallery(naming))
    assert len(cards) == 21
    for shown in cards:
        assert shown["change"], shown["id"]
        if shown["label"] == "not_tried":
            assert shown["told"] is None
        else:
            assert shown["told"] in shown["tests"]
            assert shown["rows"] == sorted({row for test in shown["tests"] for row in test["rows"]})


def test_a_run_on_another_device_is_told_with_its_machine_and_docket(read: inputs.Inputs, tmp_path: Path) -> None:
    told = {"gpu": "Some Card 9000", "memory_bytes": 2**37, "date": "2026-11-20"}
    (tmp_path / "machine.json").write_text(json.dumps(told), encoding="utf-8")
    for recorded in (read.verdict["docket_sha256"], "f" * 64):
        (tmp_path / "docket.json").write_text(json.dumps({"docket_sha256": recorded}), encoding="utf-8")
        both = Naming(inputs.Inputs(**{**vars(read), "others": [inputs._elsewhere(tmp_path)]}), WORDS)
        [other] = provenance.machine(both)["others"]
        assert other["folder"] == str(tmp_path)
        assert "Some Card 9000" in dict(other["facts"])["gpu"]
        assert 'data-source="machine:0"' in dict(other["facts"])["memory_bytes"]
        assert recorded in dict(other["facts"])["recorded_docket_sha256"]
        # a docket that was another when that run began is told where the answer stands
        assert situations.final(both)["docket_changed"] == (recorded == "f" * 64)
    (tmp_path / "docket.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=r"docket\.json"):
        inputs._elsewhere(tmp_path)


def test_the_chooser_knows_every_situation_that_was_tried(naming: Naming) -> None:
    tried = [
        f"/final/situations/{number}"
        for number, one in enumerate(naming.inputs.verdict["final"]["situations"])
        if one["label"] != "not_tried"
    ]
    shown = situations.chooser(naming)
    assert [entry["pointer"] for entry in shown["entries"]] == tried
    for name, facet in (("criterion", "criterion"), ("task", "task"), ("device", "device")):
        assert set(shown["choices"][name]) == {entry[facet] for entry in shown["entries"] if entry[facet]}
    assert all((entry["at"] is not None) == bool(entry["facet"]) for entry in shown["entries"])


def test_costs_name_every_pair_and_say_equal_values_once(read: inputs.Inputs) -> None:
    shown = models.costs(with_evidence(read, read.evidence))
    pairs = {
        (row["task"], row["variant"], row["architecture"]) for row in read.evidence if row["metric"] == "train_flops"
    }
    assert len(shown["lines"]) == len(pairs)
    for line in shown["lines"]:
        for rows in line["cells"]:
            assert len(rows) in (0, 1) or len({row["value"] for row in rows}) > 1


@pytest.mark.parametrize(("losses", "edge"), [((3.0, 2.0, 2.5), False), ((3.0, 2.5, 2.0), True), ((2.0,), False)])
def test_a_best_rate_at_the_edge_is_said_to_be(read: inputs.Inputs, losses: tuple[float, ...], edge: bool) -> None:
    rows = [
        world.row(
            "tuning", "lm", "lstm", "valid_bits_per_byte", loss, variable="learning_rate", at=0.001 * 2**i,
            matching="dropout 0", run="tuning/lm/lstm",
        )
        for i, loss in enumerate(losses)
    ]  # fmt: skip
    [group] = models.tuning(with_evidence(read, rows))
    [line] = group["lines"]
    assert line["best"]["value"] == min(losses)
    assert line["edge"] is edge


def test_recurrence_waits_for_every_step_and_attention_for_none() -> None:
    steps = explain.POSITIONS
    assert explain.earliest("attention", 2, steps - 1) == 2
    assert explain.earliest("recurrence", 2, steps - 1) == 2 + steps - 1
    for kind in ("attention", "recurrence"):
        for layer in range(1, explain.LAYERS + 1):
            for position in range(steps):
                waited = [explain.earliest(kind, *node) for node in explain.inputs(kind, layer, position)]
                assert explain.earliest(kind, layer, position) == 1 + max(waited)
        chain = explain.longest_chain(kind)
        assert [explain.earliest(kind, *node) for node in chain] == list(range(len(chain)))


def test_nothing_changed_since_the_same_verdict_and_a_planted_change_is_told(read: inputs.Inputs) -> None:
    def since(earlier: dict[str, Any]) -> dict[str, Any]:
        found = changes.changes(Naming(inputs.Inputs(**{**vars(read), "earlier": earlier}), WORDS))
        assert found is not None
        return found

    same = since(read.verdict)
    assert (same["claims"], same["conditions"], same["docket"]) == ([], [], False)
    planted = copy.deepcopy(read.verdict)
    claim = next(one for one in planted["claims"] if any(test["replicates_error"] for test in one["tests"]))
    test = next(test for test in claim["tests"] if test["replicates_error"])
    for key in ("estimate", "low", "high"):
        test[key] = test[key] * 1e6 if test["effect"] == "ratio" else test[key] + 1e6 * test["replicates_error"]
    claim["label"] = "tie" if claim["label"] != "tie" else "contradicted"
    told = since(planted)
    assert [one["id"] for one in told["claims"]] == [claim["id"]]
    assert claim["id"] in {one["claim"] for one in told["conditions"]}
    assert changes.changes(Naming(read, WORDS)) is None


def test_what_was_not_tried_is_said(naming: Naming) -> None:
    said = [build.english(Markup(one)) for one in provenance.untried(naming)]
    assert "Nothing was measured on: GPU." in said
    for claim in naming.inputs.verdict["claims"]:
        if claim["label"] == "not_tried":
            assert any(one.startswith(claim["id"]) for one in said)


def test_the_picture_for_links_shows_every_claim(read: inputs.Inputs, built: dict[str, Path]) -> None:
    drawn = card.card(read.verdict, {letter: f"<{text.en}>" for letter, text in read.claims.areas.items()}, WORDS)
    texts = {element.text for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")}
    assert {claim["id"] for claim in read.verdict["claims"]} <= texts
    assert "<Model structure>" in texts
    picture = built["page"].with_name("card.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) == (card.WIDTH, card.HEIGHT)


def test_english_is_taken_out_of_all_languages() -> None:
    inner = WORDS.t("label.tie")
    said = Markup('<span lang="en">A {} b</span><span lang="zh-Hans">甲 {} 乙</span>').format(inner, inner)
    assert build.english(said) == "A tie b"


def test_a_target_never_reached_is_told_whatever_the_correction_says(read: inputs.Inputs) -> None:
    verdict = copy.deepcopy(read.verdict)
    claim = next(one for one in verdict["claims"] if any(test["never"] for test in one["tests"]))
    for test in claim["tests"]:
        if test["never"]:
            test.update(why="corrected", uncorrected_label="supported", label="inconclusive")
        else:
            test.update(label="not_tried")
    page = build.render(inputs.Inputs(**{**vars(read), "verdict": verdict}), WORDS)
    shown = page[page.index(f'id="{claim["id"]}"') :]
    assert "one side never reached" in shown[: shown.index("</article>")]


def test_what_nobody_ever_reached_is_not_drawn(read: inputs.Inputs) -> None:
    def drawn(value: float) -> int:
        rows = [row | {"value": value} if row["metric"] == "seconds_to_target" else row for row in read.evidence]
        naming = with_evidence(read, rows)
        gallery = Gallery(naming)
        claims.cards(naming, gallery)
        explain.explorers(naming, gallery)
        return sum(item["panel"].about.get("metric") == "seconds_to_target" for item in gallery.items)

    assert drawn(math.inf) < drawn(3.0)


def test_every_measurement_has_its_place_on_the_page(read: inputs.Inputs) -> None:
    """Whatever an experiment has measured is drawn, tested or told; what runs and models are has tables of its own."""
    extra = [
        {**row, "experiment": "context", "metric": "bits_per_byte", "variant": variant, "variable": variable, "at": at}
        for row in read.evidence
        if row["metric"] == "chrf" and row["architecture"] in ("transformer", "lstm") and row["replicate"] is not None
        for variant, variable, at in (("carried", "", None), ("shuffled", "context", 4.0), ("shuffled", "context", 8.0))
    ]
    kept = ("row", "replicate", "architecture", "variant", "at", "matching", "task", "device", "size")
    alone = {tuple(row[name] for name in kept[1:]): row for row in extra}.values()
    rows = [*read.evidence, *({**row, "row": len(read.evidence) + number} for number, row in enumerate(alone))]
    table = pl.DataFrame(rows, schema={**evidence.SCHEMA, "row": pl.Int64}, orient="row")
    told = estimates(table, [], 0.95)
    naming = Naming(
        inputs.Inputs(**{**vars(read), "evidence": rows, "verdict": {**read.verdict, "beside": told}}), WORDS
    )
    shown = assemble(naming)
    placed = {row.get("row") for item in shown["gallery"].items for row in item["panel"].rows}
    placed |= {row for claim in shown["claims"] for row in claim["rows"]}
    placed |= {row for group in shown["beside"] for line in group["lines"] for row in line["rows"]}
    lost = [row for row in rows if row["row"] not in placed and row["experiment"] not in ELSEWHERE]
    assert [row for row in lost if math.isfinite(row["value"]) and row["replicate"] is not None] == []
    [context] = [group for group in shown["beside"] if group["experiment"] == "context"]
    assert context["panels"]
    assert {line["variant"] for line in context["lines"]} == {"carried"}
