.DEFAULT_GOAL := help
.PHONY: help demo test check bench crash-table docs format setup clean packages lint types imports
MAKEFLAGS += --no-print-directory

VENV ?= .venv
export VENV PYTHON
BIN := $(VENV)/bin
CODE := $(wildcard src tests benchmarks crash_table examples scripts)

demo: setup  ## The whole product at work: 500 people, real SMTP, a worker killed in the middle (ARGS=--json)
	@$(BIN)/dripdrop demo $(ARGS)

test: setup  ## All tests, under ten minutes (ARGS="tests/rules -k timing")
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: lint types imports packages  ## All that must hold: format, lint, types, imports, tests; no skips as root on Debian
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then export DRIPDROP_NO_SKIP=1; fi; \
	echo "tests on PostgreSQL 16, a smaller part"; \
	DRIPDROP_TEST_PG=16 $(BIN)/python -m pytest -n 2 --dist worksteal tests/engine tests/store/test_schema_guards.py && \
	echo "tests" && \
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS) && \
	echo "the crash table, its quick part" && \
	$(BIN)/python -m crash_table --quick

bench: setup  ## How fast, beside the floor and the peers (ARGS="--quick --json")
	@$(BIN)/python -m benchmarks $(ARGS)

crash-table: setup  ## Kills workers, databases and lines, and counts what becomes of messages (ARGS="--quick --json")
	@$(BIN)/python -m crash_table $(ARGS)

docs: setup  ## Draws the state diagrams anew and runs every code block of the docs
	@$(BIN)/python scripts/diagrams.py
	@$(BIN)/python -m pytest -n 0 tests/house/test_docs.py $(ARGS)

format: setup  ## Puts the code into shape
	@$(BIN)/ruff check --quiet --fix-only $(CODE)
	@$(BIN)/ruff format --quiet $(CODE)

setup:  ## Makes .venv with everything (PYTHON=python3.12 names the interpreter, VENV=.venv-3.12 the place)
	@scripts/setup

clean:  ## Removes what was made, except .venv and the databases in .dripdrop
	@rm -rf build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests benchmarks examples scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

help:
	@echo "DripDrop"
	@awk -f scripts/help.awk $(firstword $(MAKEFILE_LIST))

lint: setup
	@echo "format and lint"
	@$(BIN)/ruff format --quiet --check $(CODE) || { $(BIN)/ruff format --check $(CODE); echo "make format puts this right."; exit 1; }
	@$(BIN)/ruff check --quiet $(CODE)

types: setup
	@echo "types"
	@$(BIN)/mypy --no-error-summary

imports: setup
	@echo "imports"
	@mkdir -p build; $(BIN)/lint-imports --no-logo >build/imports.log 2>&1 || { sed -n '/^Contracts:/,$$p' build/imports.log; exit 1; }

packages:
	@scripts/system-packages
