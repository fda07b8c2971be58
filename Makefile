# `make help` lists what there is to type. Needs git, make and Python 3.11 or newer, nothing else.

VENV := .venv
PY := $(VENV)/bin/python
LOCKS := requirements.lock requirements-dev.lock

# Settings a caller may give: make demo VIDEOS="my films" OUT=runs/films FRESH=1; make test ARGS="-k schema".
PYTHON ?=
VIDEOS =
OUT = runs/demo
FRESH =
WORKERS = 2
ARGS =

# uv from PATH if it runs, else the pinned one that `make setup` puts into the environment.
UV_PIN := $(shell sed -n 's/^uv==\([^ ;]*\).*/\1/p' requirements-dev.lock)
UV = $(shell if uv --version >/dev/null 2>&1; then echo uv; else echo $(VENV)/bin/uv; fi)
UV_INSTALL = $(UV) pip install --python $(PY) --no-deps

# A stamp is named after what it vouches for: where the checkout lies, its locks and its pyproject.toml.
key = $(shell (pwd; cat pyproject.toml $(1)) | cksum | cut -d ' ' -f 1)
SETUP_STAMP := $(VENV)/.pfp-setup-$(call key,requirements.lock)
DEV_STAMP := $(VENV)/.pfp-dev-$(call key,$(LOCKS))

# A value as one shell word, whatever it holds.
quote = '$(subst ','\'',$(1))'

.PHONY: help setup demo table1 test parity lint format check lock clean
.DEFAULT_GOAL := help

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(SETUP_STAMP) ## Build .venv from requirements.lock (nothing happens when it is up to date)

demo: $(SETUP_STAMP) ## Run the whole chain on this machine [VIDEOS=DIR] [OUT=runs/demo] [FRESH=1]
	@$(PY) -m experiments.demo --out $(call quote,$(OUT)) $(if $(VIDEOS),--videos $(call quote,$(VIDEOS))) $(if $(filter-out 0 no false,$(FRESH)),--fresh)

table1: OUT = runs/table1
table1: $(SETUP_STAMP) ## Train and compare all compression structures, two hours of one core [VIDEOS=DIR] [OUT=runs/table1]
	@$(PY) -m experiments.table1 --work $(call quote,$(OUT)) $(if $(VIDEOS),--videos $(call quote,$(VIDEOS))) $(ARGS)

test: $(DEV_STAMP) ## Run every test [ARGS="-k schema"] [WORKERS=2]
	$(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

parity: $(DEV_STAMP) ## Compare every metric with its reference and write docs/parity.md
	$(PY) -m pytest -m parity --parity=docs/parity.md $(ARGS)

lint: $(DEV_STAMP) ## Check style, types and import rules
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo

format: $(DEV_STAMP) ## Let ruff rewrite the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

check: lint test ## Everything continuous integration runs

lock: $(DEV_STAMP) ## Resolve pyproject.toml into the lock files again [ARGS=--upgrade]
	$(call compile,requirements.lock,pyproject.toml --extra all --group build)
	$(call compile,requirements-dev.lock,--group test --group dev --constraints requirements.lock)

compile = $(VENV)/bin/uv pip compile $(2) --output-file $(1) --universal --python-version 3.11 \
	--fork-strategy fewest --annotation-style line --custom-compile-command "make lock" --quiet $(ARGS)

clean: ## Remove caches and build outputs; .venv and runs/ stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find pfp pipelines experiments tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The environment itself. A .venv whose interpreter is gone is made anew.
$(PY):
	@for name in $(if $(PYTHON),$(call quote,$(PYTHON)),python3 python3.13 python3.12 python3.11 python3.14); do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$name; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "No Python 3.11 or newer was found $(if $(PYTHON),at $(PYTHON),on PATH); install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	rm -rf $(VENV); \
	if [ "$(UV)" = uv ]; then uv venv --quiet --python "$$found" $(VENV); exit; fi; \
	if ! "$$found" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	  echo "$$found cannot make virtual environments (no ensurepip); on Debian or Ubuntu: apt-get install python3-venv, then make setup again" >&2; exit 1; \
	fi; \
	"$$found" -m venv $(VENV)

$(SETUP_STAMP): | $(PY)
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(VENV) holds a Python older than 3.11; remove it, then make setup again" >&2; exit 1; }
	@[ "$(UV)" = uv ] || [ -x $(VENV)/bin/uv ] || $(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_PIN)
	@echo "Installing the packages of requirements.lock into $(VENV) (the first time: about 3 GB to fetch)"
	@# Compiled once here, or every process compiles it where Python may not write bytecode.
	@$(UV_INSTALL) --compile-bytecode --requirement requirements.lock
	@$(UV_INSTALL) --no-build-isolation --editable .
	@rm -f $(VENV)/.pfp-setup-*
	@touch $@

$(DEV_STAMP): $(SETUP_STAMP)
	@$(UV_INSTALL) --requirement requirements-dev.lock
	@rm -f $(VENV)/.pfp-dev-*
	@touch $@
