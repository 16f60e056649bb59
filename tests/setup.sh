#!/bin/sh
# Makes what some tests run besides Rust: a Python environment in $XINHUB_TEST_VENV, or target/test-venv, for oracles and
# the Python client; Node modules in $XINHUB_TEST_NODE, or target/test-node, for the Node client.
# Quick when they are already there and neither tests/requirements.txt nor tests/foreign/node/package-lock.json has changed.
# `tests/setup.sh python` makes the Python environment alone.
set -eu

tests=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

python_environment() {
    venv=${XINHUB_TEST_VENV:-$tests/../target/test-venv}
    requirements=$tests/requirements.txt
    # A copy of the requirements, written last: an installation that was broken off is not taken for a whole one.
    installed=$venv/requirements.installed.txt
    if [ -x "$venv/bin/python" ] && cmp -s "$requirements" "$installed"; then
        return
    fi
    python=${PYTHON:-python3}
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        echo "tests/setup.sh: needs Python 3.10 or later with venv; install it, or name one in PYTHON" >&2
        exit 1
    fi
    mkdir -p "$(dirname -- "$venv")"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$installed"
}

node_modules() {
    client=$tests/foreign/node
    dir=${XINHUB_TEST_NODE:-$tests/../target/test-node}
    installed=$dir/package-lock.installed.json
    if [ -d "$dir/node_modules" ] && cmp -s "$client/package-lock.json" "$installed"; then
        return
    fi
    if ! node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null || ! npm --version >/dev/null 2>&1; then
        echo "tests/setup.sh: needs Node 18 or later with npm; install them" >&2
        exit 1
    fi
    mkdir -p "$dir"
    cp "$client/package.json" "$client/package-lock.json" "$client/.npmrc" "$dir/"
    # No scripts of packages, and no word but of errors.
    (cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
    cp "$client/package-lock.json" "$installed"
}

python_environment
if [ "${1:-}" != python ]; then
    node_modules
fi
