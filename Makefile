# Suri: one line a target. Every variable is set here, so none comes in by accident from the environment (LANG, OUT,
# FROM ...); give them on the command line: make corpus SOURCES="alpaca belle" FROM=../raw

PYTHON := python3
# Where the data folder is, and how many processes work on it (empty: one a core).
DATA := data
WORKERS :=
# corpus: which sources (empty: all; by name, glob and tag: "alpaca* lang=CN"), from where (sample, hub, or a folder of
# <source>/ folders), how many rows a file.
SOURCES :=
FROM := sample
LIMIT :=
# corpus FROM=hub: OFFLINE=1 uses only what was fetched before; STRICT=1 takes drift from the catalog for an error, and
# in mix a policy that cannot be applied.
OFFLINE :=
STRICT :=
# judge: the folder with the evaluation sets to look for leaks in, a folder a set (empty: those of the run before; hub:
# fetched; none), and one more set: SUITE=name=file.jsonl.
SUITES :=
SUITE :=
# corpus, judge, mix: ENGINE=ray works on a Ray cluster (ADDRESS=auto or HOST:PORT; empty: started here).
ENGINE :=
ADDRESS :=
# mix, plan, train, push: a mixture by its name in catalog.yaml, or the path of a mixture file.
MIX := alpaca-belle-cot
# plan, diff: what counts tokens, a folder or a Hub id (empty: the mixture's own tokenizer, if it names one). A RECIPE that is
# given on the command line has its steps told.
TOKENIZER :=
# train: a recipe by name or path, a base model by folder or Hub id; keys put over the recipe's: SET="lr=1e-4 seed=1".
# RUN names the run (empty: mixture, recipe and base); GPUS and SHARDING (fsdp, zero2, zero3) spread it over several.
# DRY=1 tells parameters, memory and steps, and trains nothing.
BASE :=
RECIPE := $(if $(BASE),lora,demo)
RUN :=
SET :=
GPUS :=
SHARDING :=
# push: the data set on the Hub (owner/name), or a folder instead; PUBLIC=1 makes it public.
REPO :=
TO :=
PUBLIC :=
# push: DRY=1 lists the files and writes nothing; FORMAT=... lays a mixture's rows out as export does.
DRY :=
# export: SOURCE (or, when it is empty, MIX) in a FORMAT (alpaca, messages, sharegpt, prompt-completion) to the folder TO,
# as json, jsonl or parquet.
SOURCE :=
FORMAT := alpaca
AS := json
# why: a record's id, or source:file:number of a raw row; FULL=1 shows whole texts.
ROW :=
FULL :=
# diff: two mixtures, or two sources, by name or folder, or two data folders; JSON=1 prints an object for scripts,
# as it does for plan.
A :=
B :=
JSON :=
# sources: which ones (empty: all), by name, glob and tag: TAGS="lang=CN gen=SI license=MIT".
TAGS :=
# The build of torch that is installed. On Linux without an NVIDIA GPU the CPU build is tried first, then the ordinary
# one. TORCH names another requirement, TORCH_INDEX one more package index to find it in.
TORCH :=
TORCH_INDEX :=
# More arguments for pytest in make test.
TESTS :=

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
OUT_ := --out "$(DATA)"
INDEX_ := $(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)")
PIN_ = $(shell sed -n 's/^torch==//p' constraints.txt)
WORKERS_ := $(if $(WORKERS),--workers $(WORKERS)) $(if $(ENGINE),--engine $(ENGINE)) $(if $(ADDRESS),--address "$(ADDRESS)")
BASE_ := $(VENV)/$(if $(filter ray,$(ENGINE)),ray,base)
# A format that was asked for, and not export's default.
FORMAT_ := $(if $(filter-out file,$(origin FORMAT)),--format "$(FORMAT)")
GPUS_ := $(if $(GPUS),--gpus $(GPUS)) $(if $(SHARDING),--sharding $(SHARDING))
SUITES_ := $(if $(SUITES),--suites "$(SUITES)") $(if $(SUITE),--suite "$(SUITE)")
NAMES_ := $(foreach name,$(SOURCES),--source "$(name)")

.DEFAULT_GOAL := help
.PHONY: help corpus judge mix plan diff train merge push export report why sources demo test lint clean

help: ## Show this list
	@echo "make TARGET [VARIABLE=value ...]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-9s %s\n", $$1, $$2}' Makefile
	@echo "  DATA=$(DATA)  the data folder;  FROM=$(FROM)  (sample: the embedded rows; hub: upstream; or a folder)"

corpus: $(BASE_) ## Raw files to judged records: [SOURCES="alpaca belle"] [FROM=sample|hub|DIR] [LIMIT=rows]
	@$(PY) -m pipeline corpus --from "$(FROM)" $(NAMES_) $(if $(LIMIT),--limit $(LIMIT)) $(if $(OFFLINE),--offline) $(if $(STRICT),--strict) $(WORKERS_) $(OUT_)
	@$(PY) -m pipeline judge $(NAMES_) $(SUITES_) $(WORKERS_) $(OUT_)

judge: $(BASE_) ## Language, flags, duplicates and leaks of every record: [SUITES=DIR|hub|none] [SUITE=name=file]
	@$(PY) -m pipeline judge $(NAMES_) $(SUITES_) $(WORKERS_) $(OUT_)

mix: $(BASE_) ## Records to a mixture: MIX=alpaca-belle-cot or a path
	@$(PY) -m pipeline mix "$(MIX)" $(if $(STRICT),--strict) $(WORKERS_) $(OUT_)

