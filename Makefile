# diagmem: set up, try, test.  `make` alone lists what there is.
#
# Needs make and a Python of 3.11 or newer; `make install` sees to the rest, into
# .venv, build, valgrind-tool/build and src/diagmem/_valgrind.  Every path here is
# relative, because make splits names at spaces and a checkout may lie anywhere.

PYTHON ?= python3
PYTEST_ARGS ?= --numprocesses=auto --maxprocesses=4 --dist=loadgroup

VENV_PYTHON := .venv/bin/python
DIAGMEM := .venv/bin/diagmem
PIP := $(VENV_PYTHON) -m pip --disable-pip-version-check
TOOL := src/diagmem/_valgrind
DEMO := build/demo

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: install
install: python-side tool ## set everything up: Debian packages, .venv, the Valgrind tool
	@echo 'diagmem is set up: $(DIAGMEM), or make demo'

.PHONY: python
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  version=$$($(PYTHON) --version 2>/dev/null) || version='not there'; \
	  echo "diagmem needs Python 3.11 or newer, and '$(PYTHON)' is $$version." >&2; \
	  echo "Name another:  make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 2; }

.PHONY: system
system: python
	@sh scripts/system-packages.sh '$(PYTHON)'

.PHONY: python-side
python-side: .venv/installed

# A .venv whose Python was removed or replaced does not start; it is made anew.
.venv/installed: pyproject.toml setup.py | system
	@$(VENV_PYTHON) -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@

# Valgrind's files keep the dates they were packaged with, so an upgrade does not
# look newer than what was built from the release before it: compare the versions.
.PHONY: tool
tool: | system
	@if [ -e $(TOOL)/valgrind-version ] && \
	    [ "valgrind-$$(cat $(TOOL)/valgrind-version)" != "$$(valgrind --version)" ]; then \
	  $(MAKE) -C valgrind-tool clean && rm -rf $(TOOL); fi
	@$(MAKE) -C valgrind-tool install LIBEXEC=../$(TOOL)

# A file stands for a package that brings no program.
.PHONY: cortex-m
cortex-m: python-side ## for trace --target: cross compilers, QEMU, the plugin (optional)
	@sh scripts/system-packages.sh '$(PYTHON)' qemu-system-arm qemu-arm=qemu-user \
	  arm-none-eabi-gcc=gcc-arm-none-eabi arm-linux-gnueabihf-gcc=gcc-arm-linux-gnueabihf \
	  /usr/lib/arm-none-eabi/newlib=libnewlib-arm-none-eabi \
	  /usr/arm-linux-gnueabihf/include/stdio.h=libc6-dev-armhf-cross
	@$(MAKE) -C qemu-plugin install LIBEXEC=../$(TOOL)
	@echo 'try: $(DIAGMEM) prove --target cortex-m4 conv_2d_int8'

.PHONY: demo
demo: install ## trace a kernel, find its safe overlap, draw it, prove it (about a minute)
	@mkdir -p $(DEMO)
	@echo '-- Watch a float depthwise convolution, compiled from C, under Valgrind.'
	$(DIAGMEM) trace depthwise_conv_2d_f32 -o $(DEMO)/depthwise.dmt --force
	@echo '-- How far may its output reach into its input?'
	$(DIAGMEM) overlap $(DEMO)/depthwise.dmt
	@echo '-- Draw when each byte is loaded, stored and still needed.'
	$(DIAGMEM) heatmap $(DEMO)/depthwise.dmt -o $(DEMO)/depthwise.png --force
	@echo '-- Run the kernel with its buffers truly overlapped and compare the bits.'
	$(DIAGMEM) prove depthwise_conv_2d_f32
	@echo '-- The picture is in $(DEMO)/depthwise.png'

.PHONY: test
test: install ## all tests, of the Python side and of the tool
	$(VENV_PYTHON) -m pytest $(PYTEST_ARGS)
	$(MAKE) -C valgrind-tool check

.PHONY: lint
lint: install ## ruff, mypy --strict; building the tool treats C warnings as errors
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

.PHONY: format
format: install ## put the Python files into ruff's format
	$(VENV_PYTHON) -m ruff format .
	$(VENV_PYTHON) -m ruff check --fix .

CASES ?= 200
CHECK_CSV ?= build/check.csv
.PHONY: check
check: install ## formulas against traced kernels and overlapped runs, CASES=200 an operator
	@mkdir -p build
	$(DIAGMEM) check --cases $(CASES) -o $(CHECK_CSV) --force

FORMULA_CASES ?= 5000
.PHONY: check-formulas
check-formulas: install ## closed forms against loop nests, FORMULA_CASES=5000 an operator
	$(VENV_PYTHON) scripts/check_formulas.py --cases $(FORMULA_CASES)

KERNELS ?= 2000
SEED ?= 1
.PHONY: soak
soak: install ## prove KERNELS=2000 random kernels, by gcc and clang, and try to refute each
	@sh scripts/system-packages.sh '$(PYTHON)' clang
	$(VENV_PYTHON) -m tests.soak --kernels $(KERNELS) --seed $(SEED)

TARGETS ?=
SECONDS ?= 60
.PHONY: fuzz
fuzz: install ## fuzz the readers for SECONDS=60 each: TARGETS="trace model ..."
	$(PIP) install --quiet --editable '.[fuzz]'
	$(VENV_PYTHON) fuzz/run.py $(TARGETS) --seconds $(SECONDS)

.PHONY: bench
bench: install ## how fast recording and analysis are, against other tracers
	$(PIP) install --quiet --editable '.[bench]'
	$(VENV_PYTHON) -m bench.run

.PHONY: figures
figures: install ## draw the pictures in docs/figures/ again
	$(VENV_PYTHON) scripts/make_figures.py

.PHONY: tables
tables: install ## the tables and pictures of docs/operators.md and docs/kernels.md again
	$(VENV_PYTHON) -m scripts.make_tables

.PHONY: results
results: install ## measure, plan and verify eleven networks; resumes; an hour or so
	$(VENV_PYTHON) scripts/make_results.py

.PHONY: traces
traces: install ## make the sample traces in traces/ again
	$(VENV_PYTHON) scripts/make_traces.py

.PHONY: wheel
wheel: install ## a wheel with the tool in it, in dist/
	@rm -rf dist build/lib build/bdist.*
	$(PIP) wheel . --quiet --no-deps --no-build-isolation --wheel-dir dist
	@ls dist/diagmem-*-py3-none-linux_x86_64.whl || { \
	  echo "the tool is not in this wheel: $$(ls dist)" >&2; exit 1; }

.PHONY: clean
clean: ## remove what was built; .venv stays
	$(MAKE) -C valgrind-tool clean
	rm -rf build dist $(TOOL) src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests scripts -name __pycache__ -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove .venv too
	rm -rf .venv
