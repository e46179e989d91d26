# SPDX-License-Identifier: Apache-2.0
# `make help` says what there is. Everything lands in .venv, build and the lab's own cache.

PYTHON ?= python3
VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/installed
# What the compiled module and the installed packages depend on; pykvm's Python is used in place.
INSTALLED_FROM := pyproject.toml setup.py $(wildcard cdefs/*.h cdefs/*.c cdefs/*.py)
# More words for the test runner: make test ARGS='unit lint', make test ARGS=--list
ARGS ?=

.PHONY: help demo test test-all lint bench bench-check coverage mutants wheels wheels-check \
	free-threaded soak migrate clean prerequisites

help: ## this list
	@echo "Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED) ## set everything up, then show an eventfd become a guest's interrupt
	@$(VENV_PYTHON) -m tests.runner.demo

test: $(INSTALLED) ## everything: lint, types, every test on every host (ARGS=--list: its parts)
	@$(VENV_PYTHON) -m tests.runner $(ARGS)

lint: $(INSTALLED) ## ruff and mypy
	@$(VENV_PYTHON) -m tests.runner lint format types

bench: $(INSTALLED) ## what the binding costs over C, in counted instructions
	@$(VENV_PYTHON) -m tests.bench

bench-check: $(INSTALLED) ## whether pykvm costs what it did, in counted instructions
	@$(VENV_PYTHON) -m tests.bench.check

wheels: $(INSTALLED) ## wheels in dist/ for x86_64 and aarch64, their tags and contents checked
	@$(VENV_PYTHON) -m tests.wheels

wheels-check: $(INSTALLED) ## make wheels, then run the arm64 tests with nothing but the wheel
	@$(VENV_PYTHON) -m tests.runner bare-venv

free-threaded: $(INSTALLED) ## build pykvm for free-threaded Python, and test its threads
	@$(VENV_PYTHON) -m tests.runner free-threaded

test-all: $(INSTALLED) ## make test, and what takes longer: races, mutants, wheels used alone
	@$(VENV_PYTHON) -m tests.runner --all

coverage: $(INSTALLED) ## put the table of the interface, as the last make test found it, into README.md
	@$(VENV_PYTHON) -m tests.coverage

mutants: $(INSTALLED) ## leave each call of the interface out in turn: its tests must fail
	@$(VENV_PYTHON) -m tests.runner 'mutants*'

soak: $(INSTALLED) ## 100,000 level interrupts, raced, on a GICv3 and on a GICv2 host
	@$(VENV_PYTHON) -m tests.runner 'soak*'

migrate: $(INSTALLED) ## guests with interrupts in flight, moved 100 times, on a GICv3 and a GICv2 host
	@$(VENV_PYTHON) -m tests.runner 'migrate*'

clean: ## remove what was made in this tree
	rm -rf $(VENV) build dist *.egg-info pykvm/_kvm*.so pykvm/_kvm.c
	find . -type d \( -name __pycache__ -o -name '.*_cache' \) -prune -exec rm -rf {} +
	@echo "The lab keeps what it downloaded; to remove that: $(PYTHON) -m tests.lab clean"

# Looked at each time, since packages come and go without a trace in this tree.
prerequisites:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "pykvm needs Python 3.11 or newer, and $(PYTHON) is older or missing:" \
	       "name another one, as in 'make test PYTHON=python3.12'." >&2; exit 1; }
	@$(PYTHON) -m tests.runner.prerequisites

$(INSTALLED): $(INSTALLED_FROM) | prerequisites
	@echo "building pykvm in $(VENV)"
	@$(VENV_PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
