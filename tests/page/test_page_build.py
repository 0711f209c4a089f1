"""The written file: self-contained, strict policy, everything foreign escaped, honest about what was not tried."""

import base64
import copy
import hashlib
import json
import random
import re
from pathlib import Path

import pytest
import world
from conftest import write_page

from verdict.court import claims as docket
from verdict.errors import UserError
from verdict.page import build, inputs, words
from verdict.page.content import models, situations, texts
from verdict.page.content.naming import Naming
from verdict.page.content.panels import Gallery


@pytest.fixture(scope="module")
def page(built: dict[str, Path]) -> str:
    return built["page"].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def read(built: dict[str, Path]) -> inputs.Inputs:
    def several(prefix: str) -> list[Path]:
        return [path for name, path in built.items() if name.startswith(prefix)]

    return inputs.read(
        built["evidence"],
        built["history"],
        built["verdict"],
        built["claims"],
        several("card_"),
        built["ledger"],
        built["machine"],
        several("outputs_"),
    )


def shown(read: inputs.Inputs) -> tuple[Naming, Gallery]:
    naming = Naming(read, words.load())
    return naming, Gallery(naming)


def test_small_and_self_contained(page: str) -> None:
    assert len(page.encode()) < 5 * 2**20
    markup = re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*""", markup) == []
    assert "@import" not in markup
    assert "url(" not in markup


def test_policy_names_exactly_the_scripts_that_may_run(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    policy_text = policy[1].replace("&#39;", "'")
    assert "unsafe-eval" not in policy_text
    assert "default-src 'none'" in policy_text
    running = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running}
    assert len(running) == 2
    assert hashes == set(re.findall(r"'sha256-([^']+)'", policy_text))


def test_planted_markup_stays_text(page: str) -> None:
    assert "<script>window.planted" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;window.planted=1" in page
    for data in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, flags=re.DOTALL):
        json.loads(data)
        assert "<" not in data


def test_all_claims_stand_there_and_untried_ones_say_so(page: str, built: dict[str, Path]) -> None:
    verdict = json.loads(built["verdict"].read_text())
    assert len(verdict["claims"]) == 21
    for claim in verdict["claims"]:
        card = re.search(rf'<article class="claim[^"]*" id="{claim["id"]}".*?</article>', page, flags=re.DOTALL)
        assert card, claim["id"]
        assert f"label-{claim['label']}" in card[0]
        if claim["label"] == "not_tried":
            assert "Not yet tried" in card[0]
            assert 'class="figure"' not in card[0]
            assert 'class="chart"' not in card[0]
        else:
            assert 'class="chart"' in card[0], claim["id"]


def test_runs_lead_to_the_ledger(page: str, built: dict[str, Path]) -> None:
    for name, run_id in json.loads(built["ledger"].read_text())["runs"].items():
        assert f'id="run-{build.slug(name)}"' in page
        assert run_id in page
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links <= set(re.findall(r'\bid="([^"]+)"', page))


def test_ids_are_unique(page: str) -> None:
    ids = re.findall(r'<[^>]*\bid="([^"]+)"', re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL))
    assert len(ids) == len(set(ids))


def test_a_better_baseline_is_said_to_be_better(page: str) -> None:
    assert re.search(
        r'class="beaten".{0,200}naive Bayes.{0,900}than every run of.{0,60}Transformer', page, flags=re.DOTALL
    )


def test_baselines_that_lose_are_not_called_better(read: inputs.Inputs) -> None:
    translation = next(task for task in models.scores(*shown(read)) if task["task"] == "translation")
    assert translation["beaten"] == []


def test_samples_are_drawn_by_seed_and_alike_for_all_models(read: inputs.Inputs) -> None:
    translation = next(task for task in texts.outputs(shown(read)[0]) if task["task"] == "translation")
    places = sorted(random.Random(0).sample(range(40), 5))
    assert [sample["reference"] for sample in translation["samples"]] == [f"Référence {i}" for i in places]
    assert all(len(sample["outputs"]) == 3 for sample in translation["samples"])
    assert translation["runs"] == [
        "train/translation/transformer/s0",
        "train/translation/lstm/s0",
        "train/translation/lstm_no_attention/s0",
    ]


def test_the_sentence_follows_the_verdict(read: inputs.Inputs) -> None:
    said = set()
    for label in ("supported", "only_when", "tie", "contradicted", "inconclusive", "not_tried"):
        verdict = copy.deepcopy(read.verdict)
        verdict["final"]["label"] = label
        changed = inputs.Inputs(**{**vars(read), "verdict": verdict})
        said.add(str(situations.final(shown(changed)[0])["sentence"]))
    assert len(said) == 6


def test_a_docket_that_was_changed_after_the_runs_is_said_to_be(read: inputs.Inputs) -> None:
    pages = {}
    for recorded in (None, read.verdict["docket_sha256"], "0" * 64):
        verdict = {**read.verdict, "recorded_docket_sha256": recorded}
        pages[recorded] = build.render(inputs.Inputs(**{**vars(read), "verdict": verdict}), words.load())
    told = {recorded: "changed after the runs had begun" in page for recorded, page in pages.items()}
    assert told == {None: False, read.verdict["docket_sha256"]: False, "0" * 64: True}


def test_the_same_inputs_give_the_same_page(read: inputs.Inputs) -> None:
    assert build.render(read, words.load()) == build.render(read, words.load())


def test_the_page_stands_without_cards_outputs_ledger_and_machine(read: inputs.Inputs) -> None:
    bare = inputs.Inputs(
        table=read.table.clear(), evidence=[], history=[], verdict=nothing_tried(read), claims=read.claims,
        paths={"evidence": "e", "claims": "c"},
    )  # fmt: skip
    page = build.render(bare, words.load())
    assert page.count("Not yet tried") == 21
    assert re.findall(r'class="chart"', page) == []


def nothing_tried(read: inputs.Inputs) -> dict[str, object]:
    from verdict.court import evidence, judge

    return judge.judge(read.claims, evidence.frame([]))


@pytest.mark.parametrize("text", ["</script>", "</SCRIPT>", "<!--", "a\r\nb"])
def test_script_text_cannot_end_its_script(text: str) -> None:
    made = build.in_script(text)
    assert "</script" not in made.lower()
    assert "<!--" not in made
    assert "\r" not in made


def test_a_verdict_from_other_evidence_is_refused(built: dict[str, Path], tmp_path: Path) -> None:
    verdict = json.loads(built["verdict"].read_text()) | {"evidence_sha256": "0" * 64}
    stale = tmp_path / "verdict.json"
    stale.write_text(json.dumps(verdict))
    done = write_page({**built, "verdict": stale}, tmp_path / "page.html")
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*verdict\.json was not judged from .*; judge again: .*\n", done.stderr)
    assert list(tmp_path.glob("*.html")) == []


@pytest.mark.parametrize("name", ["evidence", "history", "verdict", "claims", "ledger", "machine"])
def test_a_missing_file_is_named(built: dict[str, Path], tmp_path: Path, name: str) -> None:
    given = {key: built[key] for key in ("evidence", "history", "verdict", "claims", "ledger", "machine")}
    given[name] = tmp_path / f"no-{name}.json"
    with pytest.raises(UserError, match=f"no-{name}"):
        inputs.read(**given)


def test_damaged_outputs_are_named_by_line(built: dict[str, Path], tmp_path: Path) -> None:
    bad = tmp_path / "runs" / "train" / "lm" / "lstm" / "s0" / "outputs.jsonl"
    bad.parent.mkdir(parents=True)
    bad.write_text('{"source": "a"}\n[1]\n')
    with pytest.raises(UserError, match=r"outputs\.jsonl line 2"):
        inputs.read(built["evidence"], built["history"], built["verdict"], built["claims"], outputs=[bad])
    assert inputs.run_of(bad, ["train/lm/lstm/s0", "s0"]) == "train/lm/lstm/s0"
    assert inputs.run_of(bad, []) == "train/lm/lstm/s0"
    real = tmp_path / "runs" / "lm" / "lstm" / "s0" / "outputs.jsonl"
    known = ["train/lm/lstm/s0", "evaluate/lm/lstm/s0", "train/x/lm/lstm/s1"]
    assert inputs.run_of(real, known) == "evaluate/lm/lstm/s0"


def test_slugs_keep_runs_apart() -> None:
    names = ["train/lm/lstm/s0", "train-lm-lstm-s0", "train/lm_lstm/s0", "a b", "a/b", 'a"b']
    assert len({build.slug(name) for name in names}) == len(names)


def test_the_docket_is_the_projects_own() -> None:
    assert len(docket.load(world.CLAIMS).claims) == 21
