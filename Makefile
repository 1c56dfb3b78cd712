# `make demo` and `make test` set up all they need by themselves, in .venv.

PYTHON = $(shell tools/find-python 3.11 3.12 3.13 3.14)
BACKEND = asyncio
PORT = 8000
JOBS = 4
SECONDS = 60
MINUTES = 5
# What soak and chaos are told: both backends and a seed of their own, unless the caller says which.
CHOSEN = $(if $(filter command line environment,$(origin BACKEND)),--backend $(BACKEND)) \
	$(if $(SEED),--seed $(SEED))

.PHONY: help demo test lint types format coverage fire soak chaos bench autobahn fuzz reference clean environment ruff imports mypy pyright

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | expand -t 12

demo: ## Start a chat with its page (BACKEND=trio, PORT=9000)
	@cmp -s pyproject.toml .venv/installed-dev.toml || \
		tools/environment .venv "$(PYTHON)" demo --editable .
	@echo "open http://127.0.0.1:$(PORT), and as a guest in a second window; Ctrl-C stops it"
	@exec .venv/bin/python -m herdwick run examples.demo.app:app \
		--backend $(BACKEND) --host 127.0.0.1 --port $(PORT)

test: environment ## Run everything: the tests on each Python found, the checks (JOBS=1: one by one)
	@tools/install-programs
	@.venv/bin/python tools/run_tests.py --jobs $(JOBS)

lint: ruff imports ## Check the style, and who imports whom

types: mypy pyright ## Check the types, with mypy and with pyright

format: environment ## Put the source in form
	.venv/bin/ruff check --quiet --fix .
	.venv/bin/ruff format --quiet .

coverage: environment ## Measure, by branch, what the tests reach
	.venv/bin/coverage erase
	.venv/bin/coverage run -m pytest
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report

fire: environment ## Prove the promises at full size on each backend: some minutes
	HERDWICK_FIRE=1 HERDWICK_MACHINE=5 .venv/bin/python -m pytest tests/fire \
		tests/runtime/test_supervisor_machine.py tests/promises tests/abuse

soak: environment ## Let connections of all kinds come and go, and see that nothing is left (MINUTES=5)
	@.venv/bin/python -m tests.promises.soak --seconds $$((60 * $(MINUTES))) $(CHOSEN)

chaos: environment ## Kill whatever may die, and see that whoever lives misses nothing (MINUTES=5)
	@.venv/bin/python -m tests.promises.chaos --seconds $$((60 * $(MINUTES))) $(CHOSEN)

bench: ## Measure herdwick beside other servers (QUICK=1: in a minute)
	@tools/environment .venv-bench "$(PYTHON)" bench --editable . --group peers
	@.venv-bench/bin/python -m benchmarks.wire $(if $(QUICK),--quick)

autobahn: ## Run the Autobahn testsuite against each server and driver: a minute
	@tools/environment .venv-autobahn "$(PYTHON)" autobahn --editable . --group autobahn
	@.venv-autobahn/bin/python -m tests.autobahn

fuzz: ## Feed each parser what no peer should send, guided by coverage (SECONDS=60 for each)
	@tools/environment .venv-fuzz "$(PYTHON)" fuzz --editable . --group fuzz
	@.venv-fuzz/bin/python -m tests.fuzz --seconds $(SECONDS) $(TARGETS)

reference: environment ## Write docs/reference from the docstrings
	@.venv/bin/python -m tools.reference

clean: ## Remove all that the others made, environments too
	rm -rf .venv .venv-* .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache \
		.ruff_cache artefacts build dist htmlcov
	find herdwick tests examples tools -name __pycache__ -prune -exec rm -rf {} +

ruff: environment
	@.venv/bin/ruff check --quiet . && .venv/bin/ruff format --quiet --check --diff .

imports: environment
	@.venv/bin/lint-imports --no-logo

mypy: environment
	@.venv/bin/mypy

pyright: environment
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 .venv/bin/pyright --project .

environment:
	@tools/environment .venv "$(PYTHON)" dev --editable . --group dev
