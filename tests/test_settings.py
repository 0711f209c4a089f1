"""params.yaml: what stands in it resolves, and whatever is wrong with it is one sentence that names the key."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from verdict.errors import UserError
from verdict.settings import job, overlay, read, resolve, trials
from verdict.training.settings import Job

PARAMS = Path(__file__).parent.parent / "params.yaml"
TOLD = read(PARAMS)
RECALL = TOLD["algorithms"]["recall"]


def changed(*path_and_value: Any, edition: bool = False) -> dict[str, Any]:
    """params.yaml with one value set (``...`` removes it), in the file's body or in its chosen edition."""
    told = copy.deepcopy(TOLD)
    *path, last, value = path_and_value
    here = told
    if edition:
        told["editions"][told["edition"]] = here = {}
    for key in path:
        here = here.setdefault(key, {}) if isinstance(here, dict) else here[key]
    if value is ...:
        del here[last]
    else:
        here[last] = value
    return told


def test_an_algorithm_serves_tasks_of_other_names():
    told = changed("algorithms", "few", {**RECALL, "algorithm": "recall", "vocabulary": 12})
    told["stages"]["few"] = {**TOLD["stages"]["recall"], "task": "few"}
    assert job(resolve(told), "few", "lstm", 0).task == "few"


OWN = {
    "name": "mine", "title": "Mine", "licence": "mine", "language": "de",
    "source": {"files": [{"path": "my/train.tsv"}]},
    "reader": {"name": "tsv", "options": {"columns": {"source": 0, "target": 1}}},
    "split": {"valid": 50, "test": 50, "by": "content"},
}  # fmt: skip


@pytest.mark.parametrize("edition", list(TOLD["editions"]))
def test_an_edition_leaves_the_users_own_texts_as_they_are(edition: str):
    told = {**changed("corpora", "translation", OWN), "edition": edition}
    assert resolve(told).corpora["translation"].filters == resolve({**told, "edition": "quick"}).corpora[
        "translation"
    ].filters  # fmt: skip


@pytest.mark.parametrize(("edition", "entry"), [("smoke", "stages.translation"), ("standard", "corpora.translation")])
def test_what_was_removed_is_to_be_removed_from_the_edition_too(edition: str, entry: str):
    told = {**copy.deepcopy(TOLD), "edition": edition}
    section, name = entry.split(".")
    del told[section][name]
    assert f"or remove editions.{edition}.{entry}, for without the edition there is none" in sentence(told)


def sentence(told: Mapping[str, Any]) -> str:
    with pytest.raises(UserError) as error:
        resolve(told)
    said = str(error.value)
    assert "\n" not in said
    assert "pydantic" not in said
    return said


@pytest.mark.parametrize("edition", list(TOLD["editions"]))
def test_every_edition_resolves_and_every_job_of_it_is_plain_json(edition: str):
    found = resolve({**TOLD, "edition": edition})
    assert found.edition == edition
    for name, stage in found.stages.items():
        for architecture in stage.architectures:
            made = job(found, name, architecture, 2)
            assert Job.from_dict(json.loads(json.dumps(made.to_dict()))) == made
            assert made.name == f"{name}/{architecture}/s2"
            if stage.tuning:
                tried = trials(found, name, architecture)
                assert [one.training.learning_rate for one in tried][: len(stage.tuning.learning_rates)] == list(
                    stage.tuning.learning_rates
                )
                assert {one.seed for one in tried}.isdisjoint(range(found.seeds))


def test_a_stage_compares_architectures_under_the_same_settings():
    """Jobs of a stage and seed differ by their architecture alone; tuning tries the same for all."""
    found = resolve(TOLD)
    for name, stage in found.stages.items():
        jobs = [job(found, name, architecture, 0).to_dict() for architecture in stage.architectures]
        for told in jobs:
            for own in ("name", "architecture", "architecture_name"):
                del told[own]
        assert all(told == jobs[0] for told in jobs)
        if stage.tuning:
            tried = [
                [(one.training, one.architecture.dropout) for one in trials(found, name, architecture)]
                for architecture in stage.architectures
            ]
            assert all(each == tried[0] for each in tried)


def test_an_edition_is_laid_over_the_rest():
    told = changed("stages", "lm", "training", "budget_tokens", 77_777, edition=True)
    found = resolve(told)
    assert found.stages["lm"].training.budget_tokens == 77_777
    assert found.stages["lm"].training.window == resolve(TOLD).stages["lm"].training.window


