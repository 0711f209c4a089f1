"""The docket: complete, bilingual, one hash for one content, and misprints named in one sentence."""

import copy
import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml

from verdict.court import claims as docket
from verdict.errors import UserError

ROOT = Path(__file__).parents[2]
IDS = [*(f"A{n}" for n in range(1, 8)), *(f"B{n}" for n in range(1, 7)), *(f"C{n}" for n in range(1, 5)),
       *(f"D{n}" for n in range(1, 5))]  # fmt: skip


@pytest.fixture(scope="module")
def content():
    return yaml.safe_load((ROOT / "claims.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def claims():
    return docket.load(ROOT / "claims.yaml")


def test_all_twenty_one_claims_stand_in_the_docket(claims):
    assert [claim.id for claim in claims.claims] == IDS
    assert all(claim.id.startswith(claim.area) for claim in claims.claims)
    tried = {claim.id for claim in claims.claims if claim.tests}
    assert {"A1", "A2", "A3", "A7", "B1", "B2", "B4", "C2", "D1"} <= tried


def test_every_text_stands_in_both_languages(content):
    def texts(part):
        if isinstance(part, dict):
            if "en" in part or "zh" in part:
                yield part
            for inner in part.values():
                yield from texts(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from texts(inner)

    same_in_both = re.compile(r"^(Transformer|LSTM|chrF|BLEU|ROUGE-[12L])$")
    found = list(texts(content))
    assert len(found) > 100
    for text in found:
        assert set(text) == {"en", "zh"}
        if not same_in_both.match(text["en"]):
            assert re.search(r"[\u4e00-\u9fff]", text["zh"]), text
            assert not re.search(r"[\u4e00-\u9fff]", text["en"]), text


def test_plain_words_of_a_test_hold_no_numbers(claims):
    for claim in [*claims.claims, claims.final]:
        for test in claim.tests:
            assert not re.search(r"\d", test.reads.en + test.reads.zh), test.name


def test_the_schema_file_is_the_typed_settings():
    stored = json.loads((ROOT / "workflow/schemas/claims.schema.json").read_text(encoding="utf-8"))
    assert stored == docket.schema(), (
        "run: python -m verdict.court.claims --schema > workflow/schemas/claims.schema.json"
    )


def test_the_schema_accepts_the_docket_and_refuses_a_misspelt_key(content):
    import jsonschema

    validator = jsonschema.Draft202012Validator(docket.schema())
    validator.validate(content)
    spoilt = copy.deepcopy(content)
    spoilt["claims"][0]["tets"] = []
    assert not validator.is_valid(spoilt)


def test_the_hash_is_of_content_not_of_layout(content, claims, tmp_path):
    other = tmp_path / "claims.yaml"
    other.write_text("# a comment\n" + yaml.safe_dump(content, allow_unicode=True, sort_keys=True), encoding="utf-8")
    assert docket.load(other).sha256() == claims.sha256()
    changed = copy.deepcopy(content)
    changed["claims"][0]["tests"][0]["margin"]["value"] = 1.5
    assert docket.parse(changed).sha256() != claims.sha256()
    changed = copy.deepcopy(content)
    changed["claims"][3]["text"]["zh"] += "。"
    assert docket.parse(changed).sha256() != claims.sha256()


def _change(content, path, value):
    spoilt = part = copy.deepcopy(content)
    *way, last = path
    for step in way:
        part = part[step]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return spoilt


TEST = ("claims", 0, "tests", 0)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ((*TEST, "favord"), "x", ["'claims.A1.tests.chrf.favord' does not exist", "did you mean 'favoured'"]),
        ((*TEST, "margin", "vlaue"), 1, ["claims.A1.tests.chrf.margin.vlaue", "did you mean 'value'"]),
        ((*TEST, "margin", "reason", "de"), "x", ["margin.reason.de", "known here are en, zh"]),
        (("claims", 0, "measured"), None, ["'claims.A1.measured' is missing"]),
        (("levle",), 0.9, ["'levle' does not exist", "did you mean 'level'"]),
        (("level",), 1.2, ["'level' is not accepted", "1.2"]),
        ((*TEST, "rule"), "superb", ["claims.A1.tests.chrf.rule", "superb"]),
        ((*TEST, "metric"), "chfr", ["claims.A1.tests.chrf.metric", "'chfr'", "did you mean 'chrf'"]),
        ((*TEST, "against"), "ltsm", ["'ltsm'", "did you mean 'lstm'"]),
        ((*TEST, "against"), "transformer", ["name two different sides"]),
        ((*TEST, "select"), {"taks": "lm"}, ["claims.A1.tests.chrf.select", "taks"]),
        ((*TEST, "select"), {"task": 3}, ["the column 'task' holds text, and 3.0 is none; write text"]),
        (
            (*TEST, "select"),
            {"task": "lm", "at": [8, "long"]},
            ["the column 'at' holds numbers, and 'long' is none; write numbers"],
        ),
        ((*TEST, "effect"), "share", ["claims.A1.tests.chrf", "share_at_most"]),
        ((*TEST, "margin", "equal"), 0.5, ["claims.A1.tests.chrf", "at_least"]),
        ((*TEST, "margin", "value"), -1, ["claims.A1.tests.chrf.margin.value", "greater than 0"]),
        ((*TEST, "margin", "value"), float("nan"), ["claims.A1.tests.chrf.margin.value"]),
        ((*TEST, "name"), "bleu", ["claims.A1", "'bleu' stands twice"]),
        (("claims", 1, "id"), "A1", ["'A1' stands twice"]),
        (
            ("claims", 0, "area"),
            "E",
            ["claims.A1.area: 'E' does not stand under 'areas'; add it there or use one of A, B, C, D"],
        ),
        (("rules", "superior"), None, ["'rules' lacks words for 'superior'"]),
    ],
)
def test_a_misprint_is_named_with_its_place(content, path, value, named):
    with pytest.raises(UserError) as error:
        docket.parse(_change(content, path, value))
    message = str(error.value)
    assert message.startswith("claims.yaml")
    assert all(word in message for word in named), message
    assert "\n" not in message


def test_a_ratio_needs_a_factor(content):
    place = next(
        (i, j)
        for i, c in enumerate(content["claims"])
        for j, t in enumerate(c.get("tests", []))
        if t["effect"] == "ratio"
    )
    with pytest.raises(UserError, match="factor"):
        docket.parse(_change(content, ("claims", place[0], "tests", place[1], "margin", "value"), 0.02))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("schema: 1\nlevel: 0.9\nlevel: 0.95\n", ["line 3", "'level' stands twice"]),
        ("claims: [unclosed\n", ["line 2"]),
        ("", ["claims.yaml"]),
        ("- a list\n", ["claims.yaml"]),
    ],
)
def test_what_is_no_docket_is_refused(tmp_path, text, named):
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        docket.load(path)
    assert all(word in str(error.value) for word in named), str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_encoding_and_absence_are_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("schema: 1 # é".encode("latin-1"))
    for name in ("latin.yaml", "absent.yaml"):
        with pytest.raises(UserError, match=name):
            docket.load(tmp_path / name)


