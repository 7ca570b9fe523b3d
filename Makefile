# `make demo` and `make test` are the whole set-up: each makes the virtual environment, installs, and does its job.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench wheelhouse docs clean

demo: $(VENV)/user
	$(BIN)/alx demo

test: $(VENV)/dev lint
	$(BIN)/python -m pytest

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Ratios against a peer or a limit, measured side by side: a table, and bench.json.
bench: $(VENV)/dev
	$(BIN)/python -m tests.bench bench.json

# Rewrites what is generated: docs/cli.md, docs/plan.md, docs/site.md, schemas/.
docs: $(VENV)/dev
	$(BIN)/python -m tests.generated

# A folder to carry to a machine without a network: README, "Behind an air gap".
wheelhouse: $(VENV)/user
	rm -rf wheelhouse build
	$(BIN)/python -m pip wheel --quiet --constraint constraints.txt --wheel-dir wheelhouse .
	cp constraints.txt wheelhouse/
	@echo "wheelhouse/ is ready: carry it, then"
	@echo "  pip install --no-index --find-links wheelhouse alx"

$(VENV)/user: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/dev: $(VENV)/user
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist wheelhouse alx-demo *.egg-info
