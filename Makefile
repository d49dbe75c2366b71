# Targets for people. Everything runs in .venv, made from uv.lock; nothing else is installed.

RUNS ?=
UNDATED_AS ?=

BIN := .venv/bin
export DAGSTER_HOME := $(CURDIR)/.agentbooks/dagster

.PHONY: help setup demo dev test lint format bench docs

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/.made ## Make .venv from uv.lock

.venv/.made: pyproject.toml uv.lock
	@test -x $(BIN)/python || python3 -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv==0.13.8
	@UV_PROJECT_ENVIRONMENT=.venv $(BIN)/uv sync --quiet --frozen
	@touch $@

demo: setup ## Load runs (RUNS="files", UNDATED_AS=date), build the marts, show them
	@$(BIN)/agentbooks demo $(RUNS) $(if $(UNDATED_AS),--undated-as $(UNDATED_AS))

dev: setup ## Open Dagster on the same database
	@$(BIN)/agentbooks db up
	@$(BIN)/agentbooks bootstrap
	@mkdir -p $(DAGSTER_HOME) .agentbooks/inbox
	@test -f $(DAGSTER_HOME)/dagster.yaml || cp orchestration/dagster.yaml $(DAGSTER_HOME)/
	@PATH="$(CURDIR)/$(BIN):$$PATH" dagster dev -m orchestration.definitions

test: setup ## Run all tests
	@$(BIN)/dbt --quiet parse
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: setup ## Check format, lint, types and SQL style
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/sqlfluff lint --disable-progress-bar

format: setup ## Mend format and style where that can be done
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix
	@$(BIN)/sqlfluff fix --disable-progress-bar

bench: setup ## Measure; figures are ratios to a baseline in the same run
	@$(BIN)/python -m benchmarks.load
	@$(BIN)/python -m benchmarks.writes
	@$(BIN)/python -m benchmarks.reads
	@$(BIN)/python -m benchmarks.refresh
	@$(BIN)/python -m benchmarks.anomalies
	@$(BIN)/python -m benchmarks.forecast
	@$(BIN)/python -m benchmarks.restate
	@$(BIN)/python -m benchmarks.patterns
	@$(BIN)/python -m benchmarks.trust
	@$(BIN)/python -m benchmarks.archive
	@$(BIN)/python -m benchmarks.erasure
	@$(BIN)/python -m benchmarks.migrations
	@$(BIN)/python -m benchmarks.adopt
	@$(BIN)/python -m benchmarks.chat_migration
	@$(BIN)/python -m benchmarks.encryption

docs: setup ## Write the models' documentation as one page
	@$(BIN)/agentbooks db up
	@eval "$$($(BIN)/agentbooks db env)" && $(BIN)/dbt --quiet docs generate --static
	@echo "The page is target/static_index.html."
