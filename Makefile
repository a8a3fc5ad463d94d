# Two commands do everything on a fresh machine (Debian or Ubuntu, Python 3.11+, make):
#   make demo   installs what is missing, starts a hub of its own, plays five referrals, ends
#   make test   sets up, and passes the tests
.DEFAULT_GOAL := help
.PHONY: help setup demo up test crash mutation chaos simulate machines check format bench lock lock-bench schemas clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?= var/hub
BENCH_VENV := build/venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
BENCH ?= all

help: ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Python packages into .venv, RabbitMQ by the system's package manager if it is missing
	@deploy/install-broker

# The packages come from the lock with their hashes; our own two are installed in place.
$(STAMP): requirements.lock pyproject.toml client/pyproject.toml
	@deploy/make-venv $(PYTHON) $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e client -e .
	@touch $(STAMP)

demo: setup ## watch five referrals travel through a hub of their own
	@$(BIN)/kopuro demo

up: setup ## a hub on this machine, until Ctrl-C; DATA=dir says where
	@$(BIN)/kopuro up --data-dir $(DATA)

test: setup ## every test, on real RabbitMQ, SQLite and PostgreSQL
	$(BIN)/python -m pytest -n 4

crash: setup ## two hundred kills at any moment, beside the fifteen of `make test`
	KOPURO_CRASH_KILLS=200 $(BIN)/python -m pytest -s tests/crash/test_audit.py

mutation: setup ## take each guarantee out of a copy of the code: the tests must fail every time
	@$(BIN)/python -m tests.mutation

chaos: setup ## a whole hub, its processes and its broker killed at random; SEED=7 REFERRALS=10000 KILLS=20
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(REFERRALS),--referrals $(REFERRALS)) $(if $(KILLS),--kills $(KILLS))

simulate: setup ## seeded stories under a virtual clock, where commits, confirms and processes fail; SEEDS=10000
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),10000) $(if $(FIRST),--first $(FIRST))

machines: setup ## `make demo` and `make test` on a fresh Debian 12 and 13 (needs root, debootstrap); MACHINES="--command demo"
	$(BIN)/python -m tests.machines $(MACHINES)

check: setup ## style, types, the rooms' walls, and that what we publish is what we declare
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m contracts.publish --check
	$(BIN)/python -m docs.diagrams --check

format: setup ## let ruff format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The peers stay out of .venv: what is tested is what is shipped.
$(BENCH_STAMP): requirements-bench.lock pyproject.toml client/pyproject.toml
	@mkdir -p build
	@deploy/make-venv $(PYTHON) $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e client -e .
	@touch $(BENCH_STAMP)

bench: setup $(BENCH_STAMP) ## measure, beside nameko, FastStream and the bare broker; BENCH="journey --quick" for one
	@$(BENCH_VENV)/bin/python -m benchmarks $(BENCH)

lock: setup ## write requirements.lock anew: versions and hashes, no addresses
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-emit-package kopuro-client --upgrade --quiet -o requirements.lock

lock-bench: setup
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra bench --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-emit-package kopuro-client -c requirements.lock --quiet -o requirements-bench.lock

schemas: setup ## publish the contracts' JSON Schemas anew
	$(BIN)/python -m contracts.publish

clean: ## remove what was installed and built here
	rm -rf $(VENV) var build
