# Ordermill. `make` lists the targets. Ports and the state directory are variables: see tests/stack/settings.py.

STACK := exec env PYTHONPATH=tests .venv/stack/bin/python -m stack
SAM := PATH="$(CURDIR)/.venv/sam/bin:$$PATH" SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1
# Node.js is a package of Python's here, so that the checks of the OpenAPI document and its clients need no npm on the machine.
NODE := PATH="$(CURDIR)/.venv/node/bin:$(CURDIR)/.local/contract/node_modules/.bin:$$PATH" REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
# What a stack on this machine needs.
LOCAL := .venv/sam/.stamp .venv/stack/.stamp
# The CLI, which is built at its first use.
ORDERMILL := test -e "$${CARGO_TARGET_DIR:-target}/debug/ordermill" || echo "==> Building ordermill, once; that takes some minutes" >&2; \
	cargo run --quiet --package ordermill --
DOCUMENT := functions/site/assets/openapi.json
# Clippy compiles the tests, so that cargo compiles their dependencies once for both; `cargo clippy` would check all of them a second time.
# It takes its arguments from a variable, each with this ending. The functions are never built by it.
LINTED := env RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-Dwarnings__CLIPPY_HACKERY__
TESTS := $(LINTED) cargo test
# A stack in a directory and at ports of its own: $(call own_stack,directory,postgres,emulator,issuer).
own_stack = export STACK_DIR=.local/$(1) PG_PORT=$(or $(PG_PORT),$(2)) EMULATOR_PORT=$(or $(EMULATOR_PORT),$(3)) \
	ISSUER_PORT=$(or $(ISSUER_PORT),$(4)); $(STACK)
# `make test` starts a stack of its own, which disturbs no running one. Its cancel window is longer, so that a busy machine still
# cancels in time, and it announces ends on the emulator's own bus. Tests wait more than they compute, so more of them run at once
# than there are cores.
TEST_STACK := export SAM_PARAMETERS="CancelWindowSeconds=5 EventBus=default"; $(call own_stack,test,15442,4576,4577)
LOCALSTACK_STACK := $(call own_stack,localstack,15512,4646,4647)
PGBOUNCER_STACK := export PGBOUNCER_PORT=$(or $(PGBOUNCER_PORT),15533); $(call own_stack,pgbouncer,15532,4666,4667)
PGBOUNCER_TESTS := $(TESTS) -p tests --test integration --test pooling -- --include-ignored
SAM_STACK := $(call own_stack,sam,15522,4656,4657)
# An endpoint of the tests fulfils the orders and can fail them. The cancel window leaves time for a cancel.
BROWSER_STACK := export ENDPOINT_PORT=$(or $(ENDPOINT_PORT),4704); \
	export SAM_PARAMETERS="CancelWindowSeconds=6 Work=webhook WebhookUrl=http://127.0.0.1:$$ENDPOINT_PORT/ WebhookSecret=of-the-browser-tests"; \
	$(call own_stack,browser,15602,4702,4703)
REHEARSAL_STACK := $(call own_stack,rehearsal,15612,4712,4713)
CLIENTS_STACK := $(call own_stack,clients,15622,4722,4723)
FUZZ_STACK := $(call own_stack,fuzz,15542,4676,4677)
QUEUE_TESTS := processing:: sweeping:: fulfilling:: creating:: operating:: scheduling:: pausing:: fairness:: batching::

.DEFAULT_GOAL := help
.PHONY: help machine always deploy doc deny sbom run demo dev up down status logs token sample-data openapi clients doctor load tail test test-model test-on-stack test-waiting test-computing test-stack test-bare sam-local test-localstack test-pgbouncer test-browser chaos fuzz rehearsal bench rivals cost scaling format check lint contract build tools pins clean
.SILENT:

help: ## list the targets
	sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 24

run: $(LOCAL) ## start everything on this machine, process a sample order, stay until Ctrl-C
	$(STACK) run

demo: $(LOCAL) ## start everything, keep creating orders and open the dashboard, until Ctrl-C
	$(STACK) demo

dev: $(LOCAL) ## the inner loop: rebuild functions at each change and show their logs, until Ctrl-C
	$(STACK) dev

up: $(LOCAL) ## the same as `make run` in the background; .local/env has all addresses
	$(STACK) up

down: $(LOCAL) ## stop what `make up` or `make run` started; the data stays
	$(STACK) down

