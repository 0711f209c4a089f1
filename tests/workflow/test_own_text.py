"""A user's own text: what is made of it is made again when it changes, and only then."""

import random
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import Clone

pytestmark = pytest.mark.slow
CARD = "data/corpus/lm/card.json"


def test_a_text_that_changes_is_read_again(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    text = clone.folder / "mine.txt"
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghij", k=5)) for _ in range(500)]
    text.write_text("\n\n".join(" ".join(chance.choices(words, k=12)) for _ in range(300)))
    params = yaml.safe_load((clone.folder / "params.yaml").read_text(encoding="utf-8"))
    params["corpora"]["lm"] = {
        "name": "mine", "title": "Mine", "licence": "mine", "language": "en",
        "source": {"files": [{"path": "mine.txt"}]},
        "reader": {"name": "text", "options": {"documents": "blank_lines"}},
        "split": {"valid": 20, "test": 20, "by": "content"},
    }  # fmt: skip
    (clone.folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    clone.call("snakemake", "--cores", "1", CARD)
    assert clone.planned(CARD) == {}
    text.touch()
    assert clone.planned(CARD) == {}
    text.write_text(f"{text.read_text()}\n\nOne paragraph more.")
    assert clone.planned(CARD) == {"corpus": 1}
    text.unlink()
    told = clone.call("snakemake", "--cores", "1", CARD, fails=True)
    assert "mine.txt" in told
    assert "Traceback" not in told
