"""The made-up world once more, with a text in every place that would come alive if the page let it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import world
import yaml

from verdict import files
from verdict.court import claims, evidence, judge

#: sets ``window.planted`` if any of it comes alive: as markup, in an attribute, as an address, in Jinja, in Vega
PLANTED = (
    "</script><script>window.planted=1</script><img src=x onerror=window.planted=2><svg/onload=window.planted=3>"
    '"><a href="javascript:window.planted=4">\'-window.planted=5-\' javascript:window.planted=6 <!-- ]]> '
    '{{ 7*7 }}{% raw %} {"signal": "window.planted=7"} datum.planted + warn(\'planted\') @@colour.lstm @@label.tie '
    "</style><base href=//planted.example/>&lt;b&gt; \u2028 \u202e"
)


def everywhere(tree: Any, kept: Callable[[str, str], bool], name: str = "") -> Any:
    """A tree of JSON with the text added to every text, but where ``kept`` says of a key and text that it must stay."""
    if isinstance(tree, dict):
        return {key: everywhere(inner, kept, key) for key, inner in tree.items()}
    if isinstance(tree, list):
        return [everywhere(inner, kept, name) for inner in tree]
    return tree + PLANTED if isinstance(tree, str) and not kept(name, tree) else tree


def _spoil(path: Path, kept: Callable[[str, str], bool]) -> None:
    text = path.read_text(encoding="utf-8")
    lines = [text] if path.suffix == ".json" else text.splitlines()
    made = [json.dumps(everywhere(json.loads(line), kept), ensure_ascii=False) for line in lines]
    path.write_text("\n".join(made) + "\n", encoding="utf-8")


def _docket(path: Path) -> Path:
    """The project's docket; every sentence of it, in both languages, with the text in it."""
    told = yaml.safe_load(world.CLAIMS.read_text(encoding="utf-8"))

    def is_name(key: str, text: str) -> bool:
        return key not in ("en", "zh", "reason", "unit", "source", "quote")

    path.write_text(yaml.safe_dump(everywhere(told, is_name), allow_unicode=True), encoding="utf-8")
    return path


def build(folder: Path) -> dict[str, Path]:
    """The world's files by name, spoilt and judged anew."""
    paths = world.build(folder)
    paths["claims"] = _docket(folder / "claims.yaml")
    table = pl.read_parquet(paths["evidence"])
    added = {name: pl.col(name) + PLANTED for name in ("run", "implementation", "unit", "device")}
    table = table.with_columns(
        pl.when(pl.col(name) == "").then(pl.col(name)).otherwise(more).alias(name) for name, more in added.items()
    )
    evidence.write(table, paths["evidence"])
    docket = claims.load(paths["claims"])
    files.write_json(paths["verdict"], judge.judge(docket, evidence.read(paths["evidence"])))
    history = pl.read_parquet(paths["history"])
    history.with_columns(pl.col("run") + PLANTED).write_parquet(paths["history"])
    told = json.loads(paths["ledger"].read_text(encoding="utf-8"))
    told["runs"] = {run + PLANTED: number for run, number in told["runs"].items()}
    paths["ledger"].write_text(json.dumps(everywhere(told, lambda key, text: False)), encoding="utf-8")
    for name, path in paths.items():
        if name == "machine" or name.startswith("card_"):
            _spoil(path, lambda key, text: key in ("task", "date"))
        elif name.startswith("outputs_"):
            _spoil(path, lambda key, text: key == "variant")
        elif name.startswith("activity_"):
            _spoil(path, lambda key, text: key in ("stage", "objective", "architecture"))
    return paths
