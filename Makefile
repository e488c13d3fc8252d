# Two commands do everything: `make book` and `make test`. `make` alone lists the steps inside them.
#
#   PYTHON    interpreter for .venv     (default: the first of python3.12, python3.11, python3 that works)
#   PIP_ARGS  more arguments for pip    (for example an index of CPU-only builds of torch)
#   PORT      port of `make serve`

PYTHON ?= $(shell for python in python3.12 python3.11 python3; do \
  $$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
    && echo $$python && break; done)
PIP_ARGS ?=
PORT ?= 8000

# Every page starts a Python of its own: they find PyTorch compiled to bytecode by the first of them.
unexport PYTHONDONTWRITEBYTECODE

# Run a tool of the environment; notebooks find its commands too.
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH"
READY := .venv/.ready
TRITON := 3.9.0
NOTEBOOKS = $(shell grep -rl --include='*.md' '^ *format_name: myst' book)
# What the results on a page depend on, besides the page itself.
SOURCES := $(shell find tnnlab data -type f ! -name '*.pyc' 2>/dev/null) constraints.txt

.PHONY: help setup vendor pages book pdf serve lint pairs unit kernels browser notebooks checks test format clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## create .venv with the pinned versions

# The stamp is the last thing written: without it the environment is made anew from nothing.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found. Name one: make setup PYTHON=/path/to/python3"; exit 1; }
	test -f $@ || $(PYTHON) -m venv --clear .venv
	rm -f $@
	.venv/bin/python -m pip install --no-compile $(PIP_ARGS) -c constraints.txt -e '.[book,train,dev]'
	touch $@

vendor: $(READY) ## fetch MathJax (the book does so itself); axe and Lighthouse for its tests
	@$(RUN) python book/_ext/vendor.py _build/vendor --dev

pages: $(READY) ## after editing a page: write its install cell and its .ipynb
	$(RUN) python book/_ext/pages.py
	$(RUN) jupytext --quiet --to ipynb --update $(NOTEBOOKS)

# Pages are executed again when they change; all of them when the package or the results do.
_build/.sources: $(SOURCES)
	rm -rf _build/.jupyter_cache _build/.doctrees
	@mkdir -p _build
	touch $@

# One thread: timings that others' work disturbs less, and no threads that wait for each other
# beside the unit tests. A page that failed must fail again next time: without its doctree Sphinx
# reads it anew.
book: $(READY) _build/.sources ## execute the notebooks and render the book to _build/html
	@$(RUN) OMP_NUM_THREADS=1 jupyter-book build book --config _config.yml --path-output . -W -n \
	  --keep-going \
	  || { rm -rf _build/.doctrees; exit 1; }
	@echo "The book is ready: $(CURDIR)/_build/html/index.html"

pdf: book ## print the rendered book to _build/tnnlab.pdf; needs a Chromium and some minutes
	@$(RUN) python book/_ext/pdf.py _build/html _build/tnnlab.pdf
	@echo "The book on paper: $(CURDIR)/_build/tnnlab.pdf"

serve: ## serve the rendered book on 127.0.0.1:PORT
	@test -f _build/html/index.html || $(MAKE) book
	@echo "http://127.0.0.1:$(PORT)/ (Ctrl-C stops)"
	@$(RUN) python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

lint: $(READY) ## ruff on code and notebooks, pyright on the package
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) pyright --pythonpath .venv/bin/python

pairs: $(READY) ## is every .ipynb the conversion of its .md?
	$(RUN) pytest tests/book/test_pairs.py

unit: $(READY) ## unit tests and the examples in docstrings
	$(RUN) OMP_NUM_THREADS=1 pytest -n auto --maxprocesses 8 tests tnnlab --ignore tests/browser

# Triton stays out of the environment: there is no GPU to compile for, and it is large.
_build/triton-$(TRITON): $(READY)
	$(RUN) python -m pip install --quiet --no-deps --no-compile --target $@ triton==$(TRITON)

kernels: $(READY) _build/triton-$(TRITON) ## GPU kernels on a CPU: Triton's interpreter (300 MB to fetch)
	$(RUN) OMP_NUM_THREADS=1 TRITON_INTERPRET=1 PYTHONPATH=_build/triton-$(TRITON) \
	  pytest -n 2 tests/ops/test_interpreted.py

browser: book vendor ## the rendered book in a Chromium, where one is found
	$(RUN) pytest -n 2 tests/browser

notebooks: $(READY) ## run every notebook of the book as a test
	$(RUN) OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=300 book

checks: lint unit

# The book builds beside the linters and unit tests: each by itself leaves a core idle.
test: $(READY) ## everything that is checked
	@$(MAKE) --no-print-directory -j 2 --output-sync=target book checks
	@$(MAKE) --no-print-directory browser
	@$(MAKE) --no-print-directory notebooks

format: pages ## let ruff mend and format code and pages
	$(RUN) ruff check --fix --exit-zero --quiet .
	$(RUN) ruff format .
	$(RUN) python book/_ext/format_cells.py $(NOTEBOOKS)

clean: ## remove the rendered book and caches; .venv stays
	rm -rf _build .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
