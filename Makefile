# diagmem: set up, try, test.  `make` alone lists what there is.
#
# Needs make and a Python of 3.11 or newer; each target installs what it needs, into
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
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' Makefile

.PHONY: install
install: .venv/extras tool ## set up all that a user needs: Debian packages, .venv, the tool
	@echo 'diagmem is set up: $(DIAGMEM), or make demo'

# Three sets of Python packages, each with the one before: what tracing, analysis and
# pictures need; what networks and exports need; what tests and lint need.
.PHONY: core dev
core: .venv/core tool
dev: .venv/dev tool
	@sh scripts/system-packages.sh '$(PYTHON)' g++

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

# A .venv whose Python was removed or replaced does not start; it is made anew.  Lint reads
# Python alone, so it installs nothing but into .venv.
SYSTEM := $(if $(filter-out lint format,$(or $(MAKECMDGOALS),help)),system,python)
.venv/core: pyproject.toml setup.py | $(SYSTEM)
	@$(VENV_PYTHON) -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@echo 'installing Python packages into .venv: 60 MB to download, 300 MB on disk'
	$(PIP) install --editable .
	@touch $@

.venv/extras: .venv/core
	@echo 'installing optional Python packages into .venv: 90 MB to download, 300 MB on disk'
	$(PIP) install --editable '.[exact,parquet,tflm]'
	@touch $@

.venv/dev: .venv/extras
	@echo 'installing packages for tests into .venv: 60 MB to download, 150 MB on disk'
	$(PIP) install --editable '.[dev]'
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
cortex-m: .venv/core ## for trace --target: cross compilers, QEMU, the plugin (optional)
	@sh scripts/system-packages.sh '$(PYTHON)' qemu-system-arm qemu-arm=qemu-user \
	  arm-none-eabi-gcc=gcc-arm-none-eabi arm-linux-gnueabihf-gcc=gcc-arm-linux-gnueabihf \
	  /usr/lib/arm-none-eabi/newlib=libnewlib-arm-none-eabi \
	  /usr/arm-linux-gnueabihf/include/stdio.h=libc6-dev-armhf-cross
	@$(MAKE) -C qemu-plugin install LIBEXEC=../$(TOOL)
	@echo 'try: $(DIAGMEM) prove --target cortex-m4 conv_2d_int8'

# Programs of 32 bits need their own tool, and gcc the C library and libgcc for them.
.PHONY: x86
x86: GCC_32 = $(shell gcc -print-file-name=32)
x86: LIB_32 = lib32gcc-$(firstword $(subst ., ,$(shell gcc -dumpversion)))-dev
x86: core ## for trace of 32-bit programs on x86-64: the tool for these (optional)
	@sh scripts/system-packages.sh '$(PYTHON)' /usr/include/gnu/stubs-32.h=libc6-dev-i386 \
	  '$(GCC_32)/libgcc.a=$(LIB_32)'
	@$(MAKE) -C valgrind-tool install LIBEXEC=../$(TOOL) PLATFORM=x86-linux CC='gcc -m32' \
	  BUILD=build/x86

# Held in CI: an arm64 Linux has the tool, too.  The packages are Debian's for arm64.
.PHONY: cross-arm64
cross-arm64: ## build the tool for arm64 Linux with a cross compiler, to see that it builds
	@sh scripts/system-packages.sh '$(PYTHON)' aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu \
	  /usr/aarch64-linux-gnu/include/stdio.h=libc6-dev-arm64-cross
	@[ -d build/arm64/usr ] || sh scripts/foreign-package.sh arm64 build/arm64 valgrind
	$(MAKE) -C valgrind-tool BUILD=../build/arm64/tool CC=aarch64-linux-gnu-gcc \
	  SYSROOT=../build/arm64

.PHONY: demo
demo: core ## trace a kernel, find its safe overlap, draw it, prove it (about a minute)
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
test: dev ## all tests, of the Python side and of the tool
	$(VENV_PYTHON) -m pytest $(PYTEST_ARGS)
	$(MAKE) -C valgrind-tool check

.PHONY: lint
lint: .venv/dev ## ruff and mypy --strict, by Python alone; C warnings are errors when building
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

.PHONY: format
format: .venv/dev ## put the Python files into ruff's format
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
check-formulas: dev ## closed forms against loop nests, FORMULA_CASES=5000 an operator
	$(VENV_PYTHON) scripts/check_formulas.py --cases $(FORMULA_CASES)

KERNELS ?= 2000
SEED ?= 1
.PHONY: soak
soak: dev ## prove KERNELS=2000 random kernels, by gcc and clang, and try to refute each
	@sh scripts/system-packages.sh '$(PYTHON)' clang
	$(VENV_PYTHON) -m tests.soak --kernels $(KERNELS) --seed $(SEED)

TARGETS ?=
SECONDS ?= 60
.PHONY: fuzz
fuzz: dev ## fuzz the readers for SECONDS=60 each: TARGETS="trace model ..."
	$(PIP) install --quiet --editable '.[fuzz]'
	$(VENV_PYTHON) fuzz/run.py $(TARGETS) --seconds $(SECONDS)

.PHONY: bench
bench: dev ## how fast recording and analysis are, against other tracers
	$(PIP) install --quiet --editable '.[bench]'
	$(VENV_PYTHON) -m bench.run

.PHONY: figures
figures: dev ## draw the pictures in docs/figures/ again
	$(VENV_PYTHON) scripts/make_figures.py

.PHONY: tables
tables: dev ## the tables and pictures of docs/operators.md and docs/kernels.md again
	$(VENV_PYTHON) -m scripts.make_tables

.PHONY: results
results: dev ## measure, plan and verify eleven networks; resumes; an hour or so
	$(VENV_PYTHON) scripts/make_results.py

.PHONY: traces
traces: dev ## make the sample traces in traces/ again
	$(VENV_PYTHON) scripts/make_traces.py

.PHONY: wheel
wheel: dev ## a wheel with the tool in it, in dist/
	@rm -rf dist build/lib build/bdist.*
	$(PIP) wheel . --quiet --no-deps --no-build-isolation --wheel-dir dist
	@ls dist/diagmem-*-py3-none-linux_x86_64.whl || { \
	  echo "the tool is not in this wheel: $$(ls dist)" >&2; exit 1; }

RELEASES ?= 12 13
.PHONY: check-distributions
check-distributions: ## README's commands on bare RELEASES="12 13", or sid; needs root
	@sh scripts/system-packages.sh '$(PYTHON)' debootstrap unshare=util-linux git
	$(PYTHON) scripts/check_distributions.py $(RELEASES)

.PHONY: check-arm64
check-arm64: ## the tool's tests and the demo on an emulated arm64 Debian; slow, needs root
	@sh scripts/system-packages.sh '$(PYTHON)' debootstrap qemu-system-aarch64=qemu-system-arm \
	  qemu-aarch64-static=qemu-user-static update-binfmts=binfmt-support cpio git
	$(PYTHON) -m scripts.check_arm64

.PHONY: clean
clean: ## remove what was built; .venv stays
	$(MAKE) -C valgrind-tool clean
	rm -rf build dist $(TOOL) src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests scripts -name __pycache__ -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove .venv too
	rm -rf .venv
