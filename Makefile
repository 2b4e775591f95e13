# `make` alone prints what there is. Everything happens in .venv, which is made when it is missing.
PYTHON ?= python3
VIDEO ?= src/lip2wav_hf/assets/sample.mp4
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL ?= $(PIP) install
BASE := $(VENV)/.installed-base
DEV := $(VENV)/.installed-dev
CHECKERS := $(VENV)/.installed-checkers
METADATA := setup.cfg pyproject.toml
SOURCES := $(shell find src -type f -not -path '*/__pycache__/*' -not -path '*.egg-info/*')

# Nothing here may ask the Hub for anything: the default checkpoint is part of the package.
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help demo install fuzz audit test extras oldest quality style clean
.PHONY: demo-app browser sound test-browser gallery docs docs-serve

help:  ## list the targets (default)
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1	/' | expand -t 21
	@echo
	@echo "  PYTHON=python3.12 chooses the interpreter that makes .venv (3.11 or newer; default python3)."
	@echo "  JOBS=4 runs the tests in four processes (default 2)."

demo: $(BASE)  ## speak the bundled sample, or VIDEO=my.mp4, into out/speech.{wav,mp4,png}
	@mkdir -p out
	@$(BIN)/lip2wav speak "$(VIDEO)" -o out/speech.wav -o out/speech.mp4 --plot out/speech.png --overwrite

install: $(DEV)  ## make .venv with all that development needs

# glibc returns large arrays at once, and the system clears each page of the next one: a sixth of an adaptation.
KEEP_MEMORY := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000 MALLOC_TOP_PAD_=67108864

# One thread per process, OpenCV's included: two processes that compute on all cores each wait for one another.
test: $(DEV)  ## run all tests (PYTEST_ARGS="-m 'not slow'" is passed on to pytest)
	$(KEEP_MEMORY) OMP_NUM_THREADS=1 OPENCV_FOR_THREADS_NUM=1 $(BIN)/python -m pytest -n $(JOBS) \
		--dist loadfile --no-loadscope-reorder --durations 25 $(PYTEST_ARGS)

fuzz: $(DEV)  ## feed damaged files to everything that reads files, for SECONDS=600
	cd tests && OMP_NUM_THREADS=1 PYTHONPATH=. nice ../$(BIN)/python -m fuzz --seconds $(or $(SECONDS),600) $(FUZZ_ARGS)

# A lookup that leaves something out is no audit: --strict. Of what is installed here, in the versions that are.
audit: $(DEV)  ## look the installed versions up in PyPI's list of known vulnerabilities (needs the network)
	@mkdir -p out
	$(BIN)/python -m pip freeze --exclude-editable > out/installed.txt
	$(BIN)/python -m venv out/audit && out/audit/bin/python -m pip install --quiet pip-audit
	out/audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r out/installed.txt

extras: $(BIN)/python  ## install the package with each extra alone and let it work (in out/extras)
	$(BIN)/python .ci/extras.py

oldest:  ## install the oldest versions that setup.cfg allows and run the core tests (in out/oldest)
	PYTHON="$(PYTHON)" .ci/oldest

demo-app: $(DEV)  ## serve the demo page on http://127.0.0.1:7860 (DEMO_ARGS="--port 8000" is passed on)
	$(BIN)/python demo/app.py $(DEMO_ARGS)

browser:  ## install Debian's Chromium, which the tests of the page need (as root, through apt)
	@command -v chromium > /dev/null || { apt-get update && apt-get install --yes --no-install-recommends chromium; }

sound:  ## install the sound server that tests of `lip2wav live` play on (Debian, as root, through apt)
	@command -v pulseaudio > /dev/null && command -v parec > /dev/null || { apt-get update && apt-get install --yes \
		--no-install-recommends pulseaudio pulseaudio-utils libasound2-plugins libportaudio2; }

test-browser: $(DEV)  ## test the demo page in Chromium; screenshots go to out/browser
	$(BIN)/python -m pytest tests/browser $(PYTEST_ARGS)

# Two faces, two sentences each; rendered anew only if the folder is not there.
gallery: $(DEV)  ## build a page of synthetic faces, spoken by the bundled model, into out/gallery
	@[ -e out/faces/splits.json ] || $(BIN)/python -m lip2wav_hf.synthetic corpus out/faces \
		--speakers synthetic1 synthetic3 --sentences 2
	$(BIN)/lip2wav gallery --data out/faces -o out/gallery --overwrite

docs: $(DEV)  ## build the documentation into out/docs (open out/docs/index.html)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: $(DEV)  ## show the documentation on http://127.0.0.1:8000, rebuilt as it is edited
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

# Types are those that the libraries of the development environment declare: without it, only style is checked.
quality: $(CHECKERS)  ## check style, format and types without changing anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@if [ -e $(DEV) ]; then echo $(BIN)/ty check; $(BIN)/ty check; else echo "types are not checked: make install first"; fi

style: $(CHECKERS)  ## put style and format right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove .venv, builds, caches and out/
	rm -rf $(VENV) build dist src/*.egg-info out .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $(PYTHON) is missing or older than 3.11: call make with PYTHON=…" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install "setuptools>=77"

# A plain install for the demo. Where the editable install of `make test` is there already, that one serves.
# Without build isolation nothing is downloaded when only the sources have changed.
$(BASE): $(METADATA) $(SOURCES) | $(BIN)/python
	@if [ -e $(DEV) ]; then $(MAKE) --no-print-directory $(DEV); \
	else rm -rf build && $(PIP) install --no-build-isolation . && rm -rf build; fi
	@touch $@

# With build isolation: pesq has no wheel and needs numpy to be built.
$(DEV): $(METADATA) | $(BIN)/python
	$(INSTALL) --editable ".[dev]"
	@touch $@

$(CHECKERS): $(METADATA) | $(BIN)/python
	$(PIP) install $$(sed -nE 's/^ *((ruff|ty)[<>=].*)/\1/p' setup.cfg)
	@touch $@
