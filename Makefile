.DEFAULT_GOAL := help
.PHONY: help run setup test test-long campaigns faults lint audit fmt messages constraints

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV = .venv/bin/python
# Each process has a data folder and a database server of its own. In order: files with few tests may be the longest.
AT_ONCE = --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
INSTALL = $(or $(PYTHON),$(error No Python 3.11 or later was found. Install one, or name it: make run PYTHON=/path/to/python)) \
	config/install.py

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

run: ## Set up what is missing, start everything, print the address and the sign-ins; Ctrl-C stops it
	@$(INSTALL)
	@exec $(VENV) manage.py up --with $$PPID

setup: ## Set up .venv and the translations, start nothing
	@$(INSTALL)

test: ## Run the tests, from nothing (PYTEST="-k name" for some)
	@$(INSTALL) --groups train,test --browser
	@exec $(VENV) -m pytest $(AT_ONCE) $(PYTEST)

test-long: ## Run the tests that take minutes
	@$(INSTALL) --groups train,test --browser
	@exec $(VENV) -m pytest -m long $(PYTEST)

campaigns: ## Look for faults by chance in the API, the forms and everything that can be killed (up to an hour each)
	@$(INSTALL) --groups train,test
	@exec $(VENV) -m pytest -m campaign $(PYTEST)

faults: ## Kill everything at random moments, 200 times, and print what came of it (FAULTS="--rounds 20 --seed 1" for some)
	@$(INSTALL) --groups train,test
	@exec $(VENV) -m tests.faults $(FAULTS)

lint: ## Check style, types, imports, templates, migrations and translations
	@$(INSTALL) --groups train,test,dev
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m mypy
	.venv/bin/lint-imports
	.venv/bin/djhtml --tabwidth 2 --check templates
	$(VENV) manage.py makemigrations --check --dry-run
	$(VENV) manage.py translations --check

audit: ## Look our dependencies up among those with known weaknesses (skipped where pypi.org can't be asked)
	@if $(PYTHON) -c "import json, urllib.request as u; \
	assert json.load(u.urlopen('https://pypi.org/pypi/django/1.11/json', timeout=10))['vulnerabilities']" 2>/dev/null; then \
	venv=$$(mktemp -d) && $(PYTHON) -m venv $$venv && $$venv/bin/pip install --quiet pip-audit && \
	$$venv/bin/pip-audit --requirement constraints.txt --disable-pip --no-deps; found=$$?; rm -rf $$venv; exit $$found; \
	else echo "Skipped: https://pypi.org/pypi, which tells of known weaknesses, can't be asked from here."; fi

fmt: ## Put the code and the templates into their form
	@$(INSTALL) --groups train,test,dev
	$(VENV) -m ruff check --fix-only .
	$(VENV) -m ruff format .
	.venv/bin/djhtml --tabwidth 2 templates

messages: ## Collect the texts of the interface into locale/ and compile them
	@$(INSTALL)
	$(VENV) manage.py translations

constraints: ## Resolve all versions anew, in a clean environment, and write them to constraints.txt
	@: > constraints.txt
	@venv=$$(mktemp -d) && $(INSTALL) --venv $$venv --groups train,test,dev && \
	{ echo "# The versions that Plumbline is built and tested with. Made from a clean installation: make constraints"; \
	  $$venv/bin/python -m pip freeze | sed 's/+[a-z0-9]*$$//' | grep -vE '^(pip|setuptools)=='; } > constraints.txt; \
	rm -rf $$venv
