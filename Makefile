# `make demo`: from nothing to a segmented phantom with a picture and scores.
# `make test`: linter, type checker and all tests. Both make their own environment in .venv.
PYTHON ?= python3
BIN := .venv/bin
# Several files of tests at a time, each on one thread: torch's threads would only wait for each other.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test fast clean

# The bundle that ships, if this version has one: then the demo needs nothing but the runtime.
DEFAULT := src/cafrnet/bundles/default
ifneq ($(wildcard $(DEFAULT)/SHA256SUMS),)
DEMO_EXTRA :=
else
DEMO_EXTRA := [train]
endif

.venv/demo.stamp: pyproject.toml constraints.txt $(wildcard $(DEFAULT)/SHA256SUMS)
	$(PYTHON) -m venv .venv
	$(INSTALL) -e '.$(DEMO_EXTRA)'
	touch $@

.venv/test.stamp: pyproject.toml constraints.txt Makefile
	$(PYTHON) -m venv .venv
	$(INSTALL) -e '.[train,dev,ray,reproduce]'
	touch $@

ifneq ($(wildcard $(DEFAULT)/SHA256SUMS),)
demo: .venv/demo.stamp
	rm -rf demo
	$(BIN)/cafrnet bundle check default
	$(BIN)/cafrnet data phantom -o demo/unseen --cases 4 --seed 99 --contrast t2 --fov full --small
	$(BIN)/cafrnet segment demo/unseen/train/MR -o demo/result
	$(BIN)/cafrnet evaluate demo/unseen demo/result -o demo/scores --fail-below 0.70
	@echo "Look at demo/result/Case1_preview.png; scores: demo/scores/cases.csv"
else
# Until a trained bundle ships, the demo trains a small network on phantoms: a few minutes on two cores.
demo: .venv/demo.stamp
	rm -rf demo
	$(BIN)/cafrnet data phantom -o demo/phantoms --cases 32 --seed 1 --small --contrast t2 --fov full
	$(BIN)/cafrnet data split demo/phantoms -o demo/split.json
	$(BIN)/cafrnet train demo data=demo/phantoms split=demo/split.json -o demo/run
	$(BIN)/cafrnet data phantom -o demo/unseen --cases 4 --seed 99 --small --contrast t2 --fov full
	$(BIN)/cafrnet segment demo/unseen/train/MR --model demo/run -o demo/result
	$(BIN)/cafrnet evaluate demo/unseen demo/result -o demo/scores --fail-below 0.70
	@echo "Look at demo/result/Case1_preview.png and demo/run/curves.png; scores: demo/scores/cases.csv"
endif

test: .venv/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(PYTEST) -m "not slow"
	$(PYTEST) -m slow

fast: .venv/test.stamp
	$(PYTEST) -m "not slow"

clean:
	rm -rf .venv demo build dist
