# Everything from a fresh clone, with only Python 3.10+ and make:
#   make demo    reconstruct examples/photos into out/
#   make test    run the tests
#   make check   formatting, lint, types, import rules, the site and tests, as CI does
#   make docs    build the site into docs/_build/html
# PYTHON=python3.12 chooses an interpreter, VENV=dir an environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Without an NVIDIA driver the pinned torch is enough, and nothing may pull in a CUDA build.
HAS_GPU := $(shell command -v nvidia-smi 2>/dev/null)
TORCH := $(if $(HAS_GPU),torch>=2.5,torch==2.13.0)
INSTALL := $(BIN)/python -m pip install --quiet $(if $(HAS_GPU),,--constraint .ci/constraints.txt)

.PHONY: demo test check docs format lint types imports clean

demo: $(VENV)/.demo
	$(BIN)/fast3r reconstruct examples/photos/banana --output out/banana --format html --format still
	$(BIN)/fast3r reconstruct examples/photos/buddha --output out/buddha --format html --format still
	@echo "Open out/banana/scene.html in a browser, or look at out/banana/still.png."

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

check: lint types imports docs test

docs: $(VENV)/.docs $(VENV)/.test
	$(BIN)/python -m sphinx --fail-on-warning --fresh-env --quiet docs docs/_build/html

format: $(VENV)/.lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.lint $(VENV)/.test
	$(BIN)/basedpyright --pythonpath $(BIN)/python

imports: $(VENV)/.lint $(VENV)/.test
	$(BIN)/lint-imports

$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(INSTALL) "$(TORCH)"
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(INSTALL) --editable ".[viewer]"
	@touch $@

$(VENV)/.test: $(VENV)/.torch pyproject.toml
	$(INSTALL) --editable ".[viewer,media,export,mesh,eval,train,refine,serve,demo]" --group test
	@touch $@

$(VENV)/.lint: $(VENV)/.torch pyproject.toml
	$(INSTALL) --group lint
	@touch $@

$(VENV)/.docs: $(VENV)/.torch pyproject.toml
	$(INSTALL) --group docs
	@touch $@

clean:
	rm -rf $(VENV) out docs/_build
