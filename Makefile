# `make help` says what there is. Every target sets up what it needs, and does nothing where that is done.
.DEFAULT_GOAL := help
.PHONY: help setup models demo test test-fast check check-types check-tests bench bench-zamba screens gfx803 install uninstall clean
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PREFIX ?= /usr/local
DESTDIR ?=
ROLE ?= server
SITE_LANG ?= en
# What the installed service runs on: the system's own, because one below /home is hidden from the service.
SERVICE_PYTHON ?= /usr/bin/python3
export PYTHON

BIN := .venv/bin
# Compilers for a card that is not here (make gfx803, tests/kernels/test_gfx803.py): Debian package:command or file.
GFX803 := clang-16:clang-16 lld-16:ld.lld-16 'rocm-device-libs:/usr/lib/*/amdgcn/bitcode' libclc-16:/usr/lib/clc
# Faults of network and clock (tests/e2e/test_delivery_*.py, benchmarks/delivery_faults.py).
FAULTS := iproute2:ip iproute2:tc nftables:nft 'faketime:/usr/lib/*/faketime/libfaketime.so.1'
export TIGRILLO_MODELS ?= $(CURDIR)/.cache/models

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## .venv with everything for development
	@scripts/setup.sh dev

models: $(if $(wildcard $(BIN)/tigrillo),,setup)  ## pull the two default models into .cache/models
	@$(BIN)/tigrillo models pull

demo:  ## frames from a simulated camera to alerts in a mailbox, on this machine; ends by itself
	@scripts/setup.sh demo
	@$(MAKE) models
	@rm -rf demo-out
	@$(BIN)/tigrillo demo --keep demo-out $(ARGS)

test: setup  ## everything: unit, contract, parts, kernels, end to end, browser
	@scripts/apt.sh mosquitto:mosquitto dovecot-imapd:/usr/lib/dovecot/imap gammu:gammu modemmanager:mmcli dbus-daemon:dbus-daemon systemd:systemd-analyze ffmpeg:ffmpeg chromium:chromium postgresql-15:/usr/lib/postgresql/15/bin/postgres pocl-opencl-icd:/etc/OpenCL/vendors/pocl.icd $(FAULTS) $(GFX803)
	@$(MAKE) models
	@$(BIN)/python scripts/run_tests.py fast parts kernels e2e browser

test-fast: setup  ## unit and contract tests, under a minute
	@$(MAKE) models
	@$(BIN)/python scripts/run_tests.py fast

check: setup  ## style, types, layers, docs, contracts
	@$(MAKE) models
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	@$(MAKE) -j2 --output-sync=target check-types check-tests  # each has a core to itself

check-types:
	$(BIN)/python -m mypy

check-tests:
	@$(BIN)/python scripts/run_tests.py check

bench: setup  ## the speed figures, measured on this machine
	@$(MAKE) models
	@set -e; for name in pipeline motion memory threads; do echo "== $$name"; $(BIN)/python "benchmarks/$$name.py"; done

bench-zamba: setup  ## the same clips through zamba's own detector and ours (needs an environment of 1 GB in /tmp)
	@$(MAKE) models
	@PYTHON="$(PYTHON)" benchmarks/zamba/setup.sh /tmp/zambavenv
	@$(BIN)/python benchmarks/versus_zamba.py --venv /tmp/zambavenv

screens: setup  ## pictures of each page of the web page, in both languages, into docs/screens
	@scripts/apt.sh mosquitto:mosquitto chromium:chromium
	@$(MAKE) models
	@TIGRILLO_SCREENS=docs/screens $(BIN)/python -m pytest -q tests/browser/test_pages.py

gfx803: setup  ## compile all kernels for an RX 580 that is not here, and write the tables of docs/hardware.md
	@scripts/apt.sh $(GFX803)
	@$(BIN)/python scripts/gfx803.py $(ARGS)

install:  ## as root: the service, below PREFIX (/usr/local), staged below DESTDIR; ROLE=agent for a Pi
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" ROLE="$(ROLE)" SITE_LANG="$(SITE_LANG)" PYTHON="$(SERVICE_PYTHON)" scripts/install.sh

uninstall:  ## as root: remove what install put there; sites and frames stay
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/uninstall.sh

clean:  ## remove what was built; .venv and the models stay
	rm -rf build dist demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache/test-results .cache/pocl
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
