#!/usr/bin/env bash
# Installs the package into the environment of aepsl.yaml. Snakemake runs a copy of this script in
# the folder where Snakemake was started, with the environment activated.
set -euo pipefail
if ! grep -qs '^name = "aepsl"$' pyproject.toml; then
    echo "aepsl: $PWD does not hold the package"
    echo "    Hint: start Snakemake in the folder of pyproject.toml, not with --directory"
    exit 1
fi
python -m pip install --no-deps --no-build-isolation --editable .
