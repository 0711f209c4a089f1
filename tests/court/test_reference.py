"""The reference run that is kept: its verdict is what the judge says of its evidence."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import places, reference
from verdict.court import claims, evidence
from verdict.court.judge import judge

FOLDER = Path(__file__).parents[2] / "reports/reference"


@pytest.fixture(scope="module")
def kept() -> dict:
    return json.loads((FOLDER / "verdict.json").read_text(encoding="utf-8"))


def test_the_judge_still_says_it(kept: dict):
    recorded = json.loads((FOLDER / "docket.json").read_text())["docket_sha256"]
    said = judge(claims.load(FOLDER / "claims.yaml"), evidence.read(FOLDER / "evidence.parquet"), recorded)
    assert json.loads(json.dumps(said)) == kept


def test_its_readme_says_the_same_labels(kept: dict):
    told = re.findall(r"\| ([A-D]\d) \| ([a-z ]+?) (?=\|)", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert {name: label.replace(" ", "_") for name, label in told} == {
        claim["id"]: claim["label"] for claim in kept["claims"]
    }


def test_what_is_told_of_it_is_what_it_says():
    told = reference.blocks(FOLDER)
    for page in (FOLDER / "README.md", FOLDER.parents[1] / "docs/statistics.md"):
        text = page.read_text(encoding="utf-8")
        assert places.PLACE.search(text)
        assert places.renewed(text, told) == text


def test_its_page_shows_that_verdict(kept: dict):
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert kept["evidence_sha256"] in page
    assert kept["docket_sha256"] in page


def test_attention_recalls_as_in_published_runs():
    """Two layers of width 64, sequences of 64 with four pairs: 99 % (Arora et al. 2023, "Zoology"), of most seeds here;
    a published figure is the best of a sweep."""
    table = evidence.read(FOLDER / "evidence.parquet").filter(
        experiment="algorithms", task="recall", architecture="transformer", metric="accuracy", variable="length", at=64
    )
    assert table.height == 5
    assert table["value"].median() >= 99
