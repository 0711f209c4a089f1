"""Makes ``tiny`` importable from every folder of tests, and the one tiny world that several of them read."""

from pathlib import Path

import pytest
from hypothesis import Phase, settings

# a busy machine is no mistake: no test fails for having taken long
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
# make mutants: the same examples for every mutant, and no search for the smallest one that fails
settings.register_profile("mutants", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every kind of job has run for real, for a few seconds; see ``tiny.run_everything``."""
    import tiny

    folder = tmp_path_factory.mktemp("world")
    tiny.run_everything(folder)
    return folder