@given(
    base=st.dictionaries(st.sampled_from("abc"), st.integers() | st.dictionaries(st.sampled_from("xy"), st.integers())),
    over=st.dictionaries(st.sampled_from("abc"), st.integers() | st.dictionaries(st.sampled_from("xy"), st.integers())),
)
def test_overlaying_keeps_what_is_not_named_and_changes_neither(base: dict, over: dict):
    before = copy.deepcopy((base, over))
    merged = overlay(base, over)
    assert (base, over) == before
    assert set(merged) == set(base) | set(over)
    for key in base.keys() - over.keys():
        assert merged[key] == base[key]
    assert overlay(merged, over) == merged


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("seed",), "seeds"),
        (("stages", "lm", "tranining"), "training"),
        (("stages", "lm", "training", "bugdet_tokens"), "budget_tokens"),
        (("stages", "translation", "evaluation", "beam"), "beams"),
        (("stages", "lm", "speed", "lenghts"), "lengths"),
        (("architectures", "lstm", "layer"), "layers"),
        (("tokens", "lm", "vocabluary"), "vocabulary"),
        (("corpora", "lm", "licens"), "licence"),
        (("corpora", "translation", "split", "near_duplicates", "similarty"), "similarity"),
    ],
)
@pytest.mark.parametrize("edition", [False, True])
def test_a_misspelt_key_is_named_with_what_was_meant(path: tuple[str, ...], said: str, edition: bool):
    told = sentence(changed(*path, 3, edition=edition))
    where = ".".join(([f"editions.{TOLD['edition']}"] if edition else []) + list(path))
    assert f"the key '{where}' does not exist" in told
    assert f"did you mean '{said}'?" in told


def test_a_wrong_item_of_an_editions_list_is_found_under_the_edition():
    told = sentence(changed("stages", "lm", "tuning", {"learning_rates": [0.1, -1.0]}, edition=True))
    assert f"'editions.{TOLD['edition']}.stages.lm.tuning.learning_rates.1' is not accepted" in told


def test_a_key_like_no_other_is_told_what_there_is():
    assert "known here are " in sentence(changed("stages", "lm", "zzzzzz", 1))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("seeds",), 0),
        (("seeds",), "three"),
        (("seeds",), None),
        (("seeds",), 1.5),
        (("device",), "gpu"),
        (("precision",), "fp16"),
        (("edition",), "slow"),
        (("stages", "lm", "width"), 100),
        (("stages", "lm", "width"), 0),
        (("stages", "lm", "parameters"), -1),
        (("stages", "lm", "tuning", "learning_rates"), [0]),
        (("stages", "lm", "tuning", "learning_rates"), [float("nan")]),
        (("stages", "lm", "tuning", "learning_rates"), [float("inf")]),
        (("stages", "lm", "tuning", "learning_rates"), []),
        (("stages", "lm", "tuning", "budget"), 0),
        (("stages", "lm", "training", "clip"), float("nan")),
        (("stages", "lm", "training", "budget_tokens"), 0),
        (("stages", "lm", "training", "window"), 1),
        (("stages", "pretraining", "training", "masked"), 1.0),
        (("stages", "lm", "speed", "rounds"), 1),
        (("stages", "lm", "speed", "contexts"), []),
        (("stages", "lm", "speed", "lengths"), [32, 32]),
        (("stages", "lm", "targets"), [0.0]),
        (("stages", "lm", "targets"), [2.0, 2.0]),
        (("stages", "lm", "architectures"), []),
        (("stages", "lm", "architectures"), ["lstm", "lstm"]),
        (("stages", "lm", "architectures"), "lstm"),
        (("stages", "translation", "evaluation", "beams"), [2, 4]),
        (("stages", "translation", "evaluation", "beams"), [1, 4, 8]),
        (("stages", "translation", "evaluation", "beams"), [0]),
        (("architectures", "lstm", "dropout"), 1.0),
        (("architectures", "lstm", "dropout"), -0.1),
        (("architectures", "lstm", "layers"), 0),
        (("architectures", "lstm", "cross_attention"), "some"),
        (("architectures", "lstm", "options"), None),
        (("tokens", "lm", "vocabulary"), 259),
        (("tokens", "lm", "vocabulary"), 70_000),
        (("tokens", "translation", "longest", "source"), 1),
        (("corpora", "lm", "split", "valid"), 0),
        (("stages", "lm"), 3),
        (("stages",), []),
    ],
)
def test_a_value_out_of_range_is_one_sentence_that_names_its_key(path: tuple[str, ...], value: Any):
    said = sentence(changed(*path, value))
    assert "`" + ".".join(path[:2]) in said or path[0] in said
    if len(path) > 2:
        assert path[-2] in said or path[-1] in said


