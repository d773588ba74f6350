# Moreish. `make` alone lists what there is. Needs make (GNU 3.81 or newer) and Python 3.11 or newer; each target does
# its own set-up in .venv, once, and again when pyproject.toml, the constraints or the settings below change.

# Settings, kept with .venv until others are named: make PYTHON=python3.12 test
PYTHON = python3 python3.14 python3.13 python3.12 python3.11
CONSTRAINTS = constraints.txt
VENV_FLAGS =

N = 2
ARGS =
NAMES ?= ../shared/data/names.txt

# .venv remembers its settings, and by a checksum the folder it was made in (an editable install knows no other).
# Asked for others, or moved, it is made anew.
-include .venv/settings.mk
HERE := $(shell pwd -P | cksum)
ASKED = $(PYTHON) | $(CONSTRAINTS) | $(VENV_FLAGS) | $(HERE)
ifdef MADE
ifneq ($(MADE),$(ASKED))
ANEW = anew
endif
endif

.NOTPARALLEL:
.PHONY: help demo test check bench quality docs clean anew

help:
	@echo 'make demo    see it at work: a guided demonstration in the terminal'
	@echo 'make test    run the tests (N=2 at once; ARGS="-k reading" for some of them)'
	@echo 'make check   ruff (rules and format) and pyright'
	@echo 'make bench   measure speed against the references; writes out/bench.json (NAMES=names.txt)'
	@echo 'make quality learn what the tables of quality say, once, and print them; ARGS="--only gru" for some of it'
	@echo 'make docs    write docs/commands.md, docs/input.md, docs/losses.md, docs/doctor.md and the README'\''s pictures again'
	@echo 'make clean   remove .venv, caches and out/; never runs/'
	@echo 'Settings: PYTHON=python3.12   CONSTRAINTS= (no pins)   VENV_FLAGS=--system-site-packages (a torch you have)'

demo: .venv/ready-demo
	@.venv/bin/moreish demo

# One thread a worker: two workers with two threads each get in one another's way.
test: .venv/ready-test
	@OMP_NUM_THREADS="$${OMP_NUM_THREADS:-1}" .venv/bin/python -m pytest -n $(N) $(ARGS)

check: .venv/ready-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright

# One thread on one core, where the system can pin a process to it.
bench: .venv/ready-test
	@mkdir -p out
	@pin=; if taskset -c 0 true 2>/dev/null; then pin='taskset -c 0'; fi; \
	NAMES='$(NAMES)' OMP_NUM_THREADS=1 $$pin .venv/bin/python bench/run.py $(ARGS)

# Not pinned: two of them, given different rows or not, can run side by side on two cores.
quality: .venv/ready-test
	@NAMES='$(NAMES)' OMP_NUM_THREADS=1 .venv/bin/python bench/quality.py $(ARGS)

docs: .venv/ready-test
	@mkdir -p out
	.venv/bin/python -m moreish.faces.cli.reference > out/commands.md && mv out/commands.md docs/commands.md
	.venv/bin/python -m moreish.explaining.losses.page > out/losses.md && mv out/losses.md docs/losses.md
	.venv/bin/python -m moreish.faces.doctor > out/doctor.md && mv out/doctor.md docs/doctor.md
	.venv/bin/python tests/text/bad_lists.py > out/input.md && mv out/input.md docs/input.md
	.venv/bin/python docs/pictures.py

clean:
	rm -rf .venv out build dist .pytest_cache .hypothesis .ruff_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up. `demo` installs what the program needs and the extra `plots`, `test` the extra `dev` as well.
# .venv/setting-up holds the process at work: left behind by an interrupted set-up, it has .venv made anew. A set-up
# that pip itself gave up (no network, say) leaves no such mark, and .venv as it was.
EXTRAS_demo = [plots]
EXTRAS_test = [dev,plots]
PIP = .venv/bin/python -m pip --disable-pip-version-check
PINS = $(if $(CONSTRAINTS),-c '$(CONSTRAINTS)')
FIT = import sys; sys.version_info < (3, 11) and sys.exit(3); import venv, ensurepip
BASE = import sys; print(sys._base_executable)
VERSION = import platform; print(platform.python_version())
HAS_TORCH = import importlib.metadata as m; m.version("torch")

.venv/bin/python: # no recipe: where it is gone, or a link to a Python that is gone, the set-up runs

.venv/ready-demo .venv/ready-test: .venv/ready-%: pyproject.toml $(CONSTRAINTS) .venv/bin/python $(ANEW)
	@trap 'exit 130' HUP INT TERM; \
	stop() { echo "$$*" >&2; exit 1; }; \
	give_up() { rm -f .venv/setting-up; stop "The set-up stopped where pip says above. Mend that and run make $* again."; }; \
	other=$$(cat .venv/setting-up 2>/dev/null); \
	if kill -0 "$$other" 2>/dev/null; then \
	  stop "Another make (process $$other) is setting up .venv. Run make $* again when it has ended."; \
	fi; \
	if [ -f .venv/setting-up ] || ! .venv/bin/python -c '$(FIT); import pip' 2>/dev/null \
	    || { [ -n '$(ANEW)' ] && ! grep -Fqx 'MADE = $(ASKED)' .venv/settings.mk; }; then \
	  found=; old=; bare=; \
	  for p in $(PYTHON); do \
	    code=0; "$$p" -c '$(FIT)' >/dev/null 2>&1 || code=$$?; \
	    case $$code in \
	      0) found=$$("$$p" -c '$(BASE)'); break ;; \
	      1) bare=$${bare:-$$p} ;; \
	      3) old=$${old:-$$p} ;; \
	    esac; \
	  done; \
	  if [ -z "$$found$$bare$$old" ]; then \
	    stop "No Python was found as $(PYTHON). Install 3.11 or newer, or name yours: make PYTHON=python3.12 $*"; \
	  elif [ -z "$$found$$bare" ]; then \
	    stop "Moreish needs Python 3.11 or newer and $$old is $$("$$old" -c '$(VERSION)'). Install one, or name yours: make PYTHON=python3.12 $*"; \
	  elif [ -z "$$found" ]; then \
	    stop "$$bare has no venv module. Install it (Debian, Ubuntu: apt install $${bare##*/}-venv) and run make $* again."; \
	  fi; \
	  echo "Setting up .venv with Python $$("$$found" -c '$(VERSION)'), once. PyTorch is the large download: how large, and how to use one you have, is in README.md."; \
	  rm -rf .venv && mkdir .venv && echo $$$$ > .venv/setting-up || exit 1; \
	  "$$found" -m venv $(VENV_FLAGS) .venv || exit 1; \
	fi; \
	echo $$$$ > .venv/setting-up; \
	.venv/bin/python -c '$(HAS_TORCH)' 2>/dev/null || $(PIP) install $(PINS) torch || give_up; \
	echo 'Installing moreish$(EXTRAS_$*) and what it needs ...'; \
	$(PIP) install --quiet $(PINS) -e '.$(EXTRAS_$*)' || give_up; \
	printf '%s\n' 'PYTHON = $(PYTHON)' 'CONSTRAINTS = $(CONSTRAINTS)' 'VENV_FLAGS = $(VENV_FLAGS)' \
	  'MADE = $(ASKED)' > .venv/settings.mk; \
	touch .venv/ready-demo .venv/ready-$* && rm .venv/setting-up
