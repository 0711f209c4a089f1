"""Makes ``tiny`` importable from every folder of tests, and the one tiny world that several of them read."""

from pathlib import Path
from typing import Any

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


def _together(path: str) -> str:
    """What is run by one process: a file's tests; those of the workflow, which share its longest runs."""
    return "tests/workflow" if path.startswith("tests/workflow/") else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/workflow/"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--numprocesses``: what shares fixtures stays in one process."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _together(nodeid.split("::", 1)[0])

    return Scheduling(config, log)
