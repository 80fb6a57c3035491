# Every target sets up what it needs: Python 3.11 or newer, and make, are enough.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test test-long test-tools check docs man dist format clean lock container bench bench-workers fuzz fuzz-proof kills load

demo: $(READY)  ## the whole workflow in the embedded AWS
	@$(BIN)/cml-iam demo

test: $(READY)  ## the tests, in under five minutes
	@$(BIN)/python -m pytest -n auto --dist loadfile -m "not long and not tools"

test-long: $(READY)  ## the tests that take longest: kills, Terraform, every command under policies
	@$(BIN)/python -m pytest -n auto --dist loadfile -m "long and not tools"

check: $(READY) docs  ## format, lint, types, layers, and the docs site
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(READY)  ## the docs site in build/site; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

man: $(READY)  ## a man page for cml-iam and one for each command group, in build/man
	@$(BIN)/python docs/site/man.py build/man

dist: $(READY)  ## the source distribution and the wheel, in dist
	@rm -rf dist
	@$(BIN)/python -m hatchling build

test-tools: $(READY)  ## the tests that run other programs: installs the programs, and skips nothing
	@ci/tools.sh $(BIN)
	@marks=tools; command -v terraform >/dev/null || { marks="tools and not terraform"; \
		echo "NOT RUN: the tests with Terraform, which is not installed" >&2; }; \
	CML_IAM_NO_SKIP=1 PATH="$(CURDIR)/build/tools/bin:$$PATH" \
		$(BIN)/python -m pytest -n auto --dist loadfile -m "$$marks"

container: $(READY)  ## build the image, and run it with podman as compose does; installs podman
	@ci/container.sh $(BIN)/pip
	@CML_IAM_CONTAINER=1 CONTAINERS_CONF=$(CURDIR)/build/containers.conf \
		$(BIN)/python -m pytest tests/deploy/test_container.py

format: $(READY)  ## format the sources
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Long runs. The tests do smaller ones. COUNT=… and PAIRS=… set other sizes.
COUNT ?= 1000000

bench: $(READY)  ## the engine's cost as policies grow; compared with other engines by PEERS=FOLDER
	@$(BIN)/python benchmarks/engine/growth.py
	@$(BIN)/python benchmarks/prove/growth.py
	@if [ -n "$(PEERS)" ]; then $(BIN)/python benchmarks/engine/run.py --peers "$(PEERS)"; fi

load: $(READY)  ## the service's memory under 200 requests a second for a minute
	@$(BIN)/python benchmarks/serve/load.py

bench-workers: $(READY)  ## fleet listing compared with the application's original calls; ten minutes
	@$(BIN)/python benchmarks/workers/run.py

fuzz: $(READY)  ## mutated policies and random decisions; workers and lint under mutation
	@$(BIN)/python fuzz/engine.py $(COUNT)
	@$(BIN)/python fuzz/worker_faults.py 10000
	@$(BIN)/python -m tests.engine.differential $(COUNT)
	@$(BIN)/python fuzz/lint_mutants.py 10000
	@PYTHONPATH=. $(BIN)/python fuzz/lint_fixes.py 10000
	@PYTHONPATH=. $(BIN)/python fuzz/lint_claims.py 10000

PAIRS ?= 100000

fuzz-proof: $(READY)  ## random pairs of policies, each proof attacked by 1,000 requests; sites; contradictions
	@PYTHONPATH=. $(BIN)/python fuzz/promises.py 200
	@$(BIN)/python fuzz/sequences.py 1000
	@$(BIN)/python fuzz/shapes.py 10000
	@$(BIN)/python fuzz/differences.py $(PAIRS)
	@$(BIN)/python fuzz/proof.py $(PAIRS)
	@PYTHONPATH=. $(BIN)/python fuzz/contradictions.py 20 1500

kills: $(READY)  ## ten thousand rotations killed by SIGKILL, ten thousand under faults
	@$(BIN)/python -m tests.credentials.kill_harness 10000
	@$(BIN)/python -m tests.credentials.fault_harness 10000

clean:  ## remove everything that make created
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: $(READY)  ## pin the dependencies again
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes \
		--no-header --no-annotate --python-version 3.11 \
		--extra dev pyproject.toml --output-file requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes \
		--no-header --no-annotate --python-version 3.11 \
		--constraint requirements/dev.txt pyproject.toml --output-file requirements/run.txt

# Pinned and hashed, so that every install is the same.
$(READY): pyproject.toml requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12" >&2; exit 1; }
	@echo "setting up $(VENV) (once)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes \
		--requirement requirements/dev.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@touch $@
