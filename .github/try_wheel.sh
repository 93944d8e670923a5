#!/usr/bin/env bash
# Install the one wheel of dist/ into an empty environment, outside of the checkout, and use it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --constraint "$root/constraints.txt" "$root"/dist/*.whl
cd "$place"
export EDGEKWS_CACHE="$place/cache"
venv/bin/edgekws --version
venv/bin/edgekws doctor
venv/bin/edgekws init --list
venv/bin/edgekws plan quickstart
