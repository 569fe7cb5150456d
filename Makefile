# Everything from a fresh machine: `make demo` and `make test` create .venv and install into it when needed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SHARED ?= ../shared

.PHONY: install demo test fuzz lint typecheck docs bench licences clean

install: $(INSTALLED)

# mediapipe asks for opencv-contrib-python, nerfstudio for opencv-python-headless; both unpack the same `cv2`, and the
# first one's needs libGL. The headless one goes on top, so that no system library is needed.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps --constraint constraints.txt opencv-python-headless
	$(BIN)/python -m pip check
	touch $@

# The whole way on the demo subject, then what it reached.
DEMO := outputs/demo
RUN := $(DEMO)/person/runs/dfa-nerf-lite/run
demo: $(INSTALLED)
	rm -rf $(DEMO)
	$(BIN)/dfa-demo make-clip --output $(DEMO)/clip.mp4
	$(BIN)/dfa-demo driving-audio --output $(DEMO)/speech.wav
	$(BIN)/dfa-make $(DEMO)/clip.mp4 --audio $(DEMO)/speech.wav --output $(DEMO)/person \
		--process.size 128 --train.method dfa-nerf-lite --train.minutes 3
	$(BIN)/ns-eval --load-config $(RUN)/config.yml --output-path $(DEMO)/eval.json
	$(BIN)/dfa-demo summary $(DEMO)

# A test process per core, each with one thread.
test: $(INSTALLED) typecheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile

# The property tests of tests/fuzz, of which `make test` runs a few examples, for ten minutes in all: damaged files to the
# readers, round trips, streams in any chunks. The same seed gives the same examples; another one, others.
FUZZ_SECONDS ?= 600
FUZZ_SEED ?= 0
fuzz: $(INSTALLED)
	OMP_NUM_THREADS=1 FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) $(BIN)/pytest tests/fuzz

lint: $(INSTALLED) typecheck
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Type checkers do not follow setuptools' package-dir: a copy as it is installed is checked.
typecheck: $(INSTALLED)
	rm -rf build
	$(BIN)/python -m pip install --quiet --no-deps --target build/typecheck .
	$(BIN)/basedpyright

# The documentation, into docs/_build/html. A warning is an error.
docs: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --nitpicky docs docs/_build/html

# Needs the real clips in $(SHARED)/clips; writes benchmarks/.
bench: $(INSTALLED)
	$(BIN)/python -m benchmarks $(BENCH) --shared $(SHARED)

# The licences of everything that is installed: writes docs/licences.md, and refuses the GPL.
licences: $(INSTALLED)
	$(BIN)/python docs/licences.py

clean:
	rm -rf $(VENV) outputs build docs/_build *.egg-info
