# `make demo`: from nothing to a segmented phantom with a picture and scores.
# `make test`: linter, type checker and all tests. Both make their own environment in .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test fast clean

.venv/demo.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) -e '.[train]'
	touch $@

.venv/test.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) -e '.[train,dev,ray]'
	touch $@

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

test: .venv/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow"
	$(BIN)/python -m pytest -m slow

fast: .venv/test.stamp
	$(BIN)/python -m pytest -m "not slow"

clean:
	rm -rf .venv demo build dist
