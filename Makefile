# The front door. `make help` lists the targets; README.md says more about each.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PRESET ?= world
RUN ?= latest
WEB := veo_core/explorer/web
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help setup setup-dev run curate images push submit submit-kfp serve test test-thorough test-slow test-xla bench bench-curate bench-model bench-ablate bench-watermark bench-serve bench-eval bench-safety bench-explorer bench-lineage compile lint check-infra web screenshots ui lock report clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/run.stamp: images/locks/run.txt pyproject.toml
	@echo "setting up $(VENV) with $(PYTHON) (a few minutes the first time)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP) install --require-hashes -r images/locks/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: images/locks/dev.txt $(VENV)/run.stamp
	@echo "adding the development tools to $(VENV)"
	@$(PIP) install --require-hashes -r images/locks/dev.txt
	@touch $@

setup: $(VENV)/run.stamp ## install what `make run` needs into .venv
setup-dev: $(VENV)/dev.stamp ## install what the other targets need, too

run: setup ## the whole pipeline: PRESET=smoke|world|world-full, ARGS="--footage FOLDER ..."
	@$(BIN)/veo run --preset $(PRESET) $(ARGS)

curate: setup ## the curation only, from footage to a dataset; PRESET and ARGS as for `run`
	@$(BIN)/veo curate --preset $(PRESET) $(ARGS)

submit: setup-dev ## send the pipeline to Vertex AI: PROFILE=FILE, PRESET, DRY_RUN=1, ARGS
	@$(BIN)/python -m pipelines.submit.vertex $(if $(PROFILE),--profile "$(PROFILE)") --preset $(PRESET) $(if $(DRY_RUN),--dry-run) $(ARGS)

submit-kfp: setup-dev ## send it to Kubeflow Pipelines; PROFILE, PRESET, DRY_RUN and ARGS as for `submit`
	@$(BIN)/python -m pipelines.submit.kubeflow $(if $(PROFILE),--profile "$(PROFILE)") --preset $(PRESET) $(if $(DRY_RUN),--dry-run) $(ARGS)

report: setup ## write a run's report: RUN=latest or an id
	@$(BIN)/veo report $(RUN)

ui: setup ## look at the runs in a browser; ARGS="--runs FOLDER ... --port 8765"
	@$(BIN)/veo ui $(ARGS)

serve: setup ## the registered local model and a page to try it, at http://127.0.0.1:8080; ARGS="--port 8000"
	@$(BIN)/python -m veo_core.serve --prompt-filter world --sampler "{solver: unipc}" $(ARGS)

test: setup-dev ## the tests, 15 minutes on 2 cores
	@$(BIN)/python -m pytest -m "not thorough and not slow and not xla" -n 2 --dist loadscope $(ARGS)

test-thorough: setup-dev ## those that take ten seconds or more each: kills, replays, several processes and machines
	@$(BIN)/python -m pytest -m thorough -n 2 --dist loadscope $(ARGS)

test-slow: setup-dev ## the tests that take minutes each
	@$(BIN)/python -m pytest -m slow $(ARGS)

test-xla: ## a few training steps on torch-xla's CPU backend, in an environment of its own
	@PYTHON="$(PYTHON)" tests/xla/run $(ARGS)

bench: setup-dev ## the world's benchmark; QUICK=1 for a shorter run, SEED= for other inputs
	@$(BIN)/python -m benchmarks.world

bench-curate: setup-dev ## curation against the usual tutorial method; SECTIONS="accuracy memory" for some
	@$(BIN)/python -m benchmarks.curate $(SECTIONS)

bench-model: setup-dev ## the model's bars; RUN=latest for a finished run, SECTIONS="tutorial compile" for some
	@$(BIN)/python -m benchmarks.model $(SECTIONS)

bench-ablate: setup-dev ## each choice of the model against its alternative; RUN= as above, STEPS= for fewer steps, SECTIONS="clock text" for some
	@$(BIN)/python -m benchmarks.ablate $(SECTIONS)

bench-watermark: setup-dev ## the watermark against attacks and alternatives; QUICK=1 for a shorter run
	@$(BIN)/python -m benchmarks.watermark $(SECTIONS)
	@$(if $(SECTIONS),,$(BIN)/python -m benchmarks.watermark_sound)

bench-serve: setup-dev ## the server under 200 clients for a minute, with a tiny model
	@$(BIN)/python -m benchmarks.serve

bench-explorer: setup-dev ## the explorer over 100,000 clips: first view, scrolling, memory; QUICK=1
	@$(BIN)/python -m benchmarks.explorer

bench-safety: setup-dev ## red team and bias suites against the world's judge, healthy and ill; QUICK=1
	@$(BIN)/python -m benchmarks.safety

bench-eval: setup-dev ## self-tests of the metrics, detectors, memorisation, speed; SECTIONS="ladders speed" for some
	@$(BIN)/python -m benchmarks.evaluation $(SECTIONS)

bench-lineage: setup-dev ## `veo why` over a run of 100,000 clips; QUICK=1 for 10,000, SEED= for another run
	@$(BIN)/python -m benchmarks.lineage

compile: setup-dev ## compile the pipeline to pipelines/compiled
	@$(BIN)/python -m pipelines.compile

web: setup ## build the explorer's front end (needs Node and npm)
	@cd $(WEB) && npm ci --no-audit --no-fund --silent
	@$(BIN)/python -m veo_core.explorer.typescript > $(WEB)/src/documents.ts
	@cd $(WEB) && npm run --silent check && npm run --silent build

screenshots: setup-dev ## pictures of the explorer's pages: RUN=latest, RUNS=runs, ROOT=store, TO=build/screenshots
	@$(BIN)/python -m benchmarks.screenshots --run $(RUN) $(if $(RUNS),--runs "$(RUNS)") $(if $(ROOT),--root "$(ROOT)") $(if $(TO),--to "$(TO)")

check-infra: setup-dev ## build and check the Kustomize overlays and the Terraform configuration
	@$(BIN)/python -m infra.checks

lint: setup-dev ## formatting, lint, types, and whether the compiled pipeline is up to date
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pipelines.compile --check

lock: ## refresh the lock files (needs `uv` on PATH)
	@images/locks/refresh

images: ## build the container images: IMAGES="curate serve" for some of them
	@images/build $(IMAGES)

push: ## push the images to REGISTRY=HOST/PATH and write images.lock.json; IMAGES as above
	@$(if $(REGISTRY),,echo "make push: set REGISTRY, such as REGISTRY=europe-west4-docker.pkg.dev/PROJECT/veo" >&2; exit 2;) \
	"$(PYTHON)" images/push.py "$(REGISTRY)" $(IMAGES)

clean: ## remove runs, the store, caches and environments
	rm -rf runs store build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis $(VENV) .venv-xla
