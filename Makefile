# Two commands matter: `make demo` and `make test`. Everything happens inside .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# torch stays out of the hash-locked file: the same version has another wheel on another platform.
TORCH := torch==2.13.0

export PYTHONUNBUFFERED := 1
export ANONYMIZED_TELEMETRY := False

.DEFAULT_GOAL := help
.PHONY: help setup demo check test nightly bench lock clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP) ## create .venv with Python 3.11 and install the lock

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 was not found as '$(PYTHON)'. Install it, or name yours: make setup PYTHON=/path/to/python3.11"; exit 2; }
	@echo "==> creating $(VENV) and installing the lock (2 to 5 minutes, 3 GB)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check $(TORCH)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
	@echo "==> ready: $(BIN)/workbench --help"

demo: setup ## run the main job on real input and print the result
	@$(BIN)/workbench demo

check: setup ## lint, types, import rules and the fast tests
	@echo "==> ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "==> mypy --strict"; $(BIN)/mypy
	@echo "==> import rules"; $(BIN)/lint-imports
	@echo "==> fast tests"; $(BIN)/python -m pytest -q tests/unit tests/property tests/golden -m "not slow"

test: setup ## lint, types, import rules and the whole suite
	@echo "==> ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "==> mypy --strict"; $(BIN)/mypy
	@echo "==> import rules"; $(BIN)/lint-imports
	@echo "==> tests"; $(BIN)/python -m pytest tests --durations=15

nightly: setup ## the long profile: more kills, more seeds; failures are kept in .nightly/
	@mkdir -p .nightly
	@WORKBENCH_NIGHTLY=1 $(BIN)/python -m pytest tests --durations=25 --basetemp=.nightly/tmp -o tmp_path_retention_policy=failed

bench: setup ## all benchmarks; writes .bench/NAME.json and NAME.png
	@for f in tests/benchmarks/bench_*.py; do echo "==> $$f"; $(BIN)/python $$f || exit 1; done

bench-%: setup
	@$(BIN)/python tests/benchmarks/bench_$*.py

CUDA := cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
  nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver \
  nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 \
  nvidia-nvtx triton

lock: ## resolve pyproject.toml into requirements.lock again (keeps what is pinned there)
	@$(BIN)/uv pip compile pyproject.toml --extra dev --extra api --extra openvino --extra redis --generate-hashes --python-version 3.11.7 \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet \
	  $(foreach p,torch $(CUDA),--no-emit-package $(p)) -o requirements.lock
	@cat requirements-models.txt >> requirements.lock

clean: ## remove .venv, caches and the demo's home
	rm -rf $(VENV) .workbench .bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
