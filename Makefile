# The two commands are `make demo` and `make test`; `make check` is the everyday loop.
PYTHON ?= /usr/bin/python3
BIN := .venv/bin
SETUP := $(PYTHON) scripts/setup.py
PYTEST := $(BIN)/pytest
FLOORS := marketplace booking devices billing evaluation web
.DEFAULT_GOAL := help
.PHONY: help demo test check units lint types floors docs bench soak setup clean

help:  ## what can be made
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo:  ## install what is needed, then the whole product at http://127.0.0.1:8000 (PORT=..., DATA_DIR=...)
	@$(SETUP) demo
	@exec $(BIN)/pilotbench demo $(if $(PORT),--port "$(PORT)") $(if $(DATA_DIR),--data-dir "$(DATA_DIR)")

test: setup  ## every test: SQLite and PostgreSQL, a real Mosquitto, a real browser (ARGS=... for pytest)
	@$(PYTEST) -n 2 --dist loadfile $(ARGS)

check: setup  ## within a minute: lint, types, floors, unit tests on SQLite without pages and long laws
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target units lint types floors

units: setup  ## unit tests on SQLite without those that draw pages or take seconds (ARGS=... for pytest)
	@$(PYTEST) -n 2 -m "not servers and not pages and not laws" --databases sqlite --ignore tests/flows --ignore tests/test_floors.py $(ARGS)

lint: setup  ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup  ## mypy --strict
	@$(BIN)/mypy

floors: setup  ## import-linter's contracts and the rules of shape
	@$(BIN)/lint-imports --no-logo
	@$(PYTEST) tests/test_floors.py

docs: setup  ## doctests, README's commands and settings, links
	@$(PYTEST) $(FLOORS) tests/test_house.py

bench: setup  ## limits of this machine and ours, side by side (ONLY=... to choose)
	@$(BIN)/python -m tests.bench.frame $(ONLY)

soak: setup  ## kill -9 of broker, worker and database under load, half an hour without worker (ARGS="--rounds 20 --seed 1")
	@$(BIN)/python -m tests.flows.soak $(ARGS)

setup:  ## install what the tests need; quick when nothing changed
	@$(SETUP) test

clean:  ## remove what was built and installed inside this folder (not var/)
	rm -rf .venv node_modules web/static .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
