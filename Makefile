# Everything a change needs, in one word: `make test`. It needs Python >= 3.11 and
# Rust (a linker included) and sets up the rest itself, below .venv/ and target/.
#
#     make test                      with python3
#     PYTHON=python3.13 make test    with another interpreter: name, or path
#
# Each interpreter has its own environment and its own build folder, so going to and
# fro between versions builds nothing twice.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build build-debug test test-debug test-rust test-tree test-version test-python lint format types stubs compatibility descriptors downstream soak shuttle valgrind demo bench counts wheel fuzz clean
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= python3
# More arguments for pytest, the demo or the benchmark: make test-python ARGS="-k timers"
ARGS ?=

INTERPRETER := $(shell scripts/find_python.sh $(PYTHON))
VERSION := $(if $(INTERPRETER),$(shell $(INTERPRETER) -c 'import sys, sysconfig; print("%d.%d%s" % (*sys.version_info[:2], "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""))'))
# TULIPA_PLATFORM tells another root's environments from this one's (scripts/in_debian.sh).
PREFIX := $(if $(TULIPA_PLATFORM),$(TULIPA_PLATFORM)-)
VENV := $(CURDIR)/.venv/$(PREFIX)$(VERSION)
PY := $(VENV)/bin/python
TARGET_RUST := $(CURDIR)/target$(if $(TULIPA_PLATFORM),/$(TULIPA_PLATFORM))
TARGET_BINDING := $(CURDIR)/target/$(PREFIX)py$(VERSION)
LOCKED := $(if $(CI),--locked)

RUST_SOURCES := $(shell find crates -name '*.rs' -o -name 'Cargo.toml') Cargo.toml $(wildcard Cargo.lock)

# An environment that is switched on would mislead pip, maturin and the tests.
unexport PYTHONPATH PYTHONHOME CONDA_PREFIX __PYVENV_LAUNCHER__
export VIRTUAL_ENV := $(VENV)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:  ## this list
	@echo "tulipa, with $(if $(INTERPRETER),CPython $(VERSION) ($(INTERPRETER)),no usable interpreter: PYTHON=$(PYTHON))"
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

## -- setting up ---------------------------------------------------------------------------

setup: $(VENV)/.dev  ## the environment with everything that builds, checks and tests

$(VENV)/.created:
	@[ -n "$(INTERPRETER)" ] || { echo "make: '$(PYTHON)' is no working CPython >= 3.11; name one with PYTHON=..." >&2; exit 1; }
	@command -v cargo >/dev/null || { echo "make: no cargo on PATH; tulipa is built with Rust (see CONTRIBUTING.md)" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "make: no C linker 'cc' on PATH; on Debian: apt-get install gcc libc6-dev" >&2; exit 1; }
	@$(INTERPRETER) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(INTERPRETER) cannot make environments (no ensurepip); on Debian: apt-get install python$(VERSION)-venv" >&2; exit 1; }
	rm -rf $(VENV)
	$(INTERPRETER) -m venv $(VENV)
	touch $@

$(VENV)/.dev: $(VENV)/.created pyproject.toml
	$(PY) -m pip install --quiet 'pip>=25.1'
	$(PY) -m pip install --quiet --group dev
	touch $@

$(VENV)/.demo: $(VENV)/.dev
	$(PY) -m pip install --quiet --group demo
	touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PY) -m pip install --quiet --group bench
	touch $@

## -- building -----------------------------------------------------------------------------
# maturin puts the extension module beside the package in python/tulipa, one file per
# Python version, and makes the environment import the package from there. A debug and a
# release build are the same file, hence each removes the other's stamp.

build: $(VENV)/.built-release  ## the extension module, optimised, importable in the environment
build-debug: $(VENV)/.built-debug

$(VENV)/.built-release: FLAGS := --release
$(VENV)/.built-debug: FLAGS :=
$(VENV)/.built-%: $(VENV)/.dev $(RUST_SOURCES)
	rm -f $(VENV)/.built-*
	PIP_QUIET=1 CARGO_TARGET_DIR=$(TARGET_BINDING) $(PY) -m maturin develop --quiet $(FLAGS) $(LOCKED)
	touch $@

