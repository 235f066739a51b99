# make run    sample data -> KPIs on this machine (DATA=folder for your own files)
# make check  ruff, mypy and the quick unit tests: no emulator, no Node
# make test   every check; what .ci/run calls
# make help   the other targets

PYTHON ?= python3
DATA   ?= .sample
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := -m pip --disable-pip-version-check --quiet install

.PHONY: help run setup check test lint unit audit-dependencies e2e fuzz image-test interop soak bench lock clean

help:
	@echo "make run [DATA=folder]      files in, KPIs out, on this machine"
	@echo "make check                  ruff, mypy and the quick unit tests, after each change"
	@echo "make test                   every check"
	@echo "make setup                  install what the tests need, the emulator of AWS included"
	@echo "make e2e                    every scenario of the emulated cloud"
	@echo "make fuzz                   new examples for the properties, ten times as many"
	@echo "make soak [MINUTES=10]      100,000 simulated histories, then workers killed under load"
	@echo "make interop                read Iceberg tables with DuckDB and Spark (needs Java 17)"
	@echo "make image-test             build the image and run it (root, Debian)"
	@echo "make bench [PEERS=a,b]      side by side with other engines"
	@echo "make lock                   update the lock files"
	@echo "make clean                  remove what these targets made"

run: $(VENV)/runtime $(if $(filter .sample,$(DATA)),.sample/products)
	$(BIN)/shopkpi run $(DATA) --format table

# A small shop of two weeks, with some broken rows of every kind.
.sample/products: | $(VENV)/runtime
	$(BIN)/shopkpi sample .sample --orders 5000 --days 14 --files 3 --dirty 0.01 --format table

# At most 60 seconds of CPU time in all. Mark as slow what comes up among the slowest here.
check: lint
	HYPOTHESIS_PROFILE=dev $(BIN)/pytest -q --durations=5 -m "not slow and not emulated" \
		--ignore=tests/unit/infra tests/unit $(wildcard tests/test_*.py)

# What does not need each other takes place at once.
test:
	$(MAKE) --jobs=3 lint audit-dependencies setup
	$(MAKE) unit

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Only a vulnerability fails; it says which packages no vulnerability service could be asked about.
audit-dependencies: $(VENV)/dev
	$(BIN)/python -m tests.audit requirements.lock

# The AWS deployment is synthesized by the CDK, which runs on Node; without it that part is left out.
NODE_TESTS := tests/unit/infra tests/e2e/cloud
# `make test` runs one scenario of the emulated cloud, `make e2e` all of them.
LONG_TESTS := $(filter-out %/test_uploads.py,$(wildcard tests/e2e/cloud/test_*.py))
ifneq ($(shell command -v npm),)
LEFT_OUT := $(LONG_TESTS)
setup: $(VENV)/dev .venv-ministack/ready node_modules/ready
else
LEFT_OUT := $(NODE_TESTS)
setup: $(VENV)/dev .venv-ministack/ready
	@echo "npm is missing: leaving out $(NODE_TESTS)"
endif

unit: setup
	SHOPKPI_NEEDS_MINISTACK=1 $(BIN)/pytest -n 2 $(addprefix --ignore=,$(LEFT_OUT))

e2e: $(VENV)/dev .venv-ministack/ready node_modules/ready
	$(BIN)/pytest tests/e2e/cloud

MINUTES   ?= 10
HISTORIES ?= 100000

FUZZED := tests/properties tests/formats \
	tests/language/test_hostile.py tests/language/test_properties.py \
	tests/simulation/test_histories.py tests/unit/kpi/csv tests/unit/kpi/kernels \
	tests/unit/kpi/mapping tests/unit/kpi/validation

# New examples on each run; a failure prints how to repeat it.
fuzz: $(VENV)/dev
	HYPOTHESIS_PROFILE=explore $(BIN)/pytest -n 2 $(FUZZED)

