# `make run` sets everything up and executes the course; `make test` sets everything up and passes the tests.
# Needs make and python3 (with venv); kit.py does the rest, and does it without make too.

PYTHON ?= python3
PROFILE ?= laptop
LAB_OPTIONS ?=

MAKEFLAGS += --no-print-directory
.PHONY: help setup run test check lab lock python clean

help:
	@echo "make run [PROFILE=smoke|laptop|gpu]   set up, execute the whole course, print the results table"
	@echo "make test                             set up, pass the tests"
	@echo "make check                            set up, look at format, imports and sizes"
	@echo "make lab [PROFILE=smoke|laptop|gpu]   set up, open the notebooks in JupyterLab (localhost only)"
	@echo "make lock                             compile requirements.lock from pyproject.toml"
	@echo "make clean                            remove .venv and caches; datasets/ and runs/ stay"
	@echo "LAB_OPTIONS=... is handed on to JupyterLab (as root, in a container: LAB_OPTIONS=--allow-root)."
	@echo "PYTHON=python3.12 names another interpreter for the set-up."

setup test check lock: python
	@"$(PYTHON)" kit.py $@

run: python
	@"$(PYTHON)" kit.py run --profile "$(PROFILE)"

lab: python
	@"$(PYTHON)" kit.py lab --profile "$(PROFILE)" $(LAB_OPTIONS)

python:
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "error: no $(PYTHON) found; install Python, or name one with: make PYTHON=python3.12 ..." >&2; exit 1; }

clean:
	@rm -rf .venv .venv.lock build .pytest_cache .hypothesis *.egg-info
	@find . \( -name .git -o -name datasets -o -name runs \) -prune -o \
		-name __pycache__ -type d -prune -exec rm -rf {} +
