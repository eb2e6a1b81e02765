# Requires Python 3.11+, make and a package index; everything else comes from requirements.lock.
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
SYNCED := $(VENV)/.synced
TESTS ?= not slow
NODE_PEERS := tests/interop/node/node_modules/.package-lock.json

# Some images of Python set it. Then every process that a test starts compiles what it imports anew, which takes a second.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help sync demo test slow faults check format bench lock clean

help: ## List the commands.
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

sync: $(SYNCED) ## Set up .venv from the lock file.

$(SYNCED): requirements.lock pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "domainstream needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: sync ## Watch the events of four services go from mapper to handler.
	@$(BIN)/domainstream demo

test: sync ## Run the tests, but for the slow ones.
	@$(BIN)/python -m pytest -m "$(TESTS)"

slow: ## Run the rest: on other kinds of servers, on whole systems, and fault tests.
	@$(MAKE) --no-print-directory test TESTS=slow

faults: sync ## Run the fault tests at full size, which takes far longer than make test.
	@$(BIN)/python -m pytest tests/faults --faults=full -n0

check: sync ## Check lint, format, types and layers.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pyright --warnings
	@$(BIN)/lint-imports
	@$(BIN)/domainstream check examples/monorepo

format: sync ## Fix what ruff can fix.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: sync $(NODE_PEERS) ## Run the benchmarks side by side with peers.
	@$(BIN)/python -m benchmarks

$(NODE_PEERS): tests/interop/node/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/interop/node --loglevel=error --no-progress; else echo "note: no npm; the peers on Node.js are left out"; fi

lock: sync ## Update requirements.lock.
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --group dev --group bench --upgrade --no-emit-package domainstream --custom-compile-command 'make lock' --output-file requirements.lock pyproject.toml

clean: ## Remove .venv and caches.
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
