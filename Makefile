# Every target sets up what it needs, from Python 3.11+, make and git alone.
PYTHON ?= python3
BIN := .venv/bin
SYNCED := .venv/.synced
# A mirror of the data sets, if one is at hand; without it the Hub is asked.
OPTORACE_DATA ?= $(wildcard $(CURDIR)/../shared/data)
export OPTORACE_DATA

.PHONY: setup bench test check fix wheel clean

setup: $(SYNCED)

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; call: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(SYNCED): pyproject.toml uv.lock | $(BIN)/uv
	@$(BIN)/uv sync --quiet --frozen --project . 2>/dev/null \
	  || $(BIN)/uv sync --quiet --frozen --project . --system-certs  # behind a company's own certificates
	@touch $@

bench: $(SYNCED)          ## race five optimizers on the embedded model; the table goes to results/quick
	@$(BIN)/optorace run benchmarks/quick.toml --out results/quick

test: $(SYNCED)           ## the whole test suite; fetches the embedded model's weights once
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(SYNCED)          ## format, lint, types, who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

fix: $(SYNCED)            ## format, and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: $(SYNCED)          ## build the wheel, install it beside a foreign tasks.py, run a task from it
	bash tests/wheel.sh

clean:
	rm -rf .venv dist results
