"""Final scores of two versions: a planted loss is found, none is found in none."""

import random

import polars as pl
import pytest

from benchmarks.quality import compared, gains, main
from verdict.court import evidence


def scores(metric: str, better: str, lost: float = 0.0, noise: float = 0.0, seed: int = 0) -> pl.DataFrame:
    """Scores of two architectures in five seeds at two lengths; the LSTM's are ``lost`` worse."""
    chance = random.Random(seed)
    worse = lost if better == "lower" else -lost
    return evidence.frame(
        {
            "experiment": "training", "task": "lm", "architecture": architecture, "replicate": replicate, "run": "x",
            "variable": "length", "at": at, "metric": metric, "unit": "points", "better": better,
            "value": 10 + replicate + at + worse * (architecture == "lstm") + chance.gauss(0, noise),
        }
        for architecture in ("lstm", "transformer") for replicate in range(5) for at in (1, 2)
    )  # fmt: skip


@pytest.mark.parametrize(("metric", "better"), [("bits_per_byte", "lower"), ("chrf", "higher")])
def test_a_planted_loss_is_found_and_is_that_of_its_architecture(metric: str, better: str):
    before, after = scores(metric, better), scores(metric, better, lost=1.0, noise=0.1)
    found = {one["architecture"]: one for one in compared(gains(before, after)).iter_rows(named=True)}
    assert found["lstm"]["gain"] == pytest.approx(-1, abs=0.2)
    assert found["lstm"]["p_loss"] < 0.01
    assert found["lstm"]["high"] < 0
    assert found["transformer"]["p_loss"] > 0.05
    turned = compared(gains(after, before))
    assert turned["p_loss"].min() > 0.05  # type: ignore[operator]


def test_the_same_scores_are_no_loss_and_other_rows_are_none_at_all():
    before = scores("chrf", "higher")
    found = compared(gains(before, before))
    assert found["p_loss"].to_list() == [1.0, 1.0]
    assert found["gain"].to_list() == [0.0, 0.0]
    assert compared(gains(before, scores("seconds", "lower"))).height == 0


def test_the_command_ends_with_one_if_scores_fell(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    for name, table in {"before": scores("chrf", "higher"), "after": scores("chrf", "higher", 1.0, 0.1)}.items():
        evidence.write(table, tmp_path / f"{name}.parquet")

    def run(before: str, after: str) -> object:
        monkeypatch.setattr("sys.argv", ["quality.py", str(tmp_path / before), str(tmp_path / after)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    assert run("before.parquet", "after.parquet") == 1
    assert "| lm | lstm | chrf | -1" in capsys.readouterr().out
    assert run("after.parquet", "before.parquet") == 0
