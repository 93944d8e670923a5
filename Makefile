PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test lint clean

help:
	@echo "make demo   set up .venv and run recipes/quickstart.toml from start to bundle"
	@echo "make test   set up .venv and run the linters, the type checker and all tests"
	@echo "make clean  remove .venv, runs/ and dist/"

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/.installed
	$(BIN)/edgekws compress recipes/quickstart.toml

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A worker on each core, and one thread in each: threads that spin would slow the others down.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile

clean:
	rm -rf .venv runs dist
