# `make run` sets everything up and executes the course; `make test` sets everything up and passes the tests.
# Needs make and python3 (with venv); everything else goes into .venv.

PYTHON ?= python3
PROFILE ?= laptop
LAB_OPTIONS ?=
VENV := .venv
BIN := $(VENV)/bin

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.PHONY: help setup run test lab lock clean

help:
	@echo "make run [PROFILE=smoke|laptop|gpu]   set up, execute the whole course, print the results table"
	@echo "make test                             set up, pass the tests"
	@echo "make lab                              set up, open the notebooks in JupyterLab (localhost only)"
	@echo "make lock                             compile requirements.lock from pyproject.toml"
	@echo "make clean                            remove .venv and caches; datasets/ and runs/ stay"
	@echo "LAB_OPTIONS=... is handed on to JupyterLab (as root, in a container: LAB_OPTIONS=--allow-root)."
	@echo "PYTHON=python3.12 names another interpreter for the set-up."

setup: $(VENV)/.installed

run: $(VENV)/.installed
	@"$(BIN)/python" -m corelib course run --profile "$(PROFILE)"

test: $(VENV)/.installed
	@"$(BIN)/python" -m pytest

lab: $(VENV)/.installed
	@"$(BIN)/python" -m jupyterlab --ServerApp.ip=127.0.0.1 --LabApp.default_url=/lab/tree/notebooks $(LAB_OPTIONS)

lock: $(VENV)/.uv
	@"$(BIN)/python" -m uv pip compile -q --universal --python-version 3.11 --extra test \
		--no-emit-index-url --no-annotate --no-header pyproject.toml -o requirements.lock

clean:
	@rm -rf $(VENV) build .pytest_cache .hypothesis *.egg-info
	@find . \( -name .git -o -name datasets -o -name runs \) -prune -o \
		-name __pycache__ -type d -prune -exec rm -rf {} +

# The range of Python versions is read from pyproject.toml, where it stands once. The script is
# plain enough to be understood by the old interpreters that it has to turn away.
define CHECK_PYTHON
import re, sys
text = open("pyproject.toml").read()
low, high = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', text).groups()
if not (3, int(low)) <= sys.version_info[:2] < (3, int(high)):
    sys.exit("error: %s is Python %d.%d, but 3.%s to 3.%d is needed; name one with: make PYTHON=python3.%s ..."
             % ((sys.argv[1],) + tuple(sys.version_info[:2]) + (low, int(high) - 1, low)))
try:
    import ensurepip, venv
except ImportError:
    sys.exit("error: %s has no venv module; install it (Debian, Ubuntu: apt install python3-venv)" % sys.argv[1])
endef
export CHECK_PYTHON

# A sound .venv that is already there is kept; one that is broken or of another Python is made anew.
# uv's own version is not pinned: what it installs is, to the last package.
$(VENV)/.uv:
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "error: no $(PYTHON) found; install Python, or name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c "$$CHECK_PYTHON" "$(PYTHON)"
	@echo "Setting up $(VENV) (once; a few GB, as PyTorch is large) ..."
	@"$(BIN)/python" -c "$$CHECK_PYTHON" "$(BIN)/python" 2>/dev/null \
		&& "$(BIN)/python" -m pip --version >/dev/null 2>&1 \
		|| "$(PYTHON)" -m venv --clear $(VENV)
	@"$(BIN)/python" -m pip install -q --disable-pip-version-check uv
	@touch $@

# No build isolation: setuptools comes pinned from the lock too.
$(VENV)/.installed: $(VENV)/.uv requirements.lock pyproject.toml
	@"$(BIN)/python" -m uv pip install -q --python "$(BIN)/python" -r requirements.lock
	@"$(BIN)/python" -m uv pip install -q --python "$(BIN)/python" --no-deps --no-build-isolation -e .
	@touch $@
