# Every target does all the set-up it needs; a second time that takes a second.
#
#   make tune    tune two kernels, then compile them from the records alone and verify them
#   make test    formatting, lint, types, tests
#   make soak    minutes of faults at random on a farm: make soak SOAK=600
#   make farm-demo  two tuning jobs on four slots of a farm, one of which is killed half-way
#   make setup   system packages, .venv, the toolchain's first-time work
#   make lint    formatting, lint, types
#   make clean   remove what `make tune` and the checks left; `make distclean` also .venv and caches

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: tune test soak farm-demo setup lint clean distclean

# Everything that is made stays inside the clone.
export VRMPY_TUNE_CACHE := $(CURDIR)/.tune/cache
export ZIG_GLOBAL_CACHE_DIR := $(VRMPY_TUNE_CACHE)/zig
export ZIG_LOCAL_CACHE_DIR := $(VRMPY_TUNE_CACHE)/zig

BIN := .venv/bin
STORE := sqlite:///.tune/records.db
EFFORT := quick
WORKLOADS := \
	dense:m=128,n=768,k=768,lhs=u8,rhs=u8 \
	conv2d:n=1,h=56,w=56,ci=64,co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8
PYTEST_ARGS :=
SOAK ?= 120

# The second command is a process of its own, which has nothing of the first but the records.
tune: setup
	$(BIN)/vrmpy-tune tune $(WORKLOADS) --effort $(EFFORT) --records $(STORE)
	$(BIN)/vrmpy-tune compile $(WORKLOADS) --output .tune/out --records $(STORE) --no-shipped --strict --compare-untuned

test: lint
	@setup/packages.sh --tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

soak: setup
	VRMPY_SOAK_SECONDS=$(SOAK) $(BIN)/python -m pytest -m soak -s $(PYTEST_ARGS)

farm-demo: setup
	$(BIN)/python -m vrmpy_tune.farm.demo

setup:
	@setup/packages.sh
	@setup/environment.sh
	@$(BIN)/vrmpy-tune doctor --setup

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:
	rm -rf .tune/out .tune/records.db* .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean
	rm -rf .venv .tune
