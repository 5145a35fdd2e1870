# Two commands on a fresh machine: `make serve` runs Custodes, `make test` checks it.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q
NPM_CI := npm ci --silent --no-audit --no-fund

.PHONY: serve test bench lint types rooms unit cover chromium gstreamer format clean lock

serve: $(VENV)/.base
	@$(BIN)/custodes serve

test: $(VENV)/.dev tests/clients/javascript/node_modules chromium gstreamer
	@$(MAKE) --no-print-directory -j3 lint types rooms
	@$(MAKE) --no-print-directory unit

lint: $(VENV)/.dev
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .

types: $(VENV)/.dev
	$(BIN)/mypy

rooms: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache

# Two processes, each with a file of tests at a time; -n 0 in ARGS runs all in one.
unit: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# The same with every line counted, which takes half as long again.
cover: $(VENV)/.dev
	@$(MAKE) --no-print-directory unit ARGS="--cov --cov-report=term:skip-covered $(ARGS)"

bench: $(VENV)/.bench
	$(BIN)/python -m bench $(ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff format -q .
	$(BIN)/ruff check --fix -q .

# The JavaScript client is tested where Node is; without it the test says that it skips.
tests/clients/javascript/node_modules: tests/clients/javascript/package-lock.json
	@if command -v npm >/dev/null; then cd $(@D) && $(NPM_CI); else mkdir -p $@; fi
	@touch $@

# Tests of the console drive Debian's Chromium; without it they say that they skip.
chromium:
	@if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	fi

# Tests of cameras read real RTSP from GStreamer's server; without it they say that they skip.
GSTREAMER := python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
             gstreamer1.0-plugins-bad
gstreamer:
	@if ! dpkg -s $(GSTREAMER) >/dev/null 2>&1 && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends $(GSTREAMER) >/dev/null; \
	fi

# --- environments ---------------------------------------------------------------------------------------------

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Custodes needs Python 3.11 or newer.")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: requirements/base.txt requirements/models.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes --no-deps -r requirements/base.txt
	$(PIP) install --require-hashes --no-deps -r requirements/models.txt
	$(PIP) install --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.base
	$(PIP) install --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	$(PIP) install --require-hashes --no-deps -r requirements/bench.txt
	@touch $@

# Pins with hashes, without addresses (needs uv).
UV = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q
lock:
	$(UV) --extra s3 --extra postgres pyproject.toml -o requirements/base.txt
	$(UV) --extra s3 --extra postgres --group dev pyproject.toml -o requirements/dev.txt
	$(UV) --no-deps requirements/bench.in -o requirements/bench.txt
	$(UV) --no-deps requirements/models.in -o requirements/models.txt

# Leaves ./data alone: it holds faces, keys and the master key.
clean:
	rm -rf $(VENV) build tests/clients/javascript/node_modules .mypy_cache .ruff_cache .pytest_cache
