# `make up` and `make test` are all a newcomer needs: both install what is missing (see scripts/tools.sh).
SHELL := bash
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/eventrunner
TARGET := $(or $(CARGO_TARGET_DIR),target)
export PATH := $(CACHE)/bin:$(PATH)

# Arguments for `eventrunner up`, such as: make up ARGS="--durability process"
ARGS ?=
# Words that a row of docs/numbers.md must hold, or --not and words that it must not.
ONLY ?=
# How long each fuzz target runs.
SECONDS ?= 300
# How many requests of each kind `contract` makes up for each operation.
EXAMPLES ?= 100

.PHONY: help up test test-gateway test-cluster test-alerts contract docs lint tools numbers fuzz bench proof
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: ## the whole fleet in one process, on this machine
	@scripts/tools.sh nats-server
	cargo build --release --locked --package eventrunner
	@$(TARGET)/release/eventrunner up $(ARGS)

test: tools ## every test
	@python3 scripts/check.py test

test-gateway: ## the tests on Ory's servers, which are compiled once (5 minutes)
	@scripts/tools.sh keto oathkeeper
	cargo test --locked --package eventrunner-relations --all-features
	cargo test --locked --package eventrunner-api --test api gateway

test-cluster: ## the chart on an API server of Kubernetes, which is compiled once (15 minutes), and its pods as processes
	@scripts/tools.sh nats-server cassandra clickhouse python crds k8s
	cargo build --locked --package eventrunner
	@$(CACHE)/venv/bin/python -W ignore -m unittest discover --verbose --start-directory scripts/k8s
test-alerts: ## every alert, by a fault on a live fleet (minutes; needs to mount a small disk)
	@scripts/tools.sh nats-server cassandra clickhouse python checks prometheus keto
	cargo build --locked --package eventrunner
	@$(CACHE)/venv/bin/python scripts/observe/faults.py

contract: ## does the API do what its document says? tens of thousands of requests made up from it
	@scripts/tools.sh nats-server python
	cargo build --release --locked --package eventrunner
	@scripts/contract/run.py release $(EXAMPLES)

docs: ## the pages made from the code: command line, configuration, OpenAPI
	cargo run --quiet --locked --package eventrunner -- docs

lint: ## format, clippy, documentation, licences, protobuf, shell, chart
	@scripts/tools.sh cargo-deny buf python
	@python3 scripts/check.py lint

tools: ## what the tests use and the machine lacks
	@scripts/tools.sh nats-server cassandra clickhouse python node go crds otel checks prometheus

bench: ## the first figure again: the whole path beside the bare broker
	@scripts/tools.sh nats-server
	cargo build --release --locked --package eventrunner --package eventrunner-load
	@$(TARGET)/release/eventrunner-load path --durability process
	@$(TARGET)/release/eventrunner-load path --durability disk

numbers: ## every figure of docs/numbers.md
	@scripts/tools.sh nats-server python
	cargo build --release --locked --package eventrunner --package eventrunner-load
	@scripts/numbers.py $(ONLY)

proof: ## nothing promised is lost: the long forms of chaos, outage, restart and order, in one process and in many
	@scripts/tools.sh nats-server cassandra clickhouse
	cargo build --release --locked --package eventrunner --package eventrunner-load
	@scripts/proof.sh

fuzz: ## every fuzz target, SECONDS each (needs a nightly toolchain)
	@scripts/tools.sh cargo-fuzz
	@scripts/fuzz.sh $(SECONDS)