# ---------------------------------------------------------------- the command


@pytest.fixture
def ask(monkeypatch, capsys):
    def asked(*arguments):
        monkeypatch.setattr("sys.argv", ["claims", *map(str, arguments)])
        docket.main()
        return capsys.readouterr().out

    return asked


def test_the_schema_is_printed_as_the_file_holds_it(ask):
    assert ask("--schema") == (ROOT / "workflow/schemas/claims.schema.json").read_text(encoding="utf-8")


def test_a_docket_is_counted_and_its_hash_told_and_recorded(ask, claims, tmp_path, monkeypatch):
    recorded = tmp_path / "recorded.json"
    said = ask("--claims", ROOT / "claims.yaml", "--record", recorded)
    tests = sum(len(claim.tests) for claim in claims.claims)
    assert re.findall(r"\b(\d+) (claims|tests)\b", said) == [("21", "claims"), (str(tests), "tests")]
    assert claims.sha256() in said
    assert json.loads(recorded.read_text()) == {"docket_sha256": claims.sha256()}
    # the docket of this folder unless another is named, and nothing recorded unless asked for
    (tmp_path / "claims.yaml").write_bytes((ROOT / "claims.yaml").read_bytes())
    recorded.unlink()
    monkeypatch.chdir(tmp_path)
    assert ask() == said.replace(str(ROOT / "claims.yaml"), "claims.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["claims.yaml"]


def test_an_option_that_does_not_exist_is_refused(ask):
    with pytest.raises(SystemExit):
        ask("--shema")


def test_the_hash_is_that_of_plain_sorted_json(claims):
    """A recorded hash is compared with one that another version of the program reckons."""
    content = json.loads(claims.model_dump_json(by_alias=True, exclude_none=True))
    assert content["schema"] == 1
    written = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert claims.sha256() == hashlib.sha256(written.encode()).hexdigest()


def test_a_docket_of_another_name_is_named_by_it(tmp_path):
    (tmp_path / "other.yaml").write_text("schema: 1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"other\.yaml"):
        docket.load(tmp_path / "other.yaml")


def test_a_claim_is_found_by_its_id_and_an_unknown_one_named(claims):
    assert claims.claim("B2").id == "B2"
    with pytest.raises(UserError, match=r"'Z9'.* A1, "):
        claims.claim("Z9")