status: $(LOCAL) ## show which servers run, and where
	$(STACK) status

logs: $(LOCAL) ## print the latest lines of the functions' logs
	$(STACK) logs

token: $(LOCAL) ## print a token: make token USER=carol SCOPES="orders/read orders/write"
	USER_NAME="$(if $(filter command%,$(origin USER)),$(USER))" SCOPES="$(SCOPES)" $(STACK) token

sample-data: $(LOCAL) ## add a thousand orders in every state to the running stack
	$(STACK) sample-data

doctor: ## check the running stack, or: make doctor ARGS="--url https://… --token …"
	$(ORDERMILL) doctor $(ARGS)

load: ## create orders and follow each to its end: make load ORDERS=1000 CONCURRENCY=50
	$(ORDERMILL) load --orders $(or $(ORDERS),100) --concurrency $(or $(CONCURRENCY),10) $(ARGS)

tail: ## show orders as they change, or the life of one: make tail ORDER=order-1001
	$(ORDERMILL) tail $(ORDER) $(ARGS)

openapi: ## write functions/site/assets/openapi.json from the routes, and the page of problems from docs/api.md
	UPDATE_OPENAPI=1 $(TESTS) --quiet -p tests --test integration published_

test: ## check everything: format, lints, unit tests, integration tests on a stack of its own
	$(MAKE) --no-print-directory format
	$(MAKE) --no-print-directory -j3 check build tools lint test-stack
	export RUST_TEST_THREADS=$(or $(RUST_TEST_THREADS),8); $(MAKE) --no-print-directory -j2 test-model test-on-stack
	echo "==> Everything passed"

# Tests that wait for most of their time run beside all others, which would leave the cores idle at their end. Both need a stack.
WAITING := orders_survive_every_fault server_that_stands_still database_that_is_unreachable sweeper_with_a_backlog_stops \
	tail_and_export_name tail_outlasts_an_outage tail_of_an_order_has
test-waiting:
	$(TESTS) --quiet --workspace --test process --test short --test integration -- --include-ignored $(WAITING)

test-computing:
	$(TESTS) --workspace --exclude model --all-targets -- --include-ignored $(addprefix --skip ,$(WAITING))

test-on-stack:
	$(TEST_STACK) exec env -u MAKEFLAGS make --no-print-directory -j2 test-waiting test-computing

# The model needs no stack. It computes while the stack starts, which waits for most of its time, and yields to it.
test-model:
	nice $(TESTS) --package model --all-targets

test-stack: $(LOCAL) ## run the unit tests of tests/stack
	PYTHONPATH=tests .venv/stack/bin/python -m unittest discover --quiet --start-directory tests/stack --top-level-directory tests

test-bare: ## start the stack twice on a Debian with nothing but git, make, Python and Rust, as root and with sudo; needs root
	tests/stack/require.sh debootstrap
	tests/stack/bare.sh

test-browser: $(LOCAL) .venv/browser/.stamp ## use the dashboard in Chromium; BROWSER=install installs it
	if [ "$(BROWSER)" = install ]; then PYTHONPATH=tests .venv/stack/bin/python -c 'from stack import apt; apt.ensure("chromium", "chromium")'; fi
	tests/stack/require.sh chromium
	$(BROWSER_STACK) exec .venv/browser/bin/python -m pytest -q -rP -p no:cacheprovider tests/browser

clients: $(LOCAL) .venv/clients/.stamp .local/clients/typescript/.stamp ## call every operation with clients generated from the OpenAPI document, in Python and TypeScript
	$(CLIENTS_STACK) exec sh -c '.venv/stack/bin/python -m stack sample-data && $(NODE) tests/clients/run.sh'

chaos: $(LOCAL) ## inject every fault while 100,000 orders are processed; SHORT=1: all faults within a minute
	if [ -z "$(BINARIES)" ]; then $(STACK) build; fi
	cargo run --quiet -p chaos

bench: $(LOCAL) .venv/bench/.stamp .local/bench/queues/.stamp ## measure everything and write docs/performance.md; QUICK=1: within two minutes, without writing
	if [ -z "$(BINARIES)" ]; then $(STACK) build; fi
	cargo build --quiet --release -p probes --features shared/vendored
	$(MAKE) --no-print-directory rivals
	cargo run --quiet --profile driver -p bench

