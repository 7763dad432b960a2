# Every target does its own set-up: a virtual environment in .venv, made once.
PYTHON ?= $(or $(shell command -v python3.11 || command -v python3.12 || command -v python3.13),python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TEST_READY := $(VENV)/.test-ready
OLD_ENGINE := .venv-duckdb15
OLD_CLIENT := .venv-mcp130

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
MCPB ?= npx --yes @anthropic-ai/mcpb@2.1.2
CLAUDE ?= claude
CLAUDE_HOME := $(or $(CLAUDE_CONFIG_DIR),$(HOME)/.claude)

.PHONY: help demo claude-code test test-new test-old-engine lint bench format contract dist mcpb clean

help:
	@echo "make demo         walk one real question through a real server"
	@echo "make claude-code  give Claude Code the server and the skill, for you"
	@echo "make test         lint, types and the whole test suite"
	@echo "make bench        the numbers, each against the same work done straight"
	@echo "make format       format the code"
	@echo "make contract     accept a change of the tools' contract"
	@echo "make dist         the wheel and the sdist, in dist/"
	@echo "make mcpb         the bundle for desktop clients, in dist/ (needs npx)"

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

# Run again it changes nothing. From /, where no project's own configuration comes first.
claude-code: $(READY)
	@command -v $(CLAUDE) >/dev/null || { echo "There is no command $(CLAUDE): install Claude Code first."; exit 1; }
	@$(BIN)/idc-mcp build
	@server="$(abspath $(BIN))/idc-mcp"; add="$$("$$server" config claude-code)" && cd / \
	  && { $(CLAUDE) mcp get idc 2>/dev/null | grep -qF "$$server" || eval "$$add" \
	  || { echo 'Is another server called idc? "$(CLAUDE) mcp get idc" tells.'; exit 1; }; }
	@$(BIN)/idc-mcp skill export "$(CLAUDE_HOME)/skills" --replace
	@echo 'Ready. Start "claude" and ask, for example: Which chest CT of IDC may I use commercially?'

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

dist: $(TEST_READY)
	$(BIN)/python -m build

mcpb:
	rm -rf dist/mcpb
	mkdir -p dist/mcpb
	cp -R pyproject.toml README.md LICENSE idc_mcp skill mcpb/manifest.json mcpb/server.py dist/mcpb
	find dist/mcpb -name __pycache__ -prune -exec rm -rf {} +
	$(MCPB) validate dist/mcpb/manifest.json
	$(MCPB) pack dist/mcpb dist/idc-mcp-$(VERSION).mcpb

clean:
	rm -rf $(VENV) $(OLD_ENGINE) $(OLD_CLIENT) tests/.cache dist
