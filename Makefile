# `make demo` and `make test` do all their set-up themselves; they need Python 3.11 or later, and make.
PYTHON ?= python3
# Each Python that is asked for has an environment of its own: .venv-3.13 beside .venv.
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
BIN := $(VENV)/bin

# Whatever the environment says: without it each process of the tests compiles all of them anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast mutants check format e2e lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/installed: pyproject.toml requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "signup-sync needs Python 3.11 or later; choose one with: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "Setting up $(VENV), once; it takes a minute or two ..."
	@$(PYTHON) -m venv $(VENV)
	@requirements/install $(BIN)/python >$(VENV)/setup.log 2>&1 || { tail -n 5 $(VENV)/setup.log >&2; \
		echo "The set-up has failed: $(VENV)/setup.log says why. To try again: make clean, and the same again." >&2; exit 1; }
	@touch $@

demo: $(VENV)/installed ## See the whole system work on embedded parts (KEEP=1 leaves it running)
	@$(BIN)/python -m demo $(if $(KEEP),--keep)

# What is not run: it takes long, breaks things for minutes, or needs Node.js, Chromium or a local AWS.
LONG := slow or faults or node or browser or tools or citus

test: $(VENV)/installed ## Run all tests but the longest (three minutes)
	$(BIN)/python -m pytest -m 'not ($(LONG))' --numprocesses 6 --dist worksteal $(ARGS)

test-fast: $(VENV)/installed ## Run the tests that need no server and no process (20 seconds)
	$(BIN)/python -m pytest --ignore tests/faults --ignore tests/e2e -m 'not ($(LONG) or server or process)' --hypothesis-profile fast --numprocesses 2 --dist worksteal $(ARGS)

.PHONY: faults faults-long

FAULTS := tests/faults tests/security

faults: $(VENV)/installed ## Break every promise on purpose: docs/guarantees.md (minutes)
	tests/faults/install-engines
	$(BIN)/python -m pytest $(FAULTS) -m 'faults and not slow' --numprocesses 6 --dist worksteal $(ARGS)

faults-long: export FAULTS_SEED := $(or $(FAULTS_SEED),$(shell date +%s))
faults-long: export FAULTS_SHARDS ?= 27
faults-long: $(VENV)/installed ## The same for long: 216 sequences, fuzzing, 100,000 messages, half an hour (needs Node.js)
	tests/e2e/install-node-parts
	tests/faults/install-engines
	@echo "again with the same sequences: make faults-long FAULTS_SEED=$$FAULTS_SEED"
	$(BIN)/python -m pytest $(FAULTS) -m 'faults and not slow' --numprocesses 6 --dist worksteal $(ARGS)
	$(BIN)/python -m pytest $(FAULTS) -m 'faults and slow' -rP $(ARGS)

mutants: $(VENV)/installed ## Break the code in 188 ways, and see whether the tests notice (ONLY=text for some)
	$(BIN)/python -m tests.mutants $(if $(ONLY),--only '$(ONLY)') $(ARGS)

check: $(VENV)/installed ## Check format, lint, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

format: $(VENV)/installed ## Rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

e2e: $(VENV)/installed ## Real sign-ups through cognito-local and fauxqs (needs Node.js 20 or later)
	tests/e2e/install-node-parts
	$(BIN)/python -m pytest -m node tests/e2e tests/benchmarks $(ARGS)

.PHONY: test-distributed

test-distributed: $(VENV)/installed ## Run the worker on a cluster of Citus (CITUS=DIR has its install, unless it is there)
	@test -z "$(CITUS)" || "$(CITUS)"/install
	$(BIN)/python -m pytest -m citus tests/db tests/distributed $(ARGS)

lock: $(VENV)/installed ## Pin the newest versions of all dependencies, with hashes
	requirements/lock

.PHONY: audit sbom

audit: ## Look the pinned dependencies up in a database of known faults (needs a network)
	requirements/audit

sbom: $(VENV)/installed ## Write the image's bill of materials, dist/signup-sync.cdx.json (CycloneDX)
	@mkdir -p dist
	$(BIN)/python -m deploy.bill_of_materials >dist/signup-sync.cdx.json

clean: ## Remove what was installed or generated
	rm -rf .venv .venv-* .bench .e2e .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

.PHONY: deploy destroy e2e-deploy check-deploy check-image

deploy: $(VENV)/installed ## Deploy ENV=dev or prod into your AWS account
	@test -n "$(ENV)" || { echo "which environment? make deploy ENV=dev" >&2; exit 2; }
	PYTHON=$(BIN)/python deploy/deploy $(ENV)

destroy: $(VENV)/installed ## Remove what runs in ENV=dev or prod; its data stays
	@test -n "$(ENV)" || { echo "which environment? make destroy ENV=dev" >&2; exit 2; }
	PYTHON=$(BIN)/python deploy/destroy $(ENV)

check-deploy: $(VENV)/installed ## Lint the templates, and deploy them to a local AWS
	tests/deploy/install-tools
	$(BIN)/python -m pytest tests/deploy -m 'not node' --numprocesses 3 --dist loadfile $(ARGS)

e2e-deploy: $(VENV)/installed ## A sign-up through the deployed templates, in a local AWS; CDK's example (needs Node.js)
	tests/deploy/install-tools ministack infrastructure cdk
	tests/e2e/install-node-parts
	$(BIN)/python -m pytest tests/deploy -m node $(ARGS)

check-image: $(VENV)/installed ## Build the image and run the worker from it (Linux, root, buildah, debootstrap)
	PYTHON=$(BIN)/python deploy/check-image

.PHONY: bench bench-full bench-check
bench: bench-parts ## Measure against peers, in some minutes (needs Node.js, and Linux); writes benchmarks/results
	$(BIN)/python -m benchmarks run $(ARGS)

bench-full: bench-parts ## The same with more rounds, and with growing backlogs, tables, latency and processes (half an hour)
	$(BIN)/python -m benchmarks run --full $(ARGS)

bench-check: $(VENV)/installed ## Compare the bytecode that a message takes with what is recorded (ARGS=--record)
	$(BIN)/python -m benchmarks check $(ARGS)

.PHONY: bench-parts
bench-parts: $(VENV)/installed
	tests/e2e/install-node-parts
	PYTHON=$(PYTHON) benchmarks/install-peers

.PHONY: test-browser

test-browser: $(VENV)/installed ## Use the console in a real Chromium; screenshots with ARGS=--screenshots
	tests/worker/console/install-browser
	$(BIN)/python -m pytest tests/worker/console -m browser $(ARGS)
