# One command a purpose. `make demo` and `make test` set up all they need on a fresh machine with Python 3.11 to 3.13.
.DEFAULT_GOAL := help
# make accepts any variable: a misspelt one would be ignored, and the sample would run instead of your photos.
SLIPS := $(foreach name,zip Zip PHOTOS photos quality Quality OUT out images blocks,$(if $(filter command line,$(origin $(name))),$(name)))
$(if $(strip $(SLIPS)),$(error $(strip $(SLIPS)) is not read here: write ZIP=photos.zip QUALITY=preview BLOCKS=4 IMAGES=1))
PYTHON := .venv/bin/python
# tests and stages start Python hundreds of times: what one process has compiled, the others need not
unexport PYTHONDONTWRITEBYTECODE
PAGE := PATH="$(CURDIR)/.venv/bin:$$PATH" npm --prefix web --silent run
ZIP ?=
BLOCKS ?=
IMAGES ?=
QUALITY ?=
HISTORIES ?= 2000
INPUTS ?= 10000

.PHONY: help demo test nightly unit lint lint-page audit docs up down setup lock contract asl tree bench-blocks bench-pipeline bench-customer bench-streaming bench-sfm bench-sfm-scaling bench-sfm-mappers bench-sfm-clusters bench-compressor bench-compressor-scaling bench-offpath bench-products bench-real bench-score bench-train gpu-bundle gpu-compile campaign mutants fuzz bench-orchestration redrive clean

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: .build/run.stamp ## the sample (or ZIP=photos.zip, or a folder; BLOCKS=4 in blocks; IMAGES=1 in containers; COMPANY=name LOGO=logo.png on the quality report) through the whole pipeline on this machine
	@$(PYTHON) -m local.demo --quality $(or $(QUALITY),$(if $(ZIP),standard,preview)) $(if $(ZIP),--zip "$(ZIP)") $(if $(BLOCKS),--blocks "$(BLOCKS)") $(if $(IMAGES),--images) $(if $(COMPANY),--company "$(COMPANY)") $(if $(LOGO),--logo "$(LOGO)")

test: .build/test.stamp ## the tests of every change, the end-to-end run included
	@$(PAGE) test
	@bash -o pipefail -c '$(PYTHON) -m pytest -n 3 --dist loadfile -m "not nightly" --cov --cov-report= | tee .build/pytest.txt'
	@$(PYTHON) -m scripts.floors
	@tail -n 1 .build/pytest.txt # the summary once more, last: what a log is read for

nightly: .build/test.stamp ## the tests that `make test` leaves out, because they take minutes each
	$(PYTHON) -m pytest -n 2 --dist loadfile -m nightly

unit: .build/test.stamp ## the fast tests: before every commit
	@$(PAGE) test
	$(PYTHON) -m pytest -n 2 --dist loadfile tests/unit -m "not slow" -p no:schemathesis

lint: .build/develop.stamp lint-page ## ruff, mypy, and biome for the page
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

lint-page: .build/develop.stamp
	$(PAGE) lint

audit: .build/develop.stamp .build/audit.stamp ## template, policies, secrets and locked packages, and bills of material into .build/sbom/
	@$(PYTHON) -m scripts.audit

docs: .build/docs.stamp ## the documentation as a site in .build/site/; broken links and pages that nothing lists fail
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet
	@echo "$(CURDIR)/.build/site/index.html"

up: .build/run.stamp ## keep the local cloud running: aws s3 cp photos.zip s3://… --endpoint-url …
	@$(PYTHON) -m local.up

down: ## stop it
	@$(PYTHON) -m local.down

setup: .build/test.stamp ## all environments, without running anything

lock: .build/develop.stamp ## write every world's requirements.txt anew from its requirements.in
	scripts/lock.sh

contract: .build/run.stamp ## write what is generated from contract/: the JSON Schemas, the page's contract.js
	$(PYTHON) -m contract

asl: .build/test.stamp ## write statemachine/pipeline.asl.json anew from workflow.py
	.venv-build/bin/python statemachine/workflow.py

tree: .build/run.stamp ## write docs/tree.md anew from the files' own first sentences
	@$(PYTHON) -m scripts.tree

