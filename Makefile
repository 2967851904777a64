# The commands of this project; `make help` lists them. Everything runs in .venv, which the first command makes.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL  := /bin/bash
PYTHON ?= python3
BIN    := $(CURDIR)/.venv/bin
READY  := .venv/.ready

# dvc calls `predelinquency`, so it must find it; nothing is reported to anyone; one parameter file for every tool
export PATH := $(BIN):$(PATH)
export PLOOMBER_ENV_FILENAME := params.yaml
export PLOOMBER_STATS_ENABLED := false
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := True
export MPLBACKEND := agg
unexport PYTHONPATH VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

SETS = $(foreach s,$(SET),--set '$(s)')
TYPED = $(foreach n,HOST PORT,$(if $(filter command,$(origin $n)),--$(if $(filter HOST,$n),host,port) '$($n)')) # only as typed: some shells have a HOST of their own

.PHONY: help setup run proof twice try stage check test long chaos serve demo jobs dashboard mlflow browser lab bench doctor readme lock clean model-card final rollback challenge

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: $(READY) ## make the environment in .venv (the others do it by themselves)

# an environment names the folder that it was made in: what was moved or copied is made anew
MOVED := $(filter-out $(CURDIR),$(shell cat $(READY) 2>/dev/null))
ifneq ($(MOVED),)
.PHONY: $(READY)
endif

$(READY): requirements.lock pyproject.toml
	@test -z '$(MOVED)' || { echo "the environment is that of $(MOVED)"; rm -rf .venv; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed, $$($(PYTHON) -V) is here: install one and call make PYTHON=python3.11"; exit 1; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv 2>/dev/null || { rm -rf .venv; test "$$(id -u)" = 0 && apt-get install -y python3-venv && $(PYTHON) -m venv .venv; } \
	  || { rm -rf .venv; echo "this Python cannot make environments: install its venv module (Debian and Ubuntu: apt-get install python3-venv)"; exit 1; }
	@echo "making the environment in .venv: a minute or two, once"
	@test -x .venv/bin/uv || .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check uv
	@.venv/bin/uv pip sync --quiet --python .venv/bin/python requirements.lock
	@.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@echo '$(CURDIR)' > $@

run: $(READY) ## the whole way into data; or SOURCE=berka DATA=folder, or CUSTOMERS=100000, into data/runs
ifneq ($(SOURCE),)
	@test -n "$(DATA)" || { echo "say where the files of $(SOURCE) are: make run SOURCE=$(SOURCE) DATA=folder"; exit 1; }
endif
ifneq ($(SOURCE)$(CUSTOMERS)$(ROOT),)
	@predelinquency run $(if $(SOURCE),--source '$(SOURCE)' --data '$(DATA)') $(if $(CUSTOMERS),--customers $(CUSTOMERS)) $(if $(ROOT),--root '$(ROOT)') $(SETS)
else
	@python -c 'from predelinquency.ops import exports; [print(f"! {n} had changed since its export: exported it first") for n in exports.export()]'
	@python -c 'import sys; from predelinquency.ops import lanes; sys.exit(lanes.reproduce())'
	@predelinquency report
endif

TRIAL = prove.rows=300 prove.replays=300 prove.pairs=300 prove.pair_replays=200 prove.seeds=2 prove.bootstrap=100 evaluate.bootstrap=100 evaluate.shock_customers=500
try: $(READY) ## the whole way on 500 customers, a minute or two, into data/runs/try
	@rm -rf data/runs/try
	@predelinquency run --customers 500 --root data/runs/try $(foreach s,$(TRIAL),--set '$(s)') $(SETS)

stage: $(READY) ## one stage and its numbers beside the last run: NAME=train [ROOT=data/runs/try] [SET="train.max_depth=5"]
	@test -n "$(NAME)" || { echo 'say which: make stage NAME=train'; exit 1; }
	@predelinquency stage $(NAME) $(if $(ROOT),--root '$(ROOT)') $(SETS)

model-card: $(READY) ## the model-risk pack of the last run, or of ROOT=folder; opened where there is a browser
	@test -f '$(or $(ROOT),data)/reports/pack/model-card.html' || { echo "there is no pack in $(or $(ROOT),data): make run writes it; for another folder predelinquency stage pack --root FOLDER"; exit 1; }
	@python -c "from predelinquency.judge import pack; print(pack.opened('$(or $(ROOT),data)'))"

final: $(READY) ## the final hold-out for the model in data, once for its version: BY="who" REASON="why" [ROOT=folder]; no run does this
	@predelinquency final --by '$(subst ','\'',$(BY))' --reason '$(subst ','\'',$(REASON))' $(if $(ROOT),--root '$(ROOT)') $(SETS)

challenge: $(READY) ## should the model in data (or in ROOT=folder) replace the one in use, OLD=folder of a model, by the rule of params.yaml
	@predelinquency challenge '$(OLD)' $(if $(ROOT),--root '$(ROOT)') $(SETS)

rollback: $(READY) ## the model before this one: its lock and figures from git, its files from DVC, the registry's alias; refuses when it cannot
	@predelinquency rollback

