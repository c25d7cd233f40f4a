# `make demo` and `make test` install what they need into .venv; only python3 (3.10 to 3.13) and make are presupposed.
PYTHON ?= python3
BIN := .venv/bin
# Each core goes through files of its own, so that it makes few of the things twice that the tests of a file share.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal

.PHONY: demo test quick check bench golden clean

demo: .venv/installed
	$(BIN)/python examples/digits/demo.py

# Everything: style, types, and every test.
test: .venv/dev check
	$(PYTEST)

# The tests that take seconds.
quick: .venv/dev
	$(PYTEST) -m "not slow" --pairs none

check: .venv/dev
	$(BIN)/black --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy

# Measure the suite and write the tables of docs/speed.md; the machine should do nothing else.
bench: .venv/dev
	$(BIN)/kerasgen bench --suite --cache build/bench --into docs/speed.md

# Write the golden modules anew, to be reviewed like code.
golden: .venv/dev
	$(BIN)/python -m pytest tests/test_golden.py tests/test_readme.py --update-golden

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ .venv/installed

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
