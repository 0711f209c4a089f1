"""From the file to settings of the chosen edition, or one sentence for what is wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from verdict import documents
from verdict.corpus.spec import check_task
from verdict.errors import UserError
from verdict.settings.whole import Settings

#: a key by which Snakemake takes a file of settings for a template with Python in it
TEMPLATES = "__use_yte__"


def read(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ``UserError`` naming the line if it is not one."""
    told = documents.read(path)
    if not isinstance(told, dict):
        raise UserError(f"{path} holds no mapping of keys to values; write one")
    if TEMPLATES in told:
        raise UserError(
            f"{path}: the key '{TEMPLATES}' would have Snakemake run code that stands in the file; remove it"
        )
    return told


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid over ``base``, mappings merged and everything else replaced."""
    merged = dict(base)
    for key, value in over.items():
        mapping = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = overlay(merged[key], value) if mapping else value
    return merged


def resolve(told: Mapping[str, Any], name: str = "params.yaml") -> Settings:
    """The settings of the chosen edition. Raises ``UserError`` with one sentence that names the key."""
    editions = told.get("editions")
    if not isinstance(editions, Mapping):
        raise UserError(f"{name}: `editions` must be a mapping of edition names to what they change")
    edition = told.get("edition")
    if not isinstance(edition, str) or edition not in editions:
        known = [each for each in editions if isinstance(each, str)]
        raise UserError(f"{name}: `edition` is{documents.shown(edition)}; write one of {', '.join(known)}")
    base = {key: value for key, value in told.items() if key != "editions"}
    change = editions[edition] or {}
    if not isinstance(change, Mapping):
        raise UserError(f"{name}: `editions.{edition}` must be a mapping")
    merged = overlay(base, _without_own_texts(change, base))
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        # a value of the edition is found under editions, where the user must mend it
        under = f"editions.{edition}." if _in_edition(error, change) else ""
        explained = documents.explain(error, Settings, merged, under)
        raise UserError(f"{name}: {explained}{_or_remove(error, base, change, edition)}") from error
    try:
        for task, corpus in settings.corpora.items():
            check_task(task, corpus)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    return settings


def schema() -> dict[str, Any]:
    """The JSON schema of params.yaml, for editors and documentation. What an edition changes is only told to be a
    mapping: it may say any part of the rest."""
    told = Settings.model_json_schema()
    told["properties"]["editions"] = {
        "type": "object",
        "additionalProperties": {"type": "object"},
        "description": "What each edition lays over the rest.",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **told}


def _without_own_texts(change: Mapping[str, Any], base: Mapping[str, Any]) -> Mapping[str, Any]:
    """The edition without what it says of corpora that are the user's own files: its filters and limits are fitted to
    the texts that params.yaml fetches."""
    corpora, changed = base.get("corpora"), change.get("corpora")
    if not isinstance(corpora, Mapping) or not isinstance(changed, Mapping):
        return change

    def is_own(task: Any) -> bool:
        source = corpora[task].get("source") if isinstance(corpora.get(task), Mapping) else None
        return isinstance(source, Mapping) and "files" in source

    return {**change, "corpora": {task: told for task, told in changed.items() if not is_own(task)}}


def _or_remove(error: ValidationError, base: Mapping[str, Any], change: Mapping[str, Any], edition: str) -> str:
    """What else to do where a key is missing in an entry that the edition changes and params.yaml has no more."""
    problem = documents.first_problem(error)
    told: Any = base
    said: Any = change
    for number, part in enumerate(problem["loc"][:-1] if problem["type"] == "missing" else (), start=1):
        if not isinstance(said, Mapping) or part not in said or not isinstance(told, Mapping):
            break
        if part not in told:
            entry = ".".join(map(str, ("editions", edition, *problem["loc"][:number])))
            return f", or remove {entry}, for without the edition there is none"
        told, said = told[part], said[part]
    return ""


def _in_edition(error: ValidationError, change: Mapping[str, Any]) -> bool:
    """Whether the first problem is with something that the edition says."""
    place = documents.first_problem(error)["loc"]
    inside: Any = change
    for part in place:
        if not isinstance(inside, Mapping):
            break  # the edition says this whole value
        if part not in inside:
            return False
        inside = inside[part]
    return bool(place)
