# `make` alone says what there is. Everything that isn't Rust is installed below target/, pinned, and nowhere else.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
TOOLS := target/tools
CARGO_DENY_VERSION := 0.20.2
DENY := $(TOOLS)/bin/cargo-deny
VENV := $(or $(XINHUB_TEST_VENV),target/test-venv)
BUF := $(VENV)/bin/buf

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: check
check: fmt clippy deny proto tidy ## All that must hold before a commit: the next five

.PHONY: fmt
fmt: ## Formatting
	$(CARGO) fmt --all --check

.PHONY: clippy
clippy: ## Lints, each of them an error
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: deny
deny: $(DENY) ## Licences, sources and second versions of dependencies
	$(DENY) --workspace --locked check bans licenses sources

.PHONY: proto
proto: python ## The wire contract: style, and no breaking change since the last release
	$(BUF) lint proto
	.ci/proto-breaking $(BUF)

.PHONY: tidy
tidy: ## What no compiler sees: lock file, keys, file lengths, who may name what
	.ci/tidy

.PHONY: audit
audit: $(DENY) ## Known vulnerabilities of dependencies; fetches the RustSec database from GitHub
	$(DENY) --workspace --locked check advisories

.PHONY: test-setup
test-setup: ## What tests run besides Rust: a Python environment and Node modules, below target/
	tests/setup.sh

.PHONY: python
python:
	tests/setup.sh python

.PHONY: test
test: test-setup ## All tests
	$(CARGO) test --workspace --locked

.PHONY: demo
demo: ## The hub at work, each step checked; leaves nothing running
	./demo/run.sh

.PHONY: simulate
simulate: ## Lives of log and ledger on a disk that loses writes, of the ledger beside its model, of hub and replicas: LIVES=5000, or SEED=n alone
	@echo "seed $(or $(SEED),by chance)"
	$(if $(SEED),XINHUB_CRASH_SEED=$(SEED) XINHUB_MODEL_SEED=$(SEED)) $(if $(LIVES),XINHUB_CRASH_LIVES=$(LIVES)) \
	    $(CARGO) test --workspace --locked --test crash --test ledger_crash --test ledger_model -- --nocapture
	@# What was held through is said last.
	$(if $(SEED),XINHUB_REPLICA_SEED=$(SEED)) $(CARGO) test --workspace --locked --test simulation whatever -- --nocapture \
	    | awk '/held through/ { held = held $$0 "\n"; next } { print } END { printf "%s", held }'

BENCH := target/release/xinhub-bench
# A world that is kept, WORLD=DIR, is filled once and taken by later runs.
bench_world = $(if $(WORLD),--world $(WORLD))

.PHONY: bench-build
bench-build:
	$(CARGO) build --release --locked -p xinhub-server -p xinhub-cli -p xinhub-bench

.PHONY: bench-setup
bench-setup: ## What the hub is compared with, etcd, PostgreSQL and Redis: Debian's packages, unpacked below target/
	bench/setup.sh

.PHONY: bench-quick
bench-quick: bench-build ## What it costs: under two minutes on two processors after the build, with a line of JSON at the end. ROWS=1000000
	$(BENCH) suite --quick --rows $(or $(ROWS),1000000) --seconds 0.5 $(bench_world) --json target/bench-quick.json

.PHONY: bench
bench: bench-build ## The whole of it, next to what bench-setup fetched; writes bench/RESULTS.md. ROWS=10000000, WORLD=DIR to keep them
	$(BENCH) suite --rows $(or $(ROWS),10000000) $(bench_world) --json target/bench.json
	$(BENCH) report target/bench.json

.PHONY: certs
certs: ## A demo CA and client certificates in certs-example/out
	./certs-example/make.sh

$(DENY): Makefile
	@if ! $(DENY) --version 2>/dev/null | grep -qx 'cargo-deny $(CARGO_DENY_VERSION)'; then \
	    echo "installing cargo-deny $(CARGO_DENY_VERSION) into $(TOOLS): some minutes, once"; \
	    $(CARGO) install --quiet --locked cargo-deny --version $(CARGO_DENY_VERSION) --root $(TOOLS); \
	fi
	@touch $@