@pytest.mark.parametrize("path", [("seeds",), ("stages", "lm", "task"), ("stages", "lm", "training"), ("corpora",)])
def test_a_missing_key_is_named(path: tuple[str, ...]):
    assert f"the key '{'.'.join(path)}' is missing; add it" in sentence(changed(*path, ...))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("corpora", "lm"), ..., ["stages.lm.task is lm", "corpora has no lm"]),
        (("tokens", "lm"), ..., ["stages.lm.task is lm", "tokens has no lm"]),
        (("stages", "summarization", "architectures"), ["transfomer"], ["transfomer"]),
        (("stages", "lm", "tuning"), None, ["stages.lm", "either tuning or tuned_as"]),
        (("stages", "recall", "task"), "recal", ["stages.recall.task", "algorithms has no recal"]),
        (("stages", "lm", "task"), "llm", ["stages.lm", "answers is that of algorithms"]),
        (("algorithms", "few"), RECALL, ["algorithms.few.algorithm is missing", "recall, copying"]),
        (("algorithms", "lm"), {**RECALL, "algorithm": "recall"}, ["algorithms.lm has the name of a corpus"]),
        (("stages", "lm_small", "tuned_as"), "lmm", ["stages.lm_small.tuned_as", "lmm"]),
        (("stages", "lm_small", "tuned_as"), "translation", ["no tuned stage of family language_model"]),
        (("stages", "lm_small", "architectures"), ["transformer", "lstm", "lstm_no_attention"], ["lstm_no_attention"]),
        (("stages", "finetuning_few", "tuning"), {"learning_rates": [0.1]}, ["stages.finetuning_few", "either"]),
        (("stages", "recurrent", "tuning"), {"learning_rates": [0.1]}, ["stages.lm.tuning", "stages.recurrent.tuning"]),
        (
            ("stages", "translation_ladder", "tuning"),
            {"learning_rates": [0.006, 0.003], "dropouts": [0.1]},
            ["translation.tuning.dropouts", "differ"],
        ),
        (
            ("stages", "translation_ladder", "tuning"),
            {"learning_rates": [0.006, 0.003], "budget": 0.1},
            ["stages.translation.tuning.budget", "stages.translation_ladder.tuning.budget", "differ"],
        ),
        (("stages", "lm", "training", "output_records"), 9, ["stages.lm", "language_model", "training.output_records"]),
        (("stages", "scratch", "targets"), [0.5], ["stages.scratch", "no bits per byte", "targets"]),
        (("stages", "recall", "speed"), {"batches": [8]}, ["stages.recall", "own batches"]),
        (("stages", "lm", "speed", "architectures"), ["gru"], ["speed.architectures", "gru"]),
        (("stages", "probe", "start"), None, ["training.frozen"]),
        (("ladders", "lm"), ["transformer", "lstm_no_attention"], ["ladders.lm", "lstm_no_attention"]),
        (("stages", "finetuning", "start"), "pretrainin", ["stages.finetuning.start", "pretrainin"]),
        (("stages", "finetuning", "start"), "finetuning", ["no other stage"]),
        (("stages", "finetuning", "start"), "lm", ["stages.finetuning", "lm", "differ"]),
        (("stages", "finetuning", "width"), 64, ["differ in task, family, width or parameters"]),
        (("stages", "pretraining", "architectures"), ["lstm"], ["start pretraining does not train", "transformer"]),
        (("stages", "lm", "objective"), "masked", ["stages.lm", "masked_encoder"]),
        (("stages", "scratch", "task"), "lm", ["lm", "classification"]),
        (("stages", "scratch", "speed"), {"lengths": [8]}, ["stages.scratch", "speed"]),
        (("measurements", "activity", "stages"), ["lm", "scratch"], ["activity.stages", "'scratch'"]),
        (("measurements", "activity", "stages"), ["lmm"], ["activity.stages", "'lmm'"]),
        (("measurements", "activity", "architectures"), ["lstm", "gru"], ["activity.architectures", "gru", "lm does"]),
        (("measurements", "activity", "quantiles"), [0.9, 0.1], ["measurements.activity", "ascending"]),
        (("stages", "recall", "training", "records"), 100, ["stages.recall", "training.records", "algorithms"]),
        (("stages", "lm", "training", "records"), 100, ["stages.lm", "training.records", "corpora.<task>.limits"]),
        (("stages", "recurrent", "parameters"), 900_000, ["stages.lm.parameters", "stages.recurrent.parameters"]),
        (("stages", "translation_ladder", "width"), 64, ["stages.translation.width", "ladder.width"]),
        (
            ("stages", "recall_again"),
            {**TOLD["stages"]["recall"], "variant": "again"},
            ["stages.recall and stages.recall_again both train", "entry of its own under algorithms"],
        ),
        (
            ("stages", "translation_again"),
            {**TOLD["stages"]["translation"], "variant": "again"},
            ["stages.translation and stages.translation_again", "evaluation: null"],
        ),
        (
            ("stages", "lm_small"),
            {**TOLD["stages"]["lm_small"], "evaluation": {}, "speed": {"rounds": 2}},
            ["stages.lm and stages.lm_small both train", "speed: null"],
        ),
        (("measurements", "context", "kept"), [16, 128], ["measurements.context.kept has 128", "less than", "128"]),
        (("measurements", "context", "near"), 500, ["measurements.context.near has 500"]),
        (("measurements", "context", "beyond"), [1], ["measurements.context.beyond.0", "greater than or equal to 2"]),
        (("corpora", "lm", "reader", "name"), "kvj", ["kvj", "kjv"]),
        (("corpora", "lm", "reader"), {"name": "vader"}, ["corpora.lm", "vader"]),
    ],
)
def test_parts_that_do_not_hang_together_are_named(path: tuple[str, ...], value: Any, said: list[str]):
    told = sentence(changed(*path, value))
    for word in said:
        assert word in told


