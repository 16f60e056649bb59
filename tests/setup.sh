#!/bin/sh
# Makes the Python environment that some tests run their oracles in: $XINHUB_TEST_VENV, or target/test-venv.
# Quick when it is already there and tests/requirements.txt has not changed.
set -eu

tests=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
venv=${XINHUB_TEST_VENV:-$tests/../target/test-venv}
requirements=$tests/requirements.txt
# A copy of the requirements, written last: an installation that was broken off is not taken for a whole one.
installed=$venv/requirements.installed.txt

if [ -x "$venv/bin/python" ] && cmp -s "$requirements" "$installed"; then
    exit 0
fi

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
    echo "tests/setup.sh: needs Python 3.9 or later with venv; install it, or name one in PYTHON" >&2
    exit 1
fi

mkdir -p "$(dirname -- "$venv")"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
cp "$requirements" "$installed"
