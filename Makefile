# On a machine with Python >= 3.11 and make, `make verify` and `make test` do all the set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Two lines for whoever has an older Python: what is wrong, and nothing left behind.
OLD_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11) and "mastsim needs Python >= 3.11, and $(PYTHON) is " \
	+ sys.version.split()[0] + "; name another one: make PYTHON=python3.12 ...")

# Tests start a hundred interpreters, of which each compiles every source again where none may be kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: verify test quick floors torch notebooks faults lint types bench pages docs site-check clean

verify: $(VENV)/.installed
	$(BIN)/mastsim verify

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	OPENBLAS_NUM_THREADS=1 NUMBA_CACHE_DIR=$(CURDIR)/.pytest_cache/numba $(BIN)/python -m pytest -n 2 -p no:cacheprovider \
		--doctest-modules mastsim --doctest-glob=README.md README.md

# The fast tier, to run while typing: three examples a property, and not what is marked slow.
quick: $(VENV)/.installed-test
	MASTSIM_HYPOTHESIS=quick $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

# The quick tier with the lowest versions that pyproject.toml admits, in an environment of its own.
floors:
	@$(PYTHON) -c '$(OLD_ENOUGH)'
	$(PYTHON) -m venv $(VENV)-floors
	$(VENV)-floors/bin/python -m pip install --quiet uv
	$(VENV)-floors/bin/uv pip install --quiet --python $(VENV)-floors/bin/python --compile-bytecode --resolution lowest-direct --editable '.[test]'
	MASTSIM_HYPOTHESIS=quick $(VENV)-floors/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

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
	cd tests && ../$(BIN)/mypy --config-file= --strict typed_use.py

# Ratios within one run, with every goal met or not; QUICK=1 takes minutes, and no other library.
bench: $(VENV)/.installed$(if $(QUICK),,-bench)
	$(BIN)/python -m benchmarks.startup $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.expected $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.scale $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.speed $(if $(QUICK),--quick,--out docs/performance.json)

# Writes the pages that hold what was computed; takes a whole `make verify`.
pages: $(VENV)/.installed
	$(BIN)/mastsim verify --pages docs/theorems
	$(BIN)/python -c "from pathlib import Path; from mastsim.reproduce.tables import refresh_pages; refresh_pages(Path('docs'), Path('figures'))"

# The site, in site/: open site/index.html. A warning is an error, and nothing is fetched.
docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html -c docs . site

# The site and a report in a browser, at the widths of a desk and of a phone.
site-check: docs $(VENV)/.installed-test $(VENV)/.installed-browser
	.ci/browser
	MASTSIM_SITE=site $(BIN)/python -m pytest tests/browser

clean:
	rm -rf $(VENV) $(VENV)-floors site docs/reference/generated docs/gallery/generated

$(VENV)/bin/python:
	@$(PYTHON) -c '$(OLD_ENOUGH)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
