# make demo: compiles the example classifier and runs it.    make test: lint, types and all tests.
# Each target makes the environment in .venv first; it is brought up to date when pyproject.toml changes.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench clean

help:
	@echo "make demo    compile the digits classifier in examples/ and classify some digits"
	@echo "make test    lint, type check and test"
	@echo "make lint    lint and type check"
	@echo "make bench   compare with onnxruntime and OpenVINO"
	@echo "make clean   remove the environment and everything that was built"

demo: .venv/.installed
	@$(BIN)/python examples/digits/demo.py

test: lint
	$(BIN)/python -m pytest -q -n 2

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.installed-bench
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "convc needs Python 3.10 or newer, and there is no '$(PYTHON)'" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "convc needs Python 3.10 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	       "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.installed: pyproject.toml | .venv/bin/python
	@echo "installing convc and what it needs (some minutes the first time)"
	@$(PIP) install -e .
	@touch $@

.venv/.installed-%: pyproject.toml | .venv/bin/python
	@echo "installing convc with its '$*' tools (some minutes the first time)"
	@$(PIP) install -e '.[$*]'
	@touch $@ .venv/.installed
