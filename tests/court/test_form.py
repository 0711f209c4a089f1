"""The form of verdict.json: what the judge writes has it, nothing it writes goes undescribed, and nothing may lack."""

import copy
import json
import typing
from pathlib import Path

import jsonschema
import pytest
import synthetic

from verdict.court import claims as docket
from verdict.court import form, judge
from verdict.court.explain import WHY
from verdict.errors import UserError

ROOT = Path(__file__).parents[2]
OPEN = ("areas", "relative_to")  # their keys are names
LATER = {
    "beside",
    "rows",
    "corrected_low",
    "corrected_high",
    "items_groups",
    "never_reached",
}  # gained after the first verdicts of this schema


@pytest.fixture(scope="module")
def verdicts():
    claims = docket.load(ROOT / "claims.yaml")
    worlds = ({}, {"quality": -1.0, "speed": 0.5}, {"quality": 0.0, "speed": 1.0})
    made = [judge.judge(claims, synthetic.table(seed, **world), "0" * 64) for seed, world in enumerate(worlds)]
    return [json.loads(json.dumps(verdict)) for verdict in made]


@pytest.fixture(scope="module")
def short(verdicts):
    """A verdict of one claim, with one of everything that may stand in a list."""
    verdict = copy.deepcopy(verdicts[0])
    claim = next(claim for claim in verdict["claims"] if claim["when"] and claim["unless"])
    for name in ("tests", "when", "unless"):
        claim[name] = claim[name][:1]
    verdict["claims"] = [claim]
    for name in ("tests", "situations"):
        verdict["final"][name] = verdict["final"][name][:1]
    return verdict


def test_the_schema_file_is_the_types():
    stored = json.loads((ROOT / "workflow/schemas/verdict.schema.json").read_text(encoding="utf-8"))
    assert stored == form.schema(), "run `make schemas`"


def test_the_schema_is_printed_as_the_file_holds_it(capsys):
    form.main()
    assert capsys.readouterr().out == (ROOT / "workflow/schemas/verdict.schema.json").read_text(encoding="utf-8")


def test_what_the_judge_says_has_the_form_and_nothing_more(verdicts):
    strict = form.schema()
    for part in (strict, *strict["$defs"].values()):
        part["additionalProperties"] = False
    # the parts that are not open are closed, or the test would say nothing
    assert not jsonschema.Draft202012Validator(strict).is_valid({**verdicts[0], "more": 1})
    for verdict in verdicts:
        jsonschema.Draft202012Validator(strict).validate(verdict)
        assert form.check(verdict, "verdict.json") is verdict


def test_every_key_is_required_but_those_gained_later(short):
    validator = jsonschema.Draft202012Validator(form.schema())
    validator.validate(short)
    tried = set()

    def without(part, path=()):
        if isinstance(part, list):
            for index, inner in enumerate(part):
                without(inner, (*path, index))
        elif isinstance(part, dict):
            for key in list(part):
                without(part[key], (*path, key))
                if path and path[-1] in OPEN:
                    continue
                value = part.pop(key)
                if key in LATER:
                    assert form.check(short, "old.json")
                    part[key] = value
                    continue
                assert not validator.is_valid(short), (*path, key)
                with pytest.raises(UserError, match="judge its evidence again" if path or key != "schema" else "key"):
                    form.check(short, "old.json")
                part[key] = value
                tried.add(key)

    without(short)
    assert len(tried) > 50


def test_every_property_is_described_or_is_its_name():
    schema = form.schema()
    plain = {"metric", "estimate", "low", "high", "condition", "id", "area", "counts", "claims", "areas", "final"}
    plain |= {"tests", "test", "rule", "favoured", *judge.LABELS}
    for part in (schema, *schema["$defs"].values()):
        for name, told in part["properties"].items():
            assert "description" in told or name in plain, name


def test_words_that_the_judge_uses_are_those_of_the_form():
    assert typing.get_args(typing.get_args(form.Label)[0]) == judge.LABELS == tuple(form.Counts.model_fields)
    assert set(typing.get_args(typing.get_args(form.Why)[0])) == set(WHY)
    assert tuple(form.Condition.model_fields) == docket.CONDITIONS
    assert typing.get_args(typing.get_args(form.Effect)[0]) == typing.get_args(
        docket.Test.model_fields["effect"].annotation
    )


def test_a_key_of_a_later_version_is_passed_over(short):
    later = {**short, "more": {"anything": 1}}
    assert form.check(later, "new.json") is later


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"v\.json does not exist; run `snakemake --cores all`"),
        ("{", r"v\.json line 1 is not JSON"),
        ("[1]", r"v\.json is not a verdict \(it has no key 'schema'\)"),
        ('{"rows": []}', r"v\.json is not a verdict"),
        ('{"schema": 2}', r"v\.json has schema 2, and this version reads schema 1; judge its evidence again"),
        ('{"schema": 1}', r"v\.json: the key 'level' is missing; judge its evidence again"),
    ],
)
def test_what_is_no_verdict_is_told_in_one_sentence(text, said, tmp_path):
    if text is not None:
        (tmp_path / "v.json").write_text(text)
    with pytest.raises(UserError, match=said):
        form.read(tmp_path / "v.json")


def test_a_binary_file_is_no_verdict(tmp_path):
    (tmp_path / "v.json").write_bytes(b"PAR1\xff\xfe")
    with pytest.raises(UserError, match="not a verdict"):
        form.read(tmp_path / "v.json")


def test_a_wrong_value_is_told_with_its_place(short):
    spoilt = copy.deepcopy(short)
    test = spoilt["claims"][0]["tests"][0]
    test["label"] = "proven"
    with pytest.raises(UserError, match=rf"'claims\.{short['claims'][0]['id']}\.tests\.{test['name']}\.label' is not"):
        form.check(spoilt, "v.json")