bench-blocks: .build/run.stamp ## a generated flight trained whole and in blocks (FLIGHT=120 WIDTH=640 BLOCKS=4 STEPS=3000 GAUSSIANS=80000)
	@OMP_WAIT_POLICY=PASSIVE PYTHONPATH=containers:containers/3dgs:containers/sfm $(PYTHON) -m benchmarks.blocks $(if $(SCENE),--scene "$(SCENE)") $(if $(FLIGHT),--photos $(FLIGHT)) $(if $(WIDTH),--width $(WIDTH)) $(if $(BLOCKS),--blocks $(BLOCKS)) $(if $(STEPS),--steps $(STEPS)) $(if $(GAUSSIANS),--gaussians $(GAUSSIANS))

bench-pipeline: .build/run.stamp ## the sample's stages by wall and CPU time
	@$(PYTHON) -m benchmarks.pipeline

bench-customer: .build/test.stamp ## what the customer waits for: the estimate's error, POST /start-job, the viewer's first picture
	@$(PYTHON) -m benchmarks.customer $(if $(QUALITY),--quality $(QUALITY))

bench-streaming: .build/test.stamp ## how soon a phone sees the first picture of a large scene
	@PYTHONPATH=containers:containers/compressor:functions $(PYTHON) -m benchmarks.streaming

bench-sfm: .build/run.stamp ## the sfm stage beside pycolmap's defaults and COLMAP 3.8 (SETS="a.zip b.zip": on these too)
	@$(PYTHON) -m benchmarks.sfm $(SETS)

SFM_500 = .build/sample-500
$(SFM_500)/poses.json:
	$(PYTHON) -m sample $(SFM_500) --photos 500 --width 800

bench-sfm-scaling: .build/run.stamp $(SFM_500)/poses.json ## the sfm stage at 18, 36, 72, 150 and 500 photos, and predicted
	@PYTHONPATH=containers:containers/sfm $(PYTHON) -m benchmarks.sfm_scaling $(SFM_500) --plot docs/images/sfm_scaling.png

bench-sfm-mappers: .build/run.stamp $(SFM_500)/poses.json ## three ways of mapping 500 photos
	@PYTHONPATH=containers:containers/sfm $(PYTHON) -m benchmarks.sfm_mappers $(SFM_500)

bench-sfm-clusters: .build/run.stamp ## mapping 1,000 photos (COUNT=) in one and in clusters
	@PYTHONPATH=containers:containers/sfm $(PYTHON) -m benchmarks.sfm_mappers --matched $(or $(COUNT),1000)

bench-compressor: .build/test.stamp ## our files beside splat-transform's SOG and SPZ 4 (SETS="a.zip b.zip": on these too)
	@PYTHONPATH=containers:containers/compressor OMP_WAIT_POLICY=PASSIVE $(PYTHON) -m benchmarks.compressor $(SETS)

bench-compressor-scaling: .build/test.stamp ## what 10,000 to five million Gaussians cost (SIZES="50000 …": only these)
	@PYTHONPATH=containers:containers/compressor OMP_WAIT_POLICY=PASSIVE $(PYTHON) -m benchmarks.compressor_scaling $(SIZES) --plot docs/images/compressor_scale.png

bench-products: .build/run.stamp ## survey products of generated flights against truth (SCENES="rings-0-20 …"; QUALITY=)
	@OMP_WAIT_POLICY=PASSIVE PYTHONPATH=containers:containers/3dgs:containers/sfm $(PYTHON) -m benchmarks.products $(SCENES) $(if $(QUALITY),--quality $(QUALITY))

bench-offpath: .build/run.stamp ## splats where no photo was taken, against truth (SCENES="nadir-0-24 …"; TAG=; QUALITY=)
	@OMP_WAIT_POLICY=PASSIVE PYTHONPATH=containers:containers/3dgs $(PYTHON) -m benchmarks.offpath $(SCENES) $(if $(QUALITY),--quality $(QUALITY)) $(if $(TAG),--tag $(TAG))

bench-real: .build/run.stamp ## SETS="a.zip b.zip": real flights by rotated folds (FOLDS="0 2 4 6"; TAG=; QUALITY=)
	@OMP_WAIT_POLICY=PASSIVE PYTHONPATH=containers:containers/3dgs $(PYTHON) -m benchmarks.real_sets $(SETS) $(if $(QUALITY),--quality $(QUALITY)) $(if $(FOLDS),--folds $(FOLDS)) $(if $(TAG),--tag $(TAG))

