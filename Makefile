# Everything from a fresh machine: `make demo` and `make test` create .venv and install into it when needed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SHARED ?= ../shared

.PHONY: install demo test lint typecheck bench clean

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

demo: $(INSTALLED)
	$(BIN)/python -m dfa_nerfstudio.demo.walkthrough --output outputs/demo

test: $(INSTALLED) typecheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest

lint: $(INSTALLED) typecheck
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Type checkers do not follow setuptools' package-dir: a copy as it is installed is checked.
typecheck: $(INSTALLED)
	rm -rf build
	$(BIN)/python -m pip install --quiet --no-deps --target build/typecheck .
	$(BIN)/basedpyright

# Needs the real clips in $(SHARED)/clips; writes benchmarks/.
bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.run --shared $(SHARED) $(BENCH)

clean:
	rm -rf $(VENV) outputs build *.egg-info