# The job queues in Rust that the drain is compared with, in their own workspace.
rivals:
	CARGO_TARGET_DIR=target/rivals cargo build --quiet --release --locked --manifest-path tests/bench/rivals/Cargo.toml

cost: ## calculate the cost of orders: make cost ORDERS=1000000 DELAY=5 BATCH=10, and LIST, WORK, EVENTS, REGION, ARCHITECTURE
	cargo run --quiet -p bench -- cost

scaling: ## simulate more and more orders a second with the times of `make bench`, and write the tables of docs/scaling.md
	cargo run --quiet -p bench -- scaling

fuzz: $(LOCAL) .venv/fuzz/.stamp ## call the service with input generated from its OpenAPI document: FUZZ_SECONDS=240 FUZZ_SEED=1
	$(FUZZ_STACK) exec sh -c '.venv/stack/bin/python -m stack sample-data && tests/stack/fuzz.sh'

rehearsal: $(LOCAL) ## release a broken version, roll it back while orders flow, and check that none is lost
	$(REHEARSAL_STACK) exec .venv/stack/bin/python -m stack rehearsal

deploy: .venv/sam/.stamp ## build and deploy to AWS as a new release: make deploy STAGE=prod PARAMETERS="MaxAttempts=7 …"
	PATH="$(CURDIR)/.venv/sam/bin:$$PATH" SAM_CLI_TELEMETRY=0 sam build
	PATH="$(CURDIR)/.venv/sam/bin:$$PATH" SAM_CLI_TELEMETRY=0 .github/deploy.sh $(or $(STAGE),dev) $(PARAMETERS)

sam-local: $(LOCAL) ## call every function in a container with sam local; DOCKER=install installs the engine
	$(SAM_STACK) sam-local

test-localstack: $(LOCAL) .venv/localstack/.stamp ## run the tests that use queues against LocalStack's
	$(LOCALSTACK_STACK) localstack $(TESTS) -p tests --test integration -- --include-ignored $(QUEUE_TESTS)

test-pgbouncer: $(LOCAL) .local/tools/bin/pgbouncer ## run the integration tests by way of PgBouncer in transaction mode, with prepared statements and without
	export SAM_PARAMETERS="CancelWindowSeconds=5 EventBus=default"; $(PGBOUNCER_STACK) exec $(PGBOUNCER_TESTS)
	export DATABASE_PREPARE=off SAM_PARAMETERS="CancelWindowSeconds=5 EventBus=default DatabasePrepare=off"; $(PGBOUNCER_STACK) exec $(PGBOUNCER_TESTS)

format: machine
	cargo fmt --all --check

check: format ## check the Rust code's format and lints, and compile its tests
	echo "==> Checking the lints of the Rust code, and compiling its tests"
	$(TESTS) --quiet --workspace --all-targets --no-run
	$(TESTS) --quiet --workspace --test pooling --no-run

lint: $(LOCAL) contract .local/lint/.stamp ## check the SAM template, its security too, the workflows, the Python code and the OpenAPI document
	echo "==> Checking the Python code"
	$(SAM) ruff check --quiet
	$(SAM) ruff format --quiet --diff

# These checks take a minute, and read nothing but these files.
.local/lint/.stamp: template.yaml samconfig.toml .cfnlintrc .checkov.yaml $(wildcard .github/* .github/*/*) .venv/lint/.stamp .venv/sam/.stamp
	echo "==> Checking template.yaml and the workflows"
	mkdir -p $(@D)
	$(SAM) sam validate --lint
	$(SAM) cfn-lint
	# checkov succeeds, and checks nothing, if it can't read the template: it refuses a key that overrides one of a merge. It also
	# succeeds if no check is for the file. Both print no passed check.
	.venv/lint/bin/checkov --config-file .checkov.yaml >$(@D)/checkov && grep --quiet "Passed checks: [1-9]" $(@D)/checkov || { cat $(@D)/checkov; exit 1; }
	.venv/lint/bin/zizmor --quiet --offline --strict-collection .github
	.venv/lint/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	touch $@

contract: .local/contract/.checked ## check the OpenAPI document: two linters, examples included, and the comparison with the last release's

