# Everything a contributor or a pipeline needs; no command wants another one to be run before it.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= auto
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

.PHONY: install demo test e2e fuzz check generate bench bench-scale gpu-check soak lock clean help

install: .venv/installed ## make .venv with everything from the lock

.venv/installed: .ci/requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "scenario-runner needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r .ci/requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install ## a full drill in the lab; prints where the report is
	$(BIN)/scenario-runner run --lab --kernel-log auto --vars-file scenarios/vars/lab.yaml scenarios/xid79-gpu-fell-off-bus.yaml

test: install ## the whole suite: in parallel, then the drills, which want the machine for themselves
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not drill and not e2e"
	$(BIN)/python -m pytest -m "drill and not e2e"

e2e: install ## real Kubernetes: build it, start a cluster on this machine, run what needs one, take it down; as root
	$(BIN)/python -m tests.e2e

fuzz: install ## random calls to the lab and to a real cluster, compared; not part of CI; as root
	$(BIN)/python -m pytest tests/contract/kubernetes/fuzz.py -m e2e

check: install ## format, lint, types, layers, generated files up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict scenarios
	$(BIN)/python -m tests.generate --check

generate: install ## write the generated files anew
	$(BIN)/python -m tests.generate

bench: install ## speed, as medians of interleaved pairs
	$(BIN)/python -m tests.bench

CLIENTS ?= python3
gpu-check: install ## the CUDA library on this machine's GPU, with the PyTorch, CuPy, Triton and JAX of CLIENTS=PYTHON
	$(BIN)/python -m tests.gpu_check --python $(CLIENTS)

bench-scale: install ## a drill in real clusters of 10, 100 and 1,000 nodes: time, memory, API calls; not part of CI; as root
	$(BIN)/python -m tests.bench.scale

soak: install ## repeat the suite until told to stop
	n=0; while $(MAKE) --no-print-directory test; do n=$$((n + 1)); echo "passed $$n times in a row"; done

lock: install ## pin newer versions of everything
	$(BIN)/python -m pip install -q uv
	$(LOCK) pyproject.toml --extra dev -o .ci/requirements.txt
	echo chaostoolkit | $(LOCK) - -o .ci/requirements-bench.txt

clean: ## take away what was built and installed, reports stay
	rm -rf .venv .venv-bench build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1	/p' Makefile
