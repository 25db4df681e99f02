# On a machine with Python >= 3.11 and make, `make verify` and `make test` do all the set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: verify test quick torch notebooks faults lint types bench docs clean

verify: $(VENV)/.installed
	$(BIN)/mastsim verify

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile
	$(BIN)/python -m pytest --doctest-modules mastsim --doctest-glob=README.md README.md -p no:cacheprovider

# The fast tier, to run while typing: five examples a property, and not what is marked slow.
quick: $(VENV)/.installed-test
	MASTSIM_HYPOTHESIS=quick $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

# Problems from PyTorch models; its wheels are large, so it is no part of `make test`.
torch: $(VENV)/.installed-test $(VENV)/.installed-torch
	$(BIN)/python -m pytest tests/problems/test_torch_problem.py tests/test_examples.py

notebooks: $(VENV)/.installed-test
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=300 notebooks -p no:cacheprovider

# Hostile inputs and broken environments, against every command; writes docs/reliability.md.
faults: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.faults

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-lint
	$(BIN)/mypy

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.expected
	$(BIN)/python -m benchmarks.speed --out docs/performance.json

docs: $(VENV)/.installed
	$(BIN)/mastsim verify --pages docs/theorems
	$(BIN)/python -c "from pathlib import Path; from mastsim.reproduce.tables import refresh_pages; refresh_pages(Path('docs'), Path('figures'))"

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