def test_an_unknown_architecture_is_named_with_what_was_meant():
    told = changed("stages", "summarization", "architectures", ["transfomer"])
    assert "'transfomer', which architectures has not; did you mean 'transformer'?" in sentence(told)


@pytest.mark.parametrize("editions", [None, [], "quick", 3, ...])
def test_editions_that_are_none_are_told(editions: Any):
    assert "editions" in sentence(changed("editions", editions))


@pytest.mark.parametrize("edition", [None, [], {}, ["quick"], 3, "", True, ...])
def test_an_edition_that_is_none_is_told(edition: Any):
    assert "edition" in sentence(changed("edition", edition))


@pytest.mark.parametrize("change", [3, "x", ["y"], True])
def test_an_edition_that_changes_no_keys_is_told(change: Any):
    assert f"editions.{TOLD['edition']}" in sentence(changed("editions", TOLD["edition"], change))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: 1\nb: [1, 2\nc: 3\n", "line 3"),
        (b"a: 1\n\tb: 2\n", "line 2"),
        (b"a: 1\nb: @home\n", "line 2"),
        (b"a: \xff\xfe\n", "UTF-8"),
        (b"- 1\n- 2\n", "no mapping"),
        (b"", "no mapping"),
        (b"a: 2024-99-99\n", "correct it"),
        (b"b: 1\na: \x00\n", r"line 2: YAML has no character U\+0000; remove it"),
        ("é: é\nb: é\na: \x07\n".encode(), r"line 3: YAML has no character U\+0007; remove it"),
        (b"a: " + b"[" * 1_000_000, "correct it"),
        (b"a: " + b"[" * 1_000_000 + b"]" * 1_000_000, "line 1: this is nested 100 deep; correct it"),
    ],
)
def test_a_file_that_is_no_yaml_is_told_with_its_line(tmp_path: Path, text: bytes, said: str):
    (tmp_path / "params.yaml").write_bytes(text)
    with pytest.raises(UserError, match=said) as error:
        read(tmp_path / "params.yaml")
    assert "params.yaml" in str(error.value)


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(UserError, match=r"nowhere\.yaml does not exist"):
        read(tmp_path / "nowhere.yaml")


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested mappings and lists."""
    found = [at] if at else []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found += places(inner, (*at, key))
    return found


PLACES = places(TOLD)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.binary(max_size=3)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(where=st.sampled_from(PLACES), value=ANYTHING, how=st.sampled_from(["set", "remove", "rename", "add"]))
def test_whatever_is_changed_it_resolves_or_is_one_sentence(where: tuple[Any, ...], value: Any, how: str):
    told = copy.deepcopy(TOLD)
    here: Any = told
    for key in where[:-1]:
        here = here[key]
    last = where[-1]
    if how == "set" or isinstance(here, list):
        here[last] = value
    elif how == "remove":
        del here[last]
    elif how == "rename":
        here[str(last)[:-1] + "x"] = here.pop(last)
    elif isinstance(here[last], dict):
        here[last][str(value)[:8]] = value
    said = "nothing is wrong"
    try:
        resolve(told)
    except UserError as error:
        said = str(error)
    assert len(said) > 10
    assert "\n" not in said or isinstance(value, str)


def test_the_file_itself_is_yaml_that_says_nothing_twice():
    """PyYAML takes the last of two equal keys without a word."""

    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [loader.construct_object(key) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), keys
        return loader.construct_mapping(node, deep=True)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    assert yaml.load(PARAMS.read_text(encoding="utf-8"), Strict) == TOLD


def test_the_schema_on_disk_is_the_one_of_the_types():
    import json

    from verdict.settings import schema

    jsonschema.Draft202012Validator(schema()).validate(TOLD)
    path = Path(__file__).parents[1] / "workflow/schemas/params.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == schema(), "run `make schemas`"
