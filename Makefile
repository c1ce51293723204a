# make test   the test suite          make lint       ruff and mypy
# make demo   the demonstration       make fuzz       100,000 damaged files
# make clean  remove what these made  make gpu-check  what a GPU computes, and how fast
# Each makes .venv once, from the versions in constraints.txt. PYTHON=/path/to/python chooses another interpreter.

SHELL := /bin/bash
# an interpreter that has tkinter, which Scipion imports, comes before one that has not
SUITABLE := import sys, tkinter; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in $$(type -ap python3.11 python3.12 python3); do \
  "$$p" -c '$(SUITABLE)' 2>/dev/null && echo "$$p" && exit; done; command -v python3.11 || command -v python3)
VENV := .venv
RUN := env -u PYTHONPATH PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
CORES := $(shell nproc 2>/dev/null || echo 2)
STAMP := $(VENV)/.installed

.PHONY: test demo fuzz lint gpu-check clean

# two workers of one thread each: more threads per worker slow each other down
test: $(STAMP)
	$(RUN) OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder \
	  --max-worker-restart 0

demo: $(STAMP)
	$(RUN) $(VENV)/bin/python -m continuousflex_deep.demo

# 100,000 damaged files and more; the tests have 2,000 of them
fuzz: $(STAMP)
	$(RUN) OMP_NUM_THREADS=1 CFD_FUZZ_CASES=4000 $(VENV)/bin/python -m pytest continuousflex_deep/tests/fuzz \
	  -n $(CORES) --max-worker-restart 0 -o timeout=14400 -o faulthandler_timeout=14390

gpu-check: $(STAMP)
	$(RUN) $(VENV)/bin/python benchmarks/gpu_check.py --device cuda

lint: $(STAMP)
	$(RUN) $(VENV)/bin/python -m ruff check .
	$(RUN) $(VENV)/bin/python -m mypy

$(STAMP): setup.py pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || { \
	  echo "error: Python 3.11 or 3.12 is needed, got $$("$(PYTHON)" --version 2>&1) at '$(PYTHON)'." \
	       "Install it or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	rm -rf $(VENV)
	"$(PYTHON)" -m venv $(VENV)
	$(RUN) PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(VENV)/bin/python -m pip install -e ".[compute,scipion,test]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache demo_output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