proof: $(READY) ## what was achievable, at full length (45 CPU minutes and more), on the results in data or in ROOT=folder; the next run takes its figures over
	@predelinquency proof $(if $(ROOT),--root '$(ROOT)') $(SETS)

twice: $(READY) ## the same year of a simulated town, with nobody helped and by the plan: [ROOT=folder] [YEAR="--rule everybody --shock 300"]
	@predelinquency twice $(if $(ROOT),--root '$(ROOT)') $(YEAR)

# what a change can be held against in a minute: the notebooks that differ from the last push (or from the last commit), and the tests that make nothing first
SINCE   ?= $(or $(shell git merge-base HEAD '@{upstream}' 2>/dev/null),HEAD)
CHANGED  = $(filter-out nbs/pipeline/% nbs/dashboards/%,$(shell { git diff --name-only --diff-filter=d $(SINCE) -- nbs; git ls-files --others --exclude-standard -- nbs; } | grep '\.ipynb$$'))
check: $(READY) ## in a minute: style, types, the notebooks that changed [SINCE=commit], the fast tests
	@ruff check --quiet
	@ruff format --check --quiet || { echo "not as the formatter leaves it: ruff format"; exit 1; }
	@dmypy run -- --no-error-summary & types=$$!; \
	  { for n in $(CHANGED); do echo "$$n" && nbdev_test --path "$$n" --n_workers 0 || exit 1; done; \
	  python -m pytest -m 'fast and not long'; } || { wait $$types; exit 1; }; wait $$types

long: $(READY) browser ## the fast tests and those that take longest, and what they cover, before a release
	python -m pytest -m 'fast or long' --cov --cov-report=term

chaos: $(READY) ## a thousand kills of service, workers, Redis and PostgreSQL while a million events go through: hours; [KILLS=1000] [CUSTOMERS=20000]
	@KILLS=$(or $(KILLS),1000) CUSTOMERS=$(or $(CUSTOMERS),20000) python -m pytest -n0 -s -m long tests/live/test_kills.py

test: $(READY) browser ## style, types, every lesson of the notebooks, every test
	ruff check
	ruff format --check
	mypy & types=$$!; nbdev_test --n_workers 2 --path nbs || { kill $$types; exit 1; }; wait $$types
	python -m pytest

serve: $(READY) ## the service on this machine, until Ctrl-C: [ROOT=data/runs/try] [HOST=127.0.0.1] [PORT=3000] [WORKERS=1]
	@predelinquency serve $(if $(ROOT),--root '$(ROOT)') $(TYPED) $(if $(WORKERS),--workers $(WORKERS))

demo: $(READY) ## a bank's days go by and somebody loses their job: service, worker, simulator, page, until Ctrl-C: [ROOT=…] [STRESS=illness]
	@predelinquency demo $(if $(ROOT),--root '$(ROOT)') $(if $(STRESS),--stress '$(STRESS)')

jobs: $(READY) ## what is done once a night: [ROOT=…] [DAY=2025-06-25]; where REDIS_URL is set, a Celery worker that does it every night, until Ctrl-C
	@predelinquency jobs $(if $(REDIS_URL),worker,night $(if $(DAY),--day '$(DAY)')) $(if $(ROOT),--root '$(ROOT)')

dashboard: $(READY) ## the page for stakeholders, until Ctrl-C: [ROOT=data/runs/try] [HOST=127.0.0.1] [PORT=8866]
	@predelinquency dashboard $(if $(ROOT),--root '$(ROOT)') $(TYPED)

mlflow: $(READY) ## what was trained, in MLflow's own page, until Ctrl-C: [ROOT=data/runs/try]
	@mlflow ui --backend-store-uri 'sqlite:///$(or $(ROOT),data)/mlflow/mlflow.db'

browser: ## chromium for the tests of the page: Debian's, installed when you are root and there is none
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "installing chromium: once" \
	  && { apt-get install -y --no-install-recommends chromium || { apt-get update && apt-get install -y --no-install-recommends chromium; }; } >/dev/null 2>&1; } \
	  || echo "no chromium here: the tests of the page are left out (Debian and Ubuntu, as root: apt-get install chromium)"

lab: $(READY) ## JupyterLab
	@jupyter lab --ServerApp.jpserver_extensions="ploomber=False" $(if $(filter 0,$(shell id -u)),--allow-root)

bench: $(READY) ## the measured comparisons
	@for b in benchmarks/[!_]*.py; do echo "== $$b"; python "$$b" || exit 1; done

doctor: $(READY) ## is this machine ready: Python, packages, disk, memory, git, export, browser, ports, results, ledger
	@predelinquency doctor

readme: $(READY) ## README.md from nbs/index.ipynb, with the figures, the answer and the pictures of the last run
	@python tests/repo/pictures.py
	@jupyter execute --inplace nbs/index.ipynb 2>/dev/null
	@nbdev_clean --fname nbs/index.ipynb
	@python tests/repo/readme.py > .README.md && mv .README.md README.md

lock: $(READY) ## requirements.lock anew from pyproject.toml: names, versions, hashes
	@uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet --upgrade --output-file requirements.lock

clean: ## delete what runs and tools left: trial runs, caches; not data, not .venv
	@rm -rf data/runs .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info nbs/.ipynb_checkpoints nbs/*/.ipynb_checkpoints
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