wheel: $(VENV)/.dev  ## a wheel, in target/wheels
	CARGO_TARGET_DIR=$(TARGET_BINDING) $(PY) -m maturin build --release $(LOCKED) --interpreter $(PY) --out target/wheels

## -- testing ------------------------------------------------------------------------------

test: lint test-rust test-tree test-version  ## everything a change needs

test-version: types stubs test-python  ## the part of `test` that depends on the Python version

test-debug: build-debug  ## the Python tests on a build with debug assertions
	$(PY) -m pytest --ignore=tests/tree $(ARGS)

test-rust:  ## the tests of the pure Rust crates
	CARGO_TARGET_DIR=$(TARGET_RUST) cargo test --quiet $(LOCKED) --workspace --exclude tulipa-py

test-tree: $(VENV)/.dev  ## the tree reads itself: walls, long files, dead links
	$(PY) -m pytest tests/tree

test-python: build  ## the Python tests, CPython's own asyncio suite included
	$(PY) -m pytest --ignore=tests/tree $(ARGS)

compatibility: build  ## run the others' suites, record what they find, and write the tables in docs/compatibility.md
	$(PY) tests/conformance/cpython.py --record
	$(PY) tests/conformance/uvloop_suite.py --record
	$(PY) tests/conformance/results.py

descriptors: build $(VENV)/.bench  ## measure asyncio, uvloop and tulipa on each kind of descriptor, and write the table in docs/reference
	$(PY) tests/descriptors/measure.py --record

downstream: build  ## the suites of large projects, on asyncio and on tulipa; ARGS="anyio" for one
	$(PY) tests/downstream/main.py $(ARGS)

## -- testing for longer -------------------------------------------------------------------
# Not part of `test`: minutes each, and tools that not everybody has.

# How long the soak churns, what its jobs draw from, and on which loop.
SECONDS ?= 120
SEED ?=
LOOP ?= tulipa-epoll

soak: build  ## connections, TLS, processes and cancellations for two minutes: nothing is left
	for engine in openssl memorybio; do TULIPA_TLS=$$engine $(PY) -m tests.soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) --loop $(LOOP); done

shuttle:  ## the inbox between threads, in all orders in which they can meet
	CARGO_TARGET_DIR=$(TARGET_RUST)/shuttle cargo test --quiet --release $(LOCKED) --manifest-path tests/shuttle/Cargo.toml

valgrind:  ## the tests of the pure Rust crates under valgrind's memcheck
	CARGO_TARGET_DIR=$(TARGET_RUST) scripts/valgrind.sh

fuzz:  ## the fuzz targets, each for SECONDS; they need a C++ compiler and, for TLS, OpenSSL
	scripts/fuzz.sh $(SECONDS)

## -- checking -----------------------------------------------------------------------------

lint: $(VENV)/.dev  ## formatting and lints, Rust and Python
	cargo fmt --all --check
	CARGO_TARGET_DIR=$(TARGET_RUST) PYO3_PYTHON=$(PY) cargo clippy --quiet $(LOCKED) --workspace --all-targets -- -D warnings
	$(PY) -m ruff check --quiet
	$(PY) -m ruff format --quiet --check --diff

format: $(VENV)/.dev  ## mend what `lint` can mend by itself
	cargo fmt --all
	$(PY) -m ruff check --quiet --fix || true
	$(PY) -m ruff format --quiet

types: $(VENV)/.dev  ## mypy and pyright, both strict, on the package and tests/typing
	$(PY) -m mypy
	$(PY) -m pyright --project . --pythonpath $(PY)

stubs: build  ## the stub of the native module against the built one
	MYPYPATH=python $(PY) -m mypy.stubtest tulipa._native $(addprefix --allowlist ,$(wildcard tests/typing/stubtest_allowlist.txt))

## -- showing ------------------------------------------------------------------------------

demo: build $(VENV)/.demo  ## the main job, shown
	$(PY) scripts/demo/main.py $(ARGS)

bench: build $(VENV)/.bench  ## processor time, throughput, latency and memory beside other loops, and a bare one in C
	$(PY) benches/loop/run.py $(ARGS)

counts: build  ## instructions and system calls per operation against their budgets (valgrind, strace); ARGS=--record
	$(PY) benches/counts/run.py $(ARGS)

clean:  ## remove what was built and set up
	rm -rf .venv target python/tulipa/_native.*.so .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
