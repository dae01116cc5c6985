# The same targets for a person and for CI. Set up first: python3 start.py setup
BIN := $(if $(wildcard .venv/bin),.venv/bin/,)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: check test test-slow test-cluster test-slurm fuzz test-data schema picture bad-input publish lock

check: ## style, types, import law, rules
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	snakefmt --check Snakefile rules/*.smk
	snakemake --lint

test: ## minutes, on two cores
	pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: ## real runs that take longer
	pytest -m slow

test-cluster: ## the miniature on a real SLURM, installed and started for it (root, Debian)
	pytest -m slurm tests/slurm/test_cluster.py

test-slurm: ## the same, and everything that befalls a cluster's jobs; half an hour
	pytest -m slurm tests/slurm

fuzz: ## a quarter of an hour: the readers of labels, configurations, manifests, on random input
	AEPSL_FUZZ=2000 pytest tests/test_fuzz.py

test-data: ## needs the photographs: AEPSL_DATA=folder
	pytest -m real_data

schema: ## config.schema.json from aepsl/config
	aepsl schema --output config.schema.json

picture: ## docs/rulegraph.png, needs graphviz
	snakemake --rulegraph 2> /dev/null | tred 2> /dev/null | dot -Tpng -Gdpi=110 > docs/rulegraph.png

bad-input: ## docs/bad-input.md, from running every case
	cd tests && python bad_input.py

publish: ## docs/results.md gets the tables of a run: RUN=scenes
	python tools/publish.py $(RUN)

lock: ## the lock files from what is installed
	python tools/lock.py
