# `make demo` and `make test` are the whole set-up: each makes the virtual environment, installs, and does its job.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test campaign fuzz gpu lint bench paper-plane paper-small paper-small-data paper-stall paper-stall-data trips paper-cartpole paper-lunarlander policies wheelhouse docs clean

demo: $(VENV)/user
	$(BIN)/alx demo

# A test process for each core and one more, up to eight, a file at a time; lint beside them, told at the end.
test: $(VENV)/dev
	@told=$$(mktemp); $(MAKE) --no-print-directory lint >"$$told" 2>&1 & lint=$$!; \
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder; tests=$$?; \
	wait $$lint; linted=$$?; cat "$$told"; rm -f "$$told"; \
	test $$tests = 0 || echo "make: the tests failed: above" >&2; test $$linted = 0 || echo "make: lint failed: above" >&2; \
	test $$tests = 0 && test $$linted = 0

# Attacks and interruptions by enumeration, where the tests take samples: minutes, and a line of figures for each.
campaign: $(VENV)/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.campaign

# Each parser that meets bytes from outside, under a coverage-guided fuzzer for so many seconds.
SECONDS ?= 60
fuzz: $(VENV)/fuzz
	targets=$$($(BIN)/python -c 'from tests.fuzz.targets import TARGETS; print(*TARGETS)') && for target in $$targets; do \
	  $(BIN)/python -m tests.fuzz $$target $(SECONDS) || exit 1; done

# Every test that needs a GPU, and what they ran on; where there is none it says so, and nothing is claimed.
gpu: $(VENV)/dev
	$(BIN)/python -m tests.gpu

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Ratios against a peer or a limit, measured side by side: a table, and bench.json (docs/performance.md). ONLY=codec,start-up
# measures some sections alone; DATA names the folder with cifar10.npz, without which some rows are missing.
bench: $(VENV)/bench
	DATA=$(DATA) $(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) bench.json

# The paper's experiments (examples/paper/README.md): long, but for the first, and for one core each; they go on where
# they were stopped.
paper-plane: $(VENV)/user
	OMP_NUM_THREADS=1 $(BIN)/python examples/paper/assisted_regression.py --out runs/plane
	OMP_NUM_THREADS=1 $(BIN)/python examples/paper/assisted_classifier.py --seeds 0-99 --out runs/plane

# DATA holds cifar10.npz (or, for paper-small, CIFAR-10 as torchvision downloads it) and MNIST's four files. Looked for first.
DATA ?= data
paper-small: paper-small-data $(VENV)/user
	$(BIN)/python examples/paper/parts.py $(DATA) --out runs/data
	$(BIN)/python examples/paper/deep.py small --data runs/data --out runs/small

paper-small-data:
	@test -f $(DATA)/cifar10.npz || test -d $(DATA)/cifar-10-batches-py || { echo "make: there is no CIFAR-10 in '$(DATA)':" \
	  "name a folder with cifar10.npz or cifar-10-batches-py, and MNIST's four files, as in make $(@:-data=) DATA=folder" >&2; exit 2; }

paper-stall-data:
	@test -f $(DATA)/cifar10.npz || { echo "make: there is no '$(DATA)/cifar10.npz':" \
	  "name the folder that holds it, as in make $(@:-data=) DATA=folder" >&2; exit 2; }

paper-stall: paper-stall-data $(VENV)/user
	$(BIN)/python examples/paper/stall.py digits --out runs/stall
	$(BIN)/python examples/paper/stall.py cifar10 --data npz:$(DATA)/cifar10.npz --minors 0 0.05 --out runs/stall

# What each trip brings (docs/results.md): six to seven hours on two idle cores. A seed that is kept in
# docs/results/trips is not played again.
trips: $(VENV)/user
	$(BIN)/python examples/paper/trips.py --data $(DATA) --out runs/trips

paper-cartpole: SEEDS := 0 1 2 3 4 5 6 7 8 9
paper-lunarlander: SEEDS := 0 1 2 3 4
paper-cartpole paper-lunarlander: paper-%: $(VENV)/user
	OMP_NUM_THREADS=1 $(BIN)/python examples/paper/returns.py $* --seeds $(SEEDS) --out runs/$*
	test $* = lunarlander || OMP_NUM_THREADS=1 $(BIN)/python examples/paper/restarts.py $* --seeds $(SEEDS) --out runs/$*
	$(BIN)/python examples/paper/figures.py runs/$* --out runs
	OMP_NUM_THREADS=1 $(BIN)/python examples/paper/animations.py runs/$* --out runs
	test $* = cartpole || OMP_NUM_THREADS=1 $(BIN)/python examples/paper/landings.py runs/$* --out runs

# AssistPG beside Learner-PG at as many steps: half an hour for CartPole, hours for LunarLander.
policies: $(VENV)/user
	OMP_NUM_THREADS=1 $(BIN)/python examples/paper/gap.py cartpole --seeds 0 1 2 3 4 5 6 7 8 9 --out runs/cartpole-gap
	OMP_NUM_THREADS=1 $(BIN)/python examples/paper/gap.py lunarlander --seeds 0 1 2 3 4 --out runs/lunarlander-gap \
	  --beside docs/results-rl/lunarlander.json

# Rewrites what is generated: schemas/, the pages that say so on their first line, and the threat model's table.
docs: $(VENV)/dev
	$(BIN)/python -m tests.generated

# A folder to carry to a machine without a network: README, "Behind an air gap".
wheelhouse: $(VENV)/user
	rm -rf wheelhouse build
	$(BIN)/python -m pip wheel --quiet --constraint constraints.txt --wheel-dir wheelhouse '.[age,parity]'
	cp constraints.txt wheelhouse/
	@echo "wheelhouse/ is ready: carry it, then"
	@echo "  pip install --no-index --find-links wheelhouse alx"

$(VENV)/user: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/dev: $(VENV)/user
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/bench: $(VENV)/dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

$(VENV)/fuzz: $(VENV)/user
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	touch $@

clean:
	rm -rf $(VENV) build dist wheelhouse alx-demo *.egg-info
