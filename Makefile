# The index of commands. Each makes what it needs first; the second time that takes no time.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
PEER := build/label-studio
FRESH := $(BIN)/python -m config.embedded exec --fresh --
# Three at a time on two cores: much of a test is waiting, for a browser, a worker, a lease.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 3 --dist worksteal
# The first Python that is new enough makes .venv; an old one could not even read the program that says so.
INSTALL = for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then exec $$python -m config.install $(1); fi; done; \
	echo "podium: Podium needs Python 3.11 or newer, and here '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	  "Install one, or name it: make $@ PYTHON=/path/to/python3.11" >&2; exit 1

.PHONY: help up test test-fast lint types style format bench bench-peers clean installed installed-dev chromium

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

up: installed ## start everything and show the logs; PORT=8000, PODIUM_HOST=127.0.0.1
	@exec $(BIN)/python -m config.up

# On one server, where the second part finds the first one's migrated database; each says all that fails.
test: installed-dev chromium ## every test, browser included
	@$(FRESH) sh -c '$(PYTEST) -m "not browser"; first=$$?; [ $$first -le 1 ] || exit $$first; \
	  PODIUM_CHROMIUM="$$($(BIN)/python -m config.chromium)" $(PYTEST) -m browser && exit $$first'

test-fast: installed-dev ## what needs neither browser nor training
	@$(FRESH) env $(PYTEST) -m "not browser and not slow"

lint: installed-dev ## ruff, mypy, import contracts, missing migrations, production settings
	@$(MAKE) --no-print-directory -j 2 types style

types:
	$(BIN)/mypy

style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(FRESH) $(BIN)/python manage.py makemigrations --check --dry-run
	@echo "manage.py check --deploy, as in production"
	@env PODIUM_ENV=production PODIUM_ALLOWED_HOSTS=podium.example PODIUM_HOME=build/deploy-check \
	  DJANGO_SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	  DATABASE_URL=postgres://podium@127.0.0.1/podium REDIS_URL=redis://127.0.0.1/0 \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING

format: installed-dev ## put imports and lines in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: installed-dev chromium ## the labeling floor under load, faults around runs, the stages side by side with others; minutes each
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script --quick; done

bench-peers: installed-dev ## the peers' environments (Label Studio, TRL), and the floor again with Label Studio beside it
	@test -x $(PEER)/bin/uwsgi || { python3 -m venv $(PEER) && $(PEER)/bin/pip install -q --upgrade pip && \
	  $(PEER)/bin/pip install -q --no-compile label-studio==1.23.2 uwsgi==2.0.31; }
	@$(BIN)/python benchmarks/trl_peer/environments.py
	@$(BIN)/python benchmarks/labeling_load.py --label-studio $(PEER)

clean: ## remove .venv, node_modules and caches; .podium, which holds the data, stays
	rm -rf .venv node_modules staticfiles build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

installed:
	@$(call INSTALL,web embedded train)

installed-dev:
	@$(call INSTALL,web embedded train dev)

chromium: installed-dev
	@$(BIN)/python -m config.chromium > /dev/null
