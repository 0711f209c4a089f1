# make verdict    set up this machine, then everything from text to reports/index.html
# make test       the same set-up and what the tests need, then all tests
# make check      style, types, workflow lint
# make bench      the measurements behind docs/ that are no part of the verdict

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: verdict test check bench setup setup-dev clean

verdict: setup
	$(BIN)/snakemake --cores all

test: setup-dev check
	$(BIN)/pytest

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

bench: setup
	$(BIN)/python benchmarks/attention.py

setup: $(VENV)/.requirements
setup-dev: $(VENV)/.requirements-dev

# torch is a wheel of its platform, so the lock has versions and no hashes
$(VENV)/.requirements: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.requirements-dev: $(VENV)/.requirements requirements-dev.lock tests/install_chromium.sh
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.lock
	sh tests/install_chromium.sh
	touch $@

clean:
	rm -rf data runs measurements results logs reports/index.html mlflow.db .snakemake
