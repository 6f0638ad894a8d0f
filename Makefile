# Everything runs in a virtual environment of this checkout; `make` alone explains itself.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One more than two cores: some tests wait for a broker.
JOBS ?= 3
SEEDS ?= 10000

.DEFAULT_GOAL := help
.PHONY: help demo test check bench coverage proof fuzz scenarios kills page resumes whatif releases simulate faults soak alerts house walk clean

help: ## explain the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "choreo needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY) ## run order fulfilment on the embedded broker: one success, then a failure at each step
	$(BIN)/choreo demo

test: $(READY) ## run the tests (a real Kafka is fetched with Maven the first time), under 8 minutes
	@# Hundreds of processes import these; where no bytecode may be written, each would compile them anew.
	@$(BIN)/python -m compileall -q -j 0 choreo examples tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m 'not slow'

check: $(READY) ## format, lint, types, architecture, docs, schemas
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q --doctest-modules choreo tests/docs
	$(BIN)/choreo schemas check

bench: $(READY) ## measure against the hand-written floor, embedded and on real Kafka; JSON lines
	$(BIN)/python -m tests.programs.bench

coverage: $(READY) ## branch coverage of protocol, store and worker
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -q
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report --include='choreo/protocol/*,choreo/store/sqlite/*,choreo/worker/*' --fail-under=95 --show-missing

faults: $(READY) ## a fault at each point of the turn, of each kind, in each task, on real Kafka: the whole matrix
	$(BIN)/python -m tests.programs.faults

MINUTES ?= 5
soak: $(READY) ## five processes on real Kafka in bad weather, MINUTES=5: kills, forgeries, poison, full disks, clocks
	$(BIN)/python -m tests.programs.soak --minutes $(MINUTES)

alerts: $(READY) ## each alert is made to fire and to resolve by its cause: real Kafka, PostgreSQL, Prometheus, Alertmanager
	CHOREO_ALERTS=1 $(BIN)/python -m pytest -s tests/monitor/test_causes.py

simulate: $(READY) ## the examples in memory, on 10,000 random schedules with random trouble (SEEDS=…)
	$(BIN)/python -m tests.programs.simulate $(SEEDS)

CHOREOGRAPHIES ?= 100000
FIRST ?= 0
proof: $(READY) ## `choreo verify` against a naive search and random runs, on random sagas (CHOREOGRAPHIES=100000 FIRST=0)
	JOBS=$(JOBS) $(BIN)/python -m tests.programs.proof $(CHOREOGRAPHIES) $(FIRST)

PAIRS ?= 200
releases: $(READY) ## `choreo verify --against` and the real worker, on random pairs of choreographies (PAIRS=200 FIRST=0)
	JOBS=$(JOBS) $(BIN)/python -m tests.programs.releases $(PAIRS) $(FIRST)

fuzz: $(READY) ## what `make test` takes a sample of, at length: properties, mutants, crashes, damaged records
	JOBS=$(JOBS) $(BIN)/python -m tests.programs.proof 10000
	CHOREO_FUZZ=1 $(BIN)/python -m pytest -s tests/verify/test_mutants.py
	CHOREO_FUZZ=1 $(BIN)/python -m pytest -n $(JOBS) tests/protocol tests/avro tests/programs/fuzz tests/client/test_within_property.py tests/kafka/test_cloudevents.py \
	  --ignore tests/verify/test_mutants.py tests/verify tests/testing/test_exploration.py tests/worker/test_deaths.py tests/worker/test_quarantine.py tests/scenarios/test_catch_up.py \
	  tests/scenarios/test_nth_operation.py tests/scenarios/test_crashes.py tests/scenarios/test_deadline_crashes.py \
	  tests/scenarios/test_travel.py tests/scenarios/test_bad_input.py

# Where participants have their stores: sqlite, or postgresql, also through a pooler in transaction mode: pgbouncer.
STORE ?= sqlite
POOLER ?=
export STORE POOLER
scenarios: $(READY) ## scenarios, workers and the matrices of the examples, with STORE=postgresql, POOLER=pgbouncer
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup tests/scenarios tests/worker tests/examples

kills: $(READY) ## kill -9 a participant, or a replica, at random moments on real Kafka, 30 rounds; bank transfers; releases; outages
	CHOREO_KILLS=30 CHOREO_ZOMBIES=1 CHOREO_TRANSFERS=2000 $(BIN)/python -m pytest -s tests/scenarios/test_processes.py tests/scenarios/test_bank.py \
	  tests/scenarios/test_rolling.py tests/scenarios/test_replicas.py tests/monitor/test_counted.py tests/kafka/test_outage.py

whatif: $(READY) ## today's handlers on the record of 10,000 sagas: no difference
	CHOREO_WHATIF=10000 $(BIN)/python -m pytest -s tests/replay/test_what_if.py -k many_sagas

PICTURES ?= build/page
page: $(READY) ## the dashboard of three examples in a real browser, every page in four ways, pictures in build/page
	CHOREO_PAGE=$(abspath $(PICTURES)) $(BIN)/python -m pytest -s tests/dashboard/test_browser.py tests/dashboard/test_many_sagas.py

resumes: $(READY) ## kill -9 at each point of the turn, rows lost by hand, and everybody resumes: 138 rounds on real Kafka
	CHOREO_RESUMES=138 $(BIN)/python -m pytest -s tests/replay/test_kills.py

house: $(READY) ## sizes, hidden imports and import cycles of the source, beside those of before
	$(BIN)/python -m tests.programs.house

walk: $(READY) ## files entered, and moves between them, by an event, `choreo verify` and `choreo trace`
	$(BIN)/python -m tests.programs.walk

clean: ## remove the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* build dist
