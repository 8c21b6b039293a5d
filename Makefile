# Each target sets up what it needs in .venv; PYTHON chooses the interpreter (3.11 or 3.12).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench format clean

# The main job on drawn data: search, report, one prediction.
demo: .venv/installed
	$(BIN)/python -m search.run --part XR_ELBOW --data synthetic --name demo \
		--architecture efficientnet_lite0 --trials 12 --epochs 12 --image-size 128
	$(BIN)/python -m reports.leaderboard --part XR_ELBOW
	$(BIN)/python -m predict $$(ls runs/synthetic/MURA-v1.1/valid/XR_ELBOW/*/*/image1.png | head -n 3) --part XR_ELBOW
	$(BIN)/python -m reports.build --out runs/report

# Everything that must hold: lint, types, all tests; files of tests side by side.
test: check
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --durations=5

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What it costs, beside the rivals in benchmarks/rivals; needs ../shared/radiographs or $$RADIOGRAPHS, ApacheBench (apache2-utils), and some six hours.
bench: .venv/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	for name in extraction cache_fill heads exactness searches shares scaling memory views engines search_quality parallel winners_curse reports gradcam strangers routing winner agreement predictions store_sizes scale overhead scale_simulation latency; do $(BIN)/python -m benchmarks.$$name || exit 1; done

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:
	rm -rf .venv runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
