PYTHON ?= python3
BIN := .venv/bin
# Most of the modules are never imported; the others are compiled on their first import.
PIP := $(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable
# Its files alone are used, not the packages that it asks for, one of which has no wheel.
WORD_EMBEDDING := efficientword-net==1.0.5

.PHONY: help demo test lint docs clean

help:
	@echo "make demo   set up .venv and run recipes/quickstart.toml from start to bundle"
	@echo "make test   set up .venv and run the linters, the type checker and all tests"
	@echo "make docs   set up .venv and build the guide into site/"
	@echo "make clean  remove .venv, build/, site/, runs/ and dist/"

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv

# A marker for each set of packages: the demo waits for nothing that only tests and docs need.
.venv/.installed: pyproject.toml constraints.txt | .venv/pyvenv.cfg
	$(PIP) .
	@touch $@

.venv/.installed-docs: pyproject.toml constraints.txt | .venv/pyvenv.cfg
	$(PIP) '.[docs]'
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | .venv/pyvenv.cfg
	$(PIP) '.[dev]'
	$(BIN)/pip install --quiet --no-deps $(WORD_EMBEDDING)
	@touch $@ .venv/.installed .venv/.installed-docs

# Its processes import compiled files, even where Python is set to write none.
demo: .venv/.installed
	PYTHONDONTWRITEBYTECODE= $(BIN)/edgekws compress recipes/quickstart.toml

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell .
	$(BIN)/mypy

# A worker on each core, and one thread in each: threads that spin would slow the others down.
# Hundreds of processes import the package: from compiled files, even where Python is set to write
# none.
test: lint
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest \
		--numprocesses auto --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)

# The guide has a page to try the quickstart where make demo, or you, have left its bundle.
docs: .venv/.installed-docs
	rm -rf build/pages
	test ! -d dist/quickstart || \
		$(BIN)/edgekws export dist/quickstart --to web --output build/pages/quickstart.html
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env \
		--doctree-dir build/doctrees docs site
	@echo "open site/index.html"

clean:
	rm -rf .venv build site runs dist
