# Every target rests on `make setup`, needs no root, and can be repeated.

PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done

.DEFAULT_GOAL := help

# COMET's environment, which another name can be given.
COMET ?= .comet

.PHONY: help setup comet test test-faults demo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create the environment in .venv (PYTHON=python3.10, 3.11 or 3.12 to choose)

$(STAMP): pyproject.toml constraints.txt scripts/link_libsndfile.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || \
		{ echo "Python 3.10 to 3.12 is needed; name one with PYTHON=..." >&2; exit 1; }
	@echo "Installing into $(VENV); the first time this downloads PyTorch."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,bitsandbytes,onnx]"
	$(BIN)/python scripts/link_libsndfile.py
	@touch $@

comet: $(COMET)/.setup-done ## create an environment for COMET in .comet, beside that of fairseq2

$(COMET)/.setup-done: requirements/comet.txt
	@echo "Installing COMET into $(COMET); this downloads PyTorch."
	test -x $(COMET)/bin/python || $(PYTHON) -m venv $(COMET)
	$(COMET)/bin/python -m pip install --quiet --requirement requirements/comet.txt
	@touch $@
	@echo "Its interpreter is $(COMET)/bin/python: name it in metrics.comet.python or" \
		"validation.comet.python, or in FAIRSEQ2_JEST_COMET_PYTHON."

test: setup ## run everything that CI runs: ruff, mypy, unit and integration tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" tests/unit tests/integration

test-faults: setup ## run the long tests: kill and resume at ten points, bases in 4 bits
	$(BIN)/python -m pytest tests/fault
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow tests/integration

demo: setup ## train on the built-in corpus with and without joint selection, and compare
	$(BIN)/python -m benchmarks.demo

clean: ## remove what was built and cached, but not the environment or runs
	rm -rf build dist .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
