# Two commands do everything on a fresh machine (Debian or Ubuntu, Python 3.11+, make):
#   make demo   installs missing dependencies, starts a private hub, runs five referrals, stops
#   make test   sets up and runs the tests
.DEFAULT_GOAL := help
.PHONY: help setup demo up test crash mutation chaos simulate machines check lint requests format bench lock lock-bench schemas clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?= var/hub
BENCH_VENV := build/venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
BENCH ?= all

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## install Python packages into .venv, and RabbitMQ with the system's package manager if it is missing
	@deploy/install-broker

# Packages come from the lock file with their hashes. Our own two packages are installed in editable mode.
$(STAMP): requirements.lock pyproject.toml client/pyproject.toml
	@deploy/make-venv $(PYTHON) $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e client -e .
	@touch $(STAMP)

demo: setup ## run five sample referrals through a private hub
	@$(BIN)/kopuro demo

up: setup ## run a hub on this machine until Ctrl-C; DATA=dir sets its directory
	@$(BIN)/kopuro up --data-dir $(DATA)

test: setup ## run the tests, with real RabbitMQ, SQLite and PostgreSQL, curl and Node; LONG=1 takes every combination
	@tests/partners/install-tools
	$(if $(LONG),KOPURO_LONG_TESTS=1 )$(BIN)/python -m pytest -n auto

crash: setup ## kill audit at 200 random moments (`make test` does 8, with LONG=1 15)
	KOPURO_CRASH_KILLS=200 $(BIN)/python -m pytest -s tests/crash/test_audit.py

mutation: setup ## remove each guarantee from a copy of the code; the tests must fail each time
	@$(BIN)/python -m tests.mutation

chaos: setup ## run a hub under load and kill its processes and broker at random; SEED=7 REFERRALS=10000 KILLS=20
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(REFERRALS),--referrals $(REFERRALS)) $(if $(KILLS),--kills $(KILLS))

simulate: setup ## run seeded simulations with a virtual clock and failing commits, confirms and processes; SEEDS=10000
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),10000) $(if $(FIRST),--first $(FIRST))

machines: setup ## run `make demo` and `make test` on fresh Debian 12 and 13 systems (needs root, debootstrap); MACHINES="--command demo"
	$(BIN)/python -m tests.machines $(MACHINES)

check: setup ## check style, types, import contracts, published schemas and generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m contracts.publish --check
	$(BIN)/python -m docs.diagrams --check
	$(BIN)/python -m docs.openapi --check
	$(BIN)/python -m docs.asyncapi --check
	$(BIN)/python -m docs.reference --check
	$(BIN)/python -m docs.compatibility
	$(BIN)/openapi-spec-validator contracts/openapi.json

lint: setup ## lint the published OpenAPI and AsyncAPI documents with the official tools, which run on Node
	$(BIN)/python -m tests.openapi.lint

requests: setup ## send many generated requests to a running hub and compare the answers with the OpenAPI document; EXAMPLES=200
	KOPURO_OPENAPI_EXAMPLES=$(or $(EXAMPLES),200) $(BIN)/python -m pytest -q tests/openapi --timeout 3600

format: setup ## format the code with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The peer frameworks stay out of .venv, so that tests run with the shipped dependencies only.
$(BENCH_STAMP): requirements-bench.lock pyproject.toml client/pyproject.toml
	@mkdir -p build
	@deploy/make-venv $(PYTHON) $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e client -e .
	@touch $(BENCH_STAMP)

bench: setup $(BENCH_STAMP) ## run the benchmarks against nameko, FastStream and the bare broker; BENCH="journey --quick" runs one
	@$(BENCH_VENV)/bin/python -m benchmarks $(BENCH)

lock: setup ## update requirements.lock (versions and hashes, no URLs)
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-emit-package kopuro-client --upgrade --quiet -o requirements.lock

lock-bench: setup
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra bench --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-emit-package kopuro-client -c requirements.lock --quiet -o requirements-bench.lock

schemas: setup ## regenerate the published contracts: JSON Schemas, OpenAPI, AsyncAPI and the reference
	$(BIN)/python -m contracts.publish
	$(BIN)/python -m docs.openapi
	$(BIN)/python -m docs.asyncapi
	$(BIN)/python -m docs.reference

clean: ## remove installed and built files (.venv, var, build)
	rm -rf $(VENV) var build