soak: $(VENV)/dev .venv-ministack/ready
	SHOPKPI_HISTORIES=$(HISTORIES) $(BIN)/pytest -n 2 tests/simulation/test_histories.py
	SHOPKPI_EVERY_POINT=1 $(BIN)/pytest -n 2 tests/recovery
	$(BIN)/python -m tests.soak.service
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

image-test: $(VENV)/dev
	infra/image/image-test

# DuckDB finds its extensions as packages for one version only, another one than that of the tests.
interop: $(VENV)/runtime .venv-interop/ready .venv-spark/ready
	rm -rf .sample/interop
	$(BIN)/shopkpi sample .sample/interop/shop --orders 5000 --days 14 --files 3 --dirty 0.01
	$(BIN)/shopkpi run .sample/interop/shop --workspace .sample/interop/workspace
	$(BIN)/shopkpi maintain --workspace .sample/interop/workspace --iceberg sqlite
	.venv-interop/bin/python -m tests.interop.duckdb_reads .sample/interop/workspace
	.venv-spark/bin/python -m tests.interop.spark_reads .sample/interop/workspace

.venv-interop/ready: requirements-interop.lock
	$(PYTHON) -m venv .venv-interop
	.venv-interop/bin/python $(PIP) --require-hashes -r requirements-interop.lock
	@touch $@

# Spark is a source package: it is built without isolation, as below. Its library of Iceberg is in a
# package for Spark 3.5, which is of Scala 2.12.
.venv-spark/ready: requirements-spark.lock requirements-build.lock
	$(PYTHON) -m venv .venv-spark
	.venv-spark/bin/python $(PIP) --require-hashes -r requirements-build.lock
	.venv-spark/bin/python $(PIP) --no-build-isolation --require-hashes -r requirements-spark.lock
	@touch $@

bench: $(VENV)/bench .venv-ministack/ready
	$(BIN)/python -m benchmarks $(if $(PEERS),--peers $(PEERS)) $(if $(CASES),--cases $(CASES))

# Without isolation, which would fetch a build backend that no lock names.
$(VENV)/runtime: requirements.lock requirements-build.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --require-hashes -r requirements.lock -r requirements-build.lock
	$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# Python compiles what it imports, and keeps it unless that variable forbids it; pip would compile
# 180 MB of the CDK, most of it never imported.
unexport PYTHONDONTWRITEBYTECODE
$(VENV)/dev: requirements-dev.lock $(VENV)/runtime
	$(BIN)/python $(PIP) --no-compile --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/bench: requirements-bench.lock $(VENV)/runtime
	$(BIN)/python $(PIP) --require-hashes -r requirements-bench.lock
	@touch $@

# The emulator of AWS pins its own botocore, so it lives apart.
.venv-ministack/ready: requirements-ministack.lock
	$(PYTHON) -m venv .venv-ministack
	.venv-ministack/bin/python $(PIP) --require-hashes -r requirements-ministack.lock
	@touch $@

node_modules/ready:
	npm install --silent --no-save --no-package-lock --no-audit --no-fund \
		asl-validator@4.0.0 aws-cdk@2.1148.1
	@touch $@

LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-header --no-annotate

lock:
	$(LOCK) pyproject.toml --extra xlsx --extra iceberg -o requirements.lock
	$(LOCK) pyproject.toml --extra dev --extra infra -c requirements.lock -o requirements-dev.lock
	$(LOCK) pyproject.toml --extra bench -c requirements.lock -o requirements-bench.lock
	echo "setuptools>=77" | $(LOCK) - -o requirements-build.lock
	printf '%s==1.5.5\n' duckdb duckdb-extension-avro duckdb-extension-iceberg \
		| $(LOCK) - -o requirements-interop.lock
	printf '%s\n' pyspark==3.5.9 snowpark-connect-deps-iceberg==1.0.3 \
		| $(LOCK) - -o requirements-spark.lock
	echo "ministack==1.5.33" | $(LOCK) - -o requirements-ministack.lock

clean:
	rm -rf $(VENV) .venv-ministack .venv-interop .venv-spark node_modules .sample .shopkpi .bench build dist *.egg-info
