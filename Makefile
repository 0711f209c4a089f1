# make verdict    set up this machine, then everything from text to reports/index.html
# make test       the same set-up and what the tests need, then all tests
# make check      style, types, workflow lint
# make bench      speed beside others' code, into bench/ (docs/performance.md; hours, with the machine to itself)
# make reference  the edition `standard`, kept in reports/reference (hours)
# make mutants    how many small mistakes in the source the tests notice (hours)
# make schemas    workflow/schemas/ from the types of params.yaml, claims.yaml and verdict.json
# make licences   docs/licences.md from the installed packages and the corpora's entries
# make audit      known weaknesses of the locked packages, as the package index's advisory service tells them
# make clean      remove everything that a run left, but what it has downloaded

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# others' packages stay out of the environment that results are made in
BENCH := .venv-bench
INSTALL := -m pip install --quiet --disable-pip-version-check
# torch is a wheel of its platform, so the lock has versions and no hashes; it names everything, and bytecode is made of
# what is imported, not of all: half of the time. It has to be kept, then, also where the environment forbids it (as
# images of containers do): else every job would compile torch's modules again, for seconds
unexport PYTHONDONTWRITEBYTECODE
LOCKED := $(INSTALL) --no-compile --no-deps --requirement requirements.lock

.PHONY: verdict test check bench reference setup setup-dev schemas licences audit mutants clean

verdict: setup
	$(BIN)/snakemake --cores all

test: setup-dev check
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --no-loadscope-reorder

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

bench: $(BENCH)/.requirements
	$(BENCH)/bin/python -m benchmarks.performance --out bench

setup: $(VENV)/.requirements
setup-dev: $(VENV)/.requirements-dev

$(VENV)/.requirements: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(LOCKED)
# what torch asks for beyond that on this platform: the libraries of its CUDA builds, which no lock for all can name
	$(BIN)/python $(INSTALL) --no-compile --constraint requirements.lock torch
	$(BIN)/python $(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.requirements-dev: $(VENV)/.requirements requirements-dev.lock tests/install_chromium.sh
	$(BIN)/python $(INSTALL) --requirement requirements-dev.lock
	$(BIN)/python -m pip check
	sh tests/install_chromium.sh
	touch $@

# Joey NMT asks for a protobuf that MLflow cannot use, and needs none: it comes without what it asks for
$(BENCH)/.requirements: requirements.lock pyproject.toml
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python $(LOCKED)
	$(BENCH)/bin/python $(INSTALL) --no-build-isolation \
		--constraint requirements.lock --editable ".[bench]"
	$(BENCH)/bin/python $(INSTALL) --no-deps joeynmt==2.3.0
	touch $@

reference: setup
	$(BIN)/snakemake --cores all --config edition=standard
	$(BIN)/python -m benchmarks.reference

# the JSON schemas are made from types; a test holds them equal
schemas: setup
	$(BIN)/python -c "import json; from verdict.settings import schema; print(json.dumps(schema(), indent=2, ensure_ascii=False))" > workflow/schemas/params.schema.json
	$(BIN)/python -m verdict.court.claims --schema > workflow/schemas/claims.schema.json
	$(BIN)/python -m verdict.court.form > workflow/schemas/verdict.schema.json

licences: setup
	$(BIN)/python -m verdict.licences > docs/licences.md

audit: setup-dev
	$(BIN)/python tests/audit.py

# mutmut comes into .venv with the first call alone
mutants: setup-dev
	$(BIN)/python $(INSTALL) --no-build-isolation --editable ".[mutants]"
	$(BIN)/python benchmarks/mutants.py --workers 2

clean:
	rm -rf data mutants tuning runs measurements results logs reports/index.html reports/card.png mlflow.db mlflow.db.lock .snakemake
