# Targets for developers and for CI. Set up first: python3 start.py setup
export PATH := $(CURDIR)/.venv/bin:$(PATH)
PARALLEL := -n 2 --dist worksteal

.PHONY: check test test-slow test-long test-all test-cluster test-slurm fuzz kills test-data schema picture screenshots bad-input publish docs lock build

check: ## style, types, import contracts, Snakemake's linters, GitHub's schemas
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	snakefmt --check Snakefile rules/*.smk
	snakemake --lint
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml
	check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/data.yml

test: ## the fast tests, under five minutes on two cores
	pytest $(PARALLEL)

test-slow: ## the slow tests: real runs, each kind of stop, kill and fault once; ten minutes
	pytest $(PARALLEL) -m "slow and not slurm and not real_data"

test-long: ## more of the same kinds: kills, second checkouts, whole runs; an hour
	pytest $(PARALLEL) -m "long and not slurm and not real_data"

test-all: test check test-slow test-long ## all tests that need neither SLURM nor data

test-cluster: ## a small run on a real SLURM, which the test installs and starts (root, Debian)
	pytest -m slurm tests/slurm/test_cluster.py

test-slurm: ## the same, and faults of a cluster; half an hour
	pytest -m slurm tests/slurm

fuzz: ## draw new inputs for all tests that take drawn ones; keeps in tests/found what fails
	AEPSL_FUZZ=2000 pytest $(PARALLEL) -m hypothesis

kills: ## kill trainings 200 times and compare every result; half an hour
	AEPSL_KILLS=200 pytest -m long tests/test_kill.py -k "trainings and many"

test-data: ## tests on real photographs: AEPSL_DATA=folder
	pytest -m real_data

build: ## the source distribution and the wheel in dist/, and their checks
	validate-pyproject pyproject.toml
	rm -rf dist && python -m build --no-isolation
	twine check --strict dist/*
	check-wheel-contents dist/*.whl

schema: ## write config.schema.json and docs/config.md from aepsl/config
	aepsl schema --output config.schema.json
	python tools/reference.py

picture: ## draw the graph of rules in docs/architecture.md
	python tools/picture.py

screenshots: ## take the pictures of README.md and docs/ from the page of a run: RUN=scenes
	python tools/screenshots.py $(RUN)

bad-input: ## write docs/bad-input.md by running every case
	cd tests && python bad_input.py

publish: ## write the tables of a run to docs/results.md: RUN=scenes
	python tools/publish.py $(RUN)

docs: website/scripts/iframe-worker.js ## build the website into site/, strictly; first: pip install -r requirements-docs.lock
	mkdocs build --strict

website/scripts/iframe-worker.js: # graphs, and search without a server: else each page fetches both from elsewhere
	mkdir -p website/scripts
	cd website/scripts && npm pack --silent mermaid@11 iframe-worker@1
	cd website/scripts && tar -xzf mermaid-*.tgz --strip-components 2 package/dist/mermaid.min.js
	tar -xzOf website/scripts/iframe-worker-*.tgz package/shim/index.js > $@
	rm website/scripts/*.tgz

lock: ## write the lock files from the installed packages
	python tools/lock.py
