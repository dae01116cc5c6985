#!/usr/bin/env bash
# Installs the package into the environment of aepsl.yaml: that of a checkout if Snakemake was started
# in one, else the version that runs Snakemake. Snakemake runs a copy of this script in the folder
# where it was started, with the environment activated.
set -euo pipefail
if grep -qs '^name = "aepsl"$' pyproject.toml; then
    python -m pip install --no-deps --no-build-isolation --editable .
elif version=$(aepsl --version); then
    python -m pip install --no-deps "aepsl==${version#aepsl }"
else
    echo "aepsl: $PWD does not hold the package, and no aepsl is installed"
    echo "    Hint: start Snakemake in the folder of pyproject.toml, not with --directory"
    exit 1
fi
