# Every target does its own set-up: a virtual environment in .venv, made once.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TEST_READY := $(VENV)/.test-ready
OLD_ENGINE := .venv-duckdb15
OLD_CLIENT := .venv-mcp130

.PHONY: help demo test test-new test-old-engine lint bench format contract clean

help:
	@echo "make demo     walk one real question through a real server"
	@echo "make test     lint, types and the whole test suite"
	@echo "make bench    the numbers, each against the same work done straight"
	@echo "make format   format the code"
	@echo "make contract accept a change of the tools' contract"

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
	@# Where Python is told to write no bytecode, every start would compile every module.
	$(BIN)/python -m compileall -q idc_mcp
	@touch $@

$(TEST_READY): $(READY)
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(OLD_ENGINE)/.ready: pyproject.toml
	$(PYTHON) -m venv $(OLD_ENGINE)
	$(OLD_ENGINE)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(OLD_ENGINE)/bin/python -m pip install --quiet --editable . 'duckdb>=1.5,<2' pytest pytest-timeout pytest-xdist hypothesis
	@touch $@

$(OLD_CLIENT)/.ready:
	$(PYTHON) -m venv $(OLD_CLIENT)
	$(OLD_CLIENT)/bin/python -m pip install --quiet 'mcp==1.30.0'
	@touch $@

demo: $(READY)
	$(BIN)/idc-mcp demo

test: lint test-new test-old-engine

test-new: $(TEST_READY) $(OLD_CLIENT)/.ready
	IDC_MCP_OLD_CLIENT=$(abspath $(OLD_CLIENT)/bin/python) $(BIN)/python -m pytest -n 2 --dist loadgroup

test-old-engine: $(OLD_ENGINE)/.ready
	$(OLD_ENGINE)/bin/python -m pytest -n 2 tests/index

lint: $(TEST_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(TEST_READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(TEST_READY)
	$(BIN)/python -m benchmarks

contract: $(TEST_READY)
	$(BIN)/python -m pytest tests/test_contract.py --accept-contract

clean:
	rm -rf $(VENV) $(OLD_ENGINE) $(OLD_CLIENT) tests/.cache
