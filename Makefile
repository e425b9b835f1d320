# Two commands do everything: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.13 || command -v python3)
BACKEND := .venvs/backend/bin/python
BLENDERS := $(wildcard .venvs/blender-*/bin/python)

.PHONY: demo test test-all lint bench bench-addon test-gui setup-demo setup-test

demo: setup-demo  ## Install, reconstruct the example, leave out/demo.{blend,glb,png}
	@set -e; blender=$$(ls .venvs/blender-*/bin/python | head -n 1); $$blender scripts/demo.py --backend $(BACKEND) --out out

test: setup-test lint  ## Every test: backend, then the add-on in each Blender
	@bash scripts/run_tests.sh

test-all: test  ## Also build the zip with a backend inside and use it with the network unplugged; minutes
	$(BACKEND) -m pytest tests/install

test-gui: setup-test  ## The add-on in a real window, pictures in out/gui; needs root, the first time the network and 2 GB
	bash tests/gui/make_root.sh "$${PAMIR_GUI_ROOT:-.venvs/gui-root}"
	$(BACKEND) -m pytest tests/gui --exitfirst

lint: setup-test
	$(BACKEND) -m ruff check .
	$(BACKEND) -m ruff format --check .

bench: setup-test  ## Stage times of both network sizes as a table
	$(BACKEND) -m pamir_blender bench

bench-addon: setup-test  ## Seconds to register the add-on and to draw its panel, in each Blender
	@set -e; for blender in $(BLENDERS); do $$blender scripts/bench_addon.py; done

setup-demo:
	@$(PYTHON) scripts/setup_env.py demo

setup-test:
	@$(PYTHON) scripts/setup_env.py test