.local/contract/.checked: $(DOCUMENT) CHANGELOG.md $(wildcard tests/contract/*) .local/contract/.stamp
	echo "==> Checking the OpenAPI document, also against the last release's"
	$(NODE) node --test --test-reporter=dot tests/contract/breaking.test.mjs >.local/contract/log || { cat .local/contract/log; exit 1; }
	$(NODE) node tests/contract/compare.mjs
	$(NODE) redocly lint --config tests/contract/redocly.yaml $(DOCUMENT) >.local/contract/log 2>&1 || { cat .local/contract/log; exit 1; }
	$(NODE) spectral lint --quiet --fail-severity hint --ruleset tests/contract/spectral.yaml $(DOCUMENT)
	touch $@

doc: machine ## build the documentation of the Rust code; a warning is an error
	RUSTDOCFLAGS=-Dwarnings cargo doc --quiet --no-deps --workspace --document-private-items

deny: .local/tools/bin/cargo-deny ## check the dependencies against .deny.toml: licences, sources, duplicates
	.local/tools/bin/cargo-deny --locked check licenses bans sources

sbom: .local/tools/bin/cargo-cyclonedx ## write a bill of materials of each function into .local/sbom
	rm -rf .local/sbom && mkdir -p .local/sbom
	$< cyclonedx --quiet --format json --describe binaries --all-features --target x86_64-unknown-linux-gnu
	for function in api processor sweeper migrate site; do mv functions/$$function/$${function}_bin.cdx.json .local/sbom/$$function.json || exit; done
	find cli functions shared tests -name '*.cdx.json' -delete
	ls .local/sbom/*.json

.local/tools/bin/pgbouncer: tests/stack/pgbouncer.sh
	tests/stack/pgbouncer.sh

# Optimised little, because they are built to be run once.
.local/tools/bin/%:
	tests/stack/require.sh cargo
	echo "==> Installing $* into .local/tools, which takes some minutes"
	cargo install --quiet --debug --locked --root .local/tools $*@$($*_VERSION)

cargo-deny_VERSION := 0.20.2
cargo-cyclonedx_VERSION := 0.5.9

build: $(LOCAL) ## build the functions as they are deployed (sam build)
	$(STACK) build

tools: $(LOCAL) .venv/lint/.stamp .venv/clients/.stamp ## install the pinned Python tools of `make test` into .venv

# A package that was pinned before keeps its version if it can.
pins: .venv/stack/.stamp ## write the lists of pinned Python packages with their hashes after a change of a requirements*.in; UPGRADE=1: newest dependencies
	for list in $(basename $(wildcard tests/stack/requirements-*.in tests/bench/baseline/requirements.in)); do \
		.venv/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
			--custom-compile-command "make pins" $(if $(UPGRADE),--upgrade) --output-file $$list.txt $$list.in || exit; \
	done

always:

# Checks first that the machine has every program that the other targets need; apt installs missing ones.
machine:
	tests/stack/require.sh python3
	PYTHONPATH=tests python3 -m stack.machine

# The script installs only what is missing, of other pins or of another Python.
.venv/bench/.stamp: tests/bench/baseline/requirements.txt always | machine
	tests/stack/make_venv.sh .venv/bench $<

# The job queues in JavaScript that the drain is compared with; without npm only a run that writes nothing leaves them out.
.local/bench/queues/.stamp: $(wildcard tests/bench/baseline/queues/*)
	mkdir -p $(@D)
	cp $^ $(@D)
	if command -v npm >/dev/null; then cd $(@D) && npm ci --silent --no-audit --no-fund; fi
	touch $@

.local/clients/typescript/.stamp: $(wildcard tests/clients/typescript/*) .venv/node/.stamp
	mkdir -p $(@D)
	cp $(wildcard tests/clients/typescript/*) $(@D)
	cd $(@D) && $(NODE) npm ci --silent --no-audit --no-fund
	touch $@

.local/contract/.stamp: tests/contract/package.json tests/contract/package-lock.json .venv/node/.stamp
	mkdir -p $(@D)
	cp tests/contract/package*.json $(@D)
	echo "==> Installing the pinned linters of the OpenAPI document into $(@D)"
	cd $(@D) && $(NODE) npm ci --silent --no-audit --no-fund --ignore-scripts
	touch $@

.venv/%/.stamp: tests/stack/requirements-%.txt always | machine
	tests/stack/make_venv.sh .venv/$* $<

clean: ## stop everything, delete all build results and all local data
	PYTHONPATH=tests python3 -m stack.stopping
	rm -rf .aws-sam .venv target