plan: $(BASE_) ## What a mixture will be, before it is built: MIX=... [TOKENIZER=folder] [RECIPE=...] [JSON=1]
	@$(PY) -m pipeline plan "$(MIX)" $(if $(TOKENIZER),--tokenizer "$(TOKENIZER)") $(if $(filter command line,$(origin RECIPE)),--recipe "$(RECIPE)") $(if $(JSON),--json) $(WORKERS_) $(OUT_)

diff: $(BASE_) ## What two mixtures, or two corpora, do not have in common: A=... B=... [TOKENIZER=folder] [JSON=1]
	@$(PY) -m pipeline diff "$(A)" "$(B)" $(if $(TOKENIZER),--tokenizer "$(TOKENIZER)") $(if $(JSON),--json) $(WORKERS_) $(OUT_)

train: $(VENV)/train ## A mixture to an adapter: [MIX=...] [RECIPE=...] [BASE=folder or Hub id] [SET="key=value ..."] [GPUS=4]
	@$(PY) -m train $(if $(DRY),plan "$(RECIPE)" --mix "$(MIX)",run --mix "$(MIX)" --recipe "$(RECIPE)" $(if $(RUN),--name "$(RUN)")) $(if $(BASE),--base "$(BASE)") $(foreach pair,$(SET),--set $(pair)) $(GPUS_) $(OUT_)

merge: $(VENV)/train ## A run's adapter put into its base, a model of its own: RUN=... TO=DIR
	@$(PY) -m train merge "$(RUN)" --to "$(TO)" $(if $(BASE),--base "$(BASE)") $(OUT_)

push: $(VENV)/$(if $(RUN),train,base) ## A mixture, or what a run trained, to the Hub: MIX=... or RUN=..., REPO=owner/name [PUBLIC=1], or to a folder: TO=DIR
	@$(PY) -m $(if $(RUN),train push "$(RUN)",pipeline push "$(MIX)" $(FORMAT_)) $(if $(REPO),--repo "$(REPO)") $(if $(TO),--to "$(TO)") $(if $(PUBLIC),--public) $(if $(DRY),--dry-run) $(OUT_)

export: $(VENV)/base ## Records or a mixture in other trainers' rows: SOURCE=... or MIX=..., FORMAT=..., TO=DIR [AS=jsonl]
	@$(PY) -m pipeline export $(if $(SOURCE),--source "$(SOURCE)",--mix "$(MIX)") --format "$(FORMAT)" --as "$(AS)" $(if $(TO),--to "$(TO)") $(OUT_)

report: $(BASE_) ## One HTML page that tells what the data folder holds: DATA/report.html
	@$(PY) -m pipeline report $(WORKERS_) $(OUT_)

why: $(VENV)/base ## All about one row: ROW=id or ROW=source:file:number [FULL=1] [FROM=folder of the raw files]
	@$(PY) -m pipeline why "$(ROW)" $(if $(FULL),--full) $(if $(filter-out sample hub,$(FROM)),--from "$(FROM)") $(OUT_)

sources: $(VENV)/base ## The table of sources: [TAGS="lang=CN gen=SI license=MIT"]
	@$(PY) -m pipeline sources $(if $(TAGS),--tags "$(TAGS)") $(OUT_)

demo: $(VENV)/train ## Everything once, on the embedded samples, offline, in DATA/demo
	@$(PY) -m pipeline corpus --from sample --out "$(DATA)/demo" $(WORKERS_)
	@$(PY) -m pipeline judge --out "$(DATA)/demo" $(WORKERS_)
	@$(PY) -m pipeline mix alpaca-belle-cot --out "$(DATA)/demo" $(WORKERS_)
	@$(PY) -m train run --mix alpaca-belle-cot --recipe demo --out "$(DATA)/demo"
	@$(PY) -m pipeline push alpaca-belle-cot --to "$(DATA)/demo/published/alpaca-belle-cot" --out "$(DATA)/demo"
	@$(PY) -m pipeline show --out "$(DATA)/demo"

test: $(VENV)/dev ## The whole test suite
	@$(PY) -m pytest -q -n auto $(TESTS)

lint: $(VENV)/dev ## ruff and mypy
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy

clean: ## Remove the virtual environment and caches (never the data folder)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info

# Setting up, each step once and again when the pins change. Without build isolation the build tool is pinned as well.
$(VENV)/base: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Suri needs Python 3.11 or newer, $(PYTHON) is {sys.version.split()[0]}; name another with PYTHON=")'
	@echo "Setting up $(VENV) (once)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PIP) setuptools && $(PIP) --no-build-isolation -e .
	@touch $@

$(VENV)/ray: $(VENV)/base
	@$(PIP) --no-build-isolation -e ".[ray]"
	@touch $@

$(VENV)/train: $(VENV)/base
	@echo "Installing torch and the training libraries (once)"
	@if [ -n "$(TORCH)" ]; then $(PIP) $(INDEX_) "$(TORCH)"; \
	elif [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi > /dev/null 2>&1; then \
		$(PIP) $(INDEX_) "torch==$(PIN_)+cpu" 2> /dev/null || { \
		echo "No CPU build of torch is found: installing the ordinary one and gigabytes of CUDA packages with it."; \
		echo "To spare that, name an index that has one: make TORCH_INDEX=address ..."; $(PIP) $(INDEX_) torch; }; \
	else $(PIP) $(INDEX_) torch; fi
	@$(PIP) --no-build-isolation -e ".[train]"
	@touch $@

$(VENV)/dev: $(VENV)/train
	@$(PIP) --no-build-isolation -e ".[train,dev]"
	@touch $@
