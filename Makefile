# Thin on purpose: every target is one command that CI calls as well. `make up` and `make test` do all their own set-up.
STACK ?= staging
PYTHON ?= python3
FUZZ_SECONDS ?= 600
BIN := .venv/bin
FAST := -m "not integration and not e2e"
# What Python compiles is kept, out of the tree, whatever the surroundings say: half of a test run would be compiling.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.build/pycache
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up test setup check fmt fast integration properties e2e e2e-search e2e-retraining e2e-switches e2e-degraded e2e-kills e2e-batch rollback-drill faults faults-smoke preview down clean lock bench bench-drift bench-serving bench-gate bench-scores bench-data bench-batch fuzz workflow e2e-capacity e2e-shadow

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 18

up:              ## from an empty machine to a gated, served model: tools, cluster, images, pulumi up
	$(PYTHON) -m toolchain up --stack $(STACK)

test: check integration e2e  ## everything: lint, types, fast tests, real tools, then the walk on the real local cluster

setup:           ## the Python environment and the tools, nothing else
	$(PYTHON) -m toolchain setup

check: setup     ## format, lint, types, fast tests
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	@# Tests are collected beside the type check, on the other processor: what they import is compiled then, once.
	$(BIN)/pytest -q --collect-only $(FAST) >/dev/null 2>&1 & $(BIN)/mypy; code=$$?; wait; exit $$code
	$(MAKE) fast

fast:            ## pure and program tests: no server, no cluster
	$(BIN)/pytest -q -n 2 --dist loadfile $(FAST) --durations 5

integration: setup  ## the real Pulumi CLI, MLflow and promtool on this machine, without a cluster
	$(BIN)/pytest -q -n 2 --dist loadfile -m integration --durations 5

properties: setup  ## every property with a thousand examples and more, drawn anew each time; some 20 min
	MLP_EXAMPLES=1000 $(BIN)/pytest -q -n 2 --dist loadfile -m "hypothesis and not e2e"

e2e: setup       ## on a cluster of its own: the walk from make up to rollback, then faults (pauses a running one)
	MLP_FAULTS_RUNS=2 $(BIN)/pytest -q -x -m "e2e and smoke" --durations 10 \
		tests/toolchain/cluster tests/e2e/test_walk.py tests/e2e/matrix

faults: setup    ## every row of the fault matrix that is ours, on clusters of their own; some 3 hours
	@# Drifting scores are judged against a champion that was asked the same for ten minutes: no other drill before it.
	$(BIN)/pytest -q -s -m e2e tests/e2e/test_degraded.py; \
	$(BIN)/pytest -q -s -m e2e tests/e2e/matrix tests/e2e/test_kills.py; \
	$(BIN)/python -m tests.e2e.matrix

faults-smoke: setup  ## the rows that are quick, each a few times; also part of `make e2e`
	MLP_FAULTS_RUNS=2 $(BIN)/pytest -q -x -s -m "e2e and smoke" tests/e2e/matrix

e2e-search: setup  ## a search in the cluster whose worker is killed; some 15 min, not part of `make test`
	$(BIN)/pytest -q -x -m e2e --durations 10 tests/e2e/test_search.py

e2e-retraining: setup  ## retraining by schedule, by a drift alert that fires, by a person; some 10 min, not part of `make test`
	$(BIN)/pytest -q -x -m e2e --durations 10 tests/e2e/test_retraining.py

e2e-switches: setup  ## 20 switches and 20 rollbacks under three kinds of clients, and the control; some 25 min
	$(BIN)/pytest -q -x -s -m e2e tests/e2e/test_switches.py

rollback-drill: setup  ## mlp rollback, twenty times under clients, timed; some 20 min
	$(BIN)/pytest -q -x -s -m e2e tests/e2e/test_rollback.py

e2e-degraded: setup  ## releases that pass on paper and are bad: one is stopped by smoke, four lose the traffic; 20 min
	$(BIN)/pytest -q -x -s -m e2e tests/e2e/test_degraded.py

e2e-kills: setup  ## Pulumi killed at 50 moments of a release, then ten updates at once; some 40 min
	$(BIN)/pytest -q -x -s -m e2e tests/e2e/test_kills.py

e2e-batch: setup  ## a run over shards in the cluster whose worker is killed; some 15 min, not part of `make test`
	$(BIN)/pytest -q -x -m e2e --durations 10 tests/e2e/test_batch.py

e2e-capacity: setup  ## a switch from a slot that has grown, with and without room; 3 min on a stack that is up
	$(BIN)/pytest -q -x -s -m e2e --durations 10 tests/e2e/test_capacity.py

e2e-shadow: setup  ## the idle slot answers a copy of every request, then has no pods; 3 min once the stack stands
	$(BIN)/pytest -q -x -s -m e2e tests/e2e/test_shadow.py

fmt:             ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

preview: setup   ## one Markdown comment: what would change in the infrastructure and in the model
	$(BIN)/mlp preview --stack $(STACK) --out .build/preview/comment.md

down:            ## stop the local cluster, keep its data
	$(PYTHON) -m toolchain down

clean:           ## remove the environment, build results, the local cluster and its data
	$(PYTHON) -m toolchain clean

lock: setup      ## compile every lock file again from its direct dependencies
	$(PYTHON) -m toolchain lock

bench: setup     ## how long `make up` takes, cold, warm and again
	$(BIN)/python -m benchmarks.up

bench-drift: setup  ## the drift check beside scipy and alibi-detect; how often each rule is wrong
	$(BIN)/python -m benchmarks.drift

bench-serving: setup  ## our server beside FastAPI: same model, same rows, same core
	$(BIN)/python -m benchmarks.serving

bench-gate: setup  ## how often the gate passes a model that is one margin worse, beside other rules; writes docs/gate.md
	$(BIN)/python -m benchmarks.gate --write

bench-scores: setup  ## how often the watch over a release's answers is wrong, and what it finds; writes docs/release-walk.md
	$(BIN)/python -m benchmarks.scores --write

bench-data: setup  ## a file of 1 GB through mlp data validate and snapshot: where every row goes, memory, rows a second
	$(BIN)/python -m benchmarks.data

bench-batch: setup  ## a worker of a run over shards beside scikit-learn's own predict, one process each
	$(BIN)/python -m benchmarks.batch

fuzz: setup      ## ten minutes of each fuzzer on the model server: schemathesis on its document, atheris on its bytes
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

workflow: setup  ## the steps of the GitHub workflow, in order, on a clean clone
	$(PYTHON) -m toolchain workflow .github/workflows/pipeline.yml
