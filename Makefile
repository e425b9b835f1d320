# Two commands do everything: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.13 || command -v python3)
BACKEND := .venvs/backend/bin/python
BLENDERS := $(wildcard .venvs/blender-*/bin/python)

.PHONY: demo test lint bench setup-demo setup-test

demo: setup-demo  ## Install, reconstruct the example, leave out/demo.{blend,glb,png}
	@set -e; blender=$$(ls .venvs/blender-*/bin/python | head -n 1); $$blender scripts/demo.py --backend $(BACKEND) --out out

test: setup-test lint  ## Every test: backend, then the add-on in each Blender
	@bash scripts/run_tests.sh

lint: setup-test
	$(BACKEND) -m ruff check .
	$(BACKEND) -m ruff format --check .

bench: setup-test  ## Stage times of both network sizes as a table
	$(BACKEND) -m pamir_blender bench

setup-demo:
	@$(PYTHON) scripts/setup_env.py demo

setup-test:
	@$(PYTHON) scripts/setup_env.py test
