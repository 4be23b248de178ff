# Two commands do it all on a fresh machine with Python 3.11+ and make:
#   make demo    the main job on real handwritten digits
#   make test    the whole test suite
# Before a commit:
#   make check   lint and the rooms whose tests are fast, in under a minute on two cores
# After a change of keys or commands:
#   make reference    write docs/spec.md, docs/commands.md and the JSON schema of a spec from the source
# The documentation site, in build/docs:
#   make docs         runs the gallery too, so it takes some minutes; nothing is fetched but the packages
#   make linkcheck    asks every other host that a page links to (links within are tested by make test)
# The package, in dist:
#   make dist         sdist and wheel, checked
# Two more take their time, and say what docs/robustness.md claims:
#   make fuzz    20,000 harmed inputs for every reader; goes on where it was interrupted
#   make kill    100 kills and some full disks at file events of small runs
PYTHON ?= python3
BIN := .venv/bin
# Two OpenMP processes on few cores slow each other many times over when they spin.
export OMP_WAIT_POLICY ?= passive
export GOMP_SPINCOUNT ?= 0

.PHONY: setup demo test check fuzz kill reference docs linkcheck dist lint format clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hybridonn needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/hybridonn run --out runs/demo

# One thread a worker: two OpenMP teams on the same cores would slow each other.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

# The rooms whose tests take milliseconds each; the others train networks, and those of acquisition
# register camera frames. Keep the whole under a minute: see --durations=20.
FAST := tests/core tests/spec tests/tasks tests/optics/layout tests/optics/fabrication \
  tests/cli tests/reports/sections tests/test_front_door.py tests/test_docstrings.py tests/test_sizes.py

check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" $(FAST)

fuzz: setup
	OMP_NUM_THREADS=1 PYTHONPATH=tests/hostile $(BIN)/python -m fuzzing

kill: setup
	OMP_NUM_THREADS=1 PYTHONPATH=tests/hostile $(BIN)/python -m killing

reference: setup
	$(BIN)/python -m hybridonn.cli.reference

.venv/docs-installed: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: .venv/docs-installed
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

linkcheck: .venv/docs-installed
	$(BIN)/python -m sphinx -q -b linkcheck -D plot_gallery=0 docs build/linkcheck

.venv/dist-installed: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build twine
	@touch $@

dist: .venv/dist-installed
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --level error
	$(BIN)/lint-imports --no-logo

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist src/*.egg-info .pytest_cache .ruff_cache docs/gallery_built docs/gallery/runs docs/api/generated
