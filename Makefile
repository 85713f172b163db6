# Two commands matter: `make run` and `make test`. Both need Python >= 3.11 and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-virtualenv

.PHONY: run test check bench test-services soak clean .venv

run: $(VENV)/.run
	$(BIN)/python run.py

# In one process more than there are cores, since many tests wait for something; at most four. In one process:
# `.venv/bin/python -m pytest -m "not soak"`.
test: $(VENV)/.test
	$(BIN)/python -m pytest -m "not soak" -n $$($(BIN)/python -c 'import os; print(min((os.cpu_count() or 1) + 1, 4))') --dist worksteal

check: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The suite again on a real Redis, a Redis Cluster and PostgreSQL, started for it on free loopback ports.
test-services: $(VENV)/.test
	$(BIN)/python -m tests.services

# One table of ratios; see docs/benchmarks.md.
bench: $(VENV)/.bench
	$(BIN)/python -m bench

soak: $(VENV)/.test
	$(BIN)/python -m pytest -m soak

# The environment alone.
.venv: $(VENV)/.run

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Huoqun needs Python 3.11 or later, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: requirements/run.txt | $(VENV)/.made
	$(PIP) -r requirements/run.txt
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.run
	$(PIP) -r requirements/test.txt
	@touch $@

$(VENV)/.check: requirements/check.txt $(VENV)/.test requirements/bench.txt
	$(PIP) -r requirements/check.txt -r requirements/bench.txt
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.test
	$(PIP) -r requirements/bench.txt
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