bench-score: .build/run.stamp ## the report's score beside the truth off the flight path, on splats ruined by degrees (SCENES=; TAG=; QUALITY=)
	@OMP_WAIT_POLICY=PASSIVE PYTHONPATH=containers:containers/3dgs:functions $(PYTHON) -m benchmarks.score $(SCENES) $(if $(QUALITY),--quality $(QUALITY)) $(if $(TAG),--tag $(TAG)) --plot docs/images/score.png

bench-train: .build/run.stamp ## training: seconds and PSNR at three budgets, steps a second (SCENE=folder; OPENSPLAT=its binary: beside it)
	@OMP_WAIT_POLICY=PASSIVE PYTHONPATH=containers:containers/3dgs $(PYTHON) -m benchmarks.train --plot docs/images/train_cost.png --flight-plot docs/images/train_flight.png $(if $(SCENE),--scene "$(SCENE)")

gpu-bundle: .build/run.stamp ## .gpu/: what scripts/gpu_check.sh wants on a CUDA machine without a network (SETS="a.zip b.zip": these flights)
	@PYTHONPATH=containers:containers/3dgs $(PYTHON) -m benchmarks.gpu_bundle $(SETS)

gpu-compile: .build/run.stamp ## gsplat's kernels as the GPU image compiles them, without a GPU, in .build/gpu-compile (CUDA_ARCHITECTURES=7.5)
	@PYTHON="$(CURDIR)/$(PYTHON)" scripts/gpu_compile.sh

campaign: .build/develop.stamp ## HISTORIES=2000 seeded histories of faults against the orchestration
	@PYTHONPATH=functions:containers:. $(PYTHON) -m tests.campaign --histories $(HISTORIES)

mutants: .build/test.stamp ## every injected bug of tests/campaign/bugs.py: the campaign or the unit tests find it
	@PYTHONPATH=functions:containers:. $(PYTHON) -m tests.campaign.mutants

fuzz: .build/develop.stamp ## INPUTS=10000 seeded hostile inputs at every door: ZIPs, photos, XMP, splats, COLMAP models, requests
	@PYTHONPATH=functions:containers:containers/sfm:containers/3dgs:containers/compressor:. $(PYTHON) -m tests.fuzz --inputs $(INPUTS) $(if $(SEED),--seed $(SEED))

bench-orchestration: .build/develop.stamp ## overhead, cold starts, 1,000 uploads (UPLOADS=), a day of 100,000 jobs simulated
	@PYTHONPATH=functions:. $(PYTHON) -m benchmarks.orchestration $(if $(UPLOADS),--uploads $(UPLOADS))

redrive: .build/run.stamp ## STACK=spaceport: give dead letters back to their functions (docs/runbook.md)
	@$(PYTHON) scripts/redrive.py $(STACK) $(FUNCTIONS)

clean: ## everything that the targets above made
	rm -rf .venv .venv-build .venv-sam .venv-audit .venv-docs .build .local .gpu out .aws-sam

# What running needs: one environment for all worlds (a test holds each world to its own list), the viewer, the page.
VIEWER := $(addprefix containers/compressor/viewer/,package-lock.json build.mjs) $(wildcard containers/compressor/viewer/src/*.mjs containers/compressor/viewer/src/*/*.mjs)
WEB := web/package-lock.json web/build.mjs $(wildcard web/src/*.js) web/index.html web/style.css
.build/run.stamp: requirements.txt requirements-run.in $(VIEWER) $(WEB) scripts/setup.sh
	scripts/setup.sh run $(if $(ZIP),,$(if $(filter demo,$(MAKECMDGOALS)),sample))

# What checking needs on top: linters, type checker, test runner, in the same environment.
.build/develop.stamp: .build/run.stamp
	scripts/setup.sh develop

# What testing needs on top: a browser, the format's reference reader.
.build/test.stamp: .build/develop.stamp .build/sam.stamp tests/peers/package-lock.json
	scripts/setup.sh test

# The state machine's build environment and the SAM command line. Neither needs .venv: they are installed beside it.
.build/sam.stamp: statemachine/requirements.txt tests/sam/requirements.txt
	scripts/setup.sh sam

# What the documentation's site needs: nothing of the project.
.build/docs.stamp: docs/requirements.txt
	scripts/setup.sh docs

# What auditing needs beside .venv: the tools, whose pins agree with nothing else.
.build/audit.stamp: tests/audit/requirements.txt
	scripts/setup.sh audit
