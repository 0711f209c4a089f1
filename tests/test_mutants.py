"""A dozen planted mistakes, each of which the quick tests must notice. ``make mutants`` tries thousands of small ones.

Each mistake is one edit of a copy of the source; the tests named beside it run against that copy and must fail. The
copy without a mistake runs them all and must pass, so that nothing else makes them fail.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
STATISTICS, JUDGE = "court/test_statistics.py", "court/test_judge.py"
OBJECTIVES, MIXERS = "training/test_objectives.py", "models/test_mixers.py"


class Planted(NamedTuple):
    """In ``file`` the text ``right`` becomes ``wrong``; ``test`` must notice."""

    file: str
    right: str
    wrong: str
    test: str


PLANTED = {
    "the sign of the margin is flipped": Planted(
        "court/weighing.py",
        "Borders(margin, -margin, margin)",
        "Borders(-margin, -margin, margin)",
        f"{JUDGE}::test_superiority",
    ),
    "replicates are not paired": Planted(
        "court/weighing.py",
        "estimate = statistics.mean_interval(differences, level)",
        "estimate = statistics.welch_interval(first, second, level)",
        f"{JUDGE}::test_the_estimate_is_what_one_reckons_by_hand",
    ),
    "less counts as better": Planted(
        "court/sides.py",
        'return 1 if better == "higher" else -1',
        'return -1 if better == "higher" else 1',
        f"{JUDGE}::test_superiority",
    ),
    "a decision that does not survive the correction stands": Planted(
        "court/judge.py",
        "p_corrected is None or p_corrected < 1 - level):",
        "p_corrected is None or p_corrected <= 1):",
        f"{JUDGE}::test_many_lucky_finds_are_told_apart_from_sure_ones",
    ),
    "the interval has one side": Planted(
        "court/statistics.py",
        "stdtrit(freedom, 0.5 + level / 2)",
        "stdtrit(freedom, level)",
        f"{STATISTICS}::test_the_paired_interval_is_scipys",
    ),
    "the spread is divided by n": Planted(
        "court/statistics.py",
        "for value in values) / (len(values) - 1))",
        "for value in values) / len(values))",
        f"{STATISTICS}::test_the_paired_interval_is_scipys",
    ),
    "claims are not corrected for one another": Planted(
        "court/statistics.py",
        "max(succeeded, parts * value)",
        "max(succeeded, value)",
        f"{STATISTICS}::test_the_correction_over_an_area_on_a_worked_example",
    ),
    "the solver stops one unit early": Planted(
        "models/sizes.py",
        "key=lambda n: abs(parameters(n) - shape.parameters))",
        "key=lambda n: abs(parameters(n) - shape.parameters)) - 1",
        "models/test_sizes.py::test_no_other_inner_width_comes_nearer",
    ),
    "attention sees the next piece": Planted(
        "models/mixers/attention.py",
        "mixed = attend(*self.heard(x), self._mask(x, lengths), self.causal)",
        "mixed = attend(*self.heard(x), self._mask(x, lengths), False)",
        f"{MIXERS}::test_attention_is_its_equations",
    ),
    "the written-out mask is off by one": Planted(
        "models/mixers/dot_product.py",
        "raw[:, :, begin:].add_(future.triu_(1))",
        "raw[:, :, begin:].add_(future.triu_(2))",
        f"{MIXERS}::test_the_written_out_products_are_torchs_fused_attention",
    ),
    "a beam sees what the others have just said": Planted(
        "models/mixers/cache.py",
        ".fill_diagonal_(0.0)",
        ".zero_()",
        "models/test_generation.py::test_a_search_with_states_is_the_search_that_reads_everything_again",
    ),
    "padding is taken for text": Planted(
        "models/mixers/dot_product.py",
        "device=lengths.device) < lengths[:, None]",
        "device=lengths.device) <= lengths[:, None]",
        f"{OBJECTIVES}::test_predictions_bytes_and_pieces_are_counted_once",
    ),
    "the backward recurrence begins in the padding": Planted(
        "models/mixers/recurrent.py",
        "self._read(self.layers[1], reverse_rows(x, lengths))\n",
        "self._read(self.layers[1], reverse_rows(x, None))\n",
        f"{MIXERS}::test_the_other_recurrence_reads_each_row_from_both_of_its_ends",
    ),
    "the loss counts padding": Planted(
        "training/objectives.py",
        "real = visible(lengths, target.shape[1])",
        "real = (target >= 0)",
        f"{OBJECTIVES}::test_predictions_bytes_and_pieces_are_counted_once",
    ),
    "the decoder is shown the piece that it must predict": Planted(
        "training/objectives.py",
        "shifted = F.pad(target[:, :-1], (1, 0), value=bpe.BEGIN)",
        "shifted = target",
        f"{OBJECTIVES}::test_the_loss_is_the_models_own_likelihood_of_the_text",
    ),
    "windows overlap": Planted(
        "training/batches.py",
        "np.arange(0, len(self.pieces) - self.window, self.window)",
        "np.arange(0, len(self.pieces) - self.window, self.window - 1)",
        "training/test_batches.py::test_no_piece_of_a_window_is_predicted_twice",
    ),
}


def run(source: Path, *tests: str) -> int:
    """Exit code of these tests against the package in ``source``: 0 all passed, 1 some failed."""
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
    done = subprocess.run(
        [*command, *(f"tests/{test}" for test in dict.fromkeys(tests))],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(done.stdout, done.stderr)
    return done.returncode


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(ROOT / "src/verdict", folder / "verdict", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_without_a_mistake_nothing_is_noticed(copy: Path):
    assert run(copy, *(planted.test for planted in PLANTED.values())) == 0


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_noticed(copy: Path, mistake: str):
    file, right, wrong, test = PLANTED[mistake]
    before = (copy / "verdict" / file).read_text(encoding="utf-8")
    assert before.count(right) == 1
    (copy / "verdict" / file).write_text(before.replace(right, wrong), encoding="utf-8")
    try:
        assert run(copy, test) == 1
    finally:
        (copy / "verdict" / file).write_text(before, encoding="utf-8")
