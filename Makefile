# The commands of the project. Each target first creates .venv from the locked requirements if it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
UNIT_TESTS := tests/test_imports.py tests/docs tests/examples tests/load tests/reports tests/verifier

.PHONY: help demo check style test scorecard bench bench-load deps docs proto lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(VENV)/ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(VENV)/ready ## a platform moves to OpenIM and is broken on purpose; two verdict tables and an HTML report
	$(BIN)/python -m fixtures demo

style: $(VENV)/ready ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: style ## style, types, import rules, and the unit tests that need no server
	$(BIN)/pytest $(UNIT_TESTS) --quick --numprocesses $(WORKERS) --quiet

test: style ## the same, and every test on real servers
	$(BIN)/pytest tests suites --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

scorecard: $(VENV)/ready ## every known breach, look-alike and unknowable under traffic: what was found, and what was not
	$(BIN)/python -m suites.scorecard $(ARGS)

bench: $(VENV)/ready ## how fast the OpenIM double is, beside a bare echo server
	$(BIN)/python -m fixtures.bench

bench-load: $(VENV)/ready ## how fast the load generator is, beside k6 (on the PATH, or K6=…) and plain locust
	$(BIN)/python -m load.bench
	$(BIN)/python -m load.bench.judge

deps: ## the servers that the tests take from Debian, RabbitMQ first (their services are kept from starting)
	sh fixtures/install-packages.sh

docs: $(VENV)/ready ## regenerate the reference pages
	$(BIN)/python -m verifier.commands.reference docs
	$(BIN)/python -m suites.contract.openim.document docs

proto: $(VENV)/ready ## generate the messages anew from their .proto files
	$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. $(wildcard fixtures/wire/*.proto)

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -q -o requirements/verifier.txt
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -q -o requirements/dev.txt

clean: ## end what was left running, and remove what was made
	-$(BIN)/python -m fixtures down
	rm -rf $(VENV) .stack reports/out
