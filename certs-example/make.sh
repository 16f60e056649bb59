#!/bin/sh
# Makes a demo CA, the hub's certificate and one per demo client, in certs-example/out or in the directory given.
# Run it again to issue what is missing and to renew the revocation list. Calls `xinhub certs` and nothing else.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-"$here/out"}

xinhub() {
    if [ -n "${XINHUB:-}" ]; then
        command "$XINHUB" "$@"
    else
        cargo run --quiet --manifest-path "$here/../Cargo.toml" --package xinhub-cli --bin xinhub -- "$@"
    fi
}

if [ -e "$out/ca.key" ]; then
    xinhub certs crl --dir "$out"
else
    xinhub certs init --dir "$out" --trust-domain demo.xinhub.invalid
fi

if [ ! -e "$out/server.key" ]; then
    xinhub certs issue --dir "$out" --server --dns localhost --ip 127.0.0.1 --ip ::1
fi

for client in court-leizhou court-xuwen bank-demo hotel-demo procurement-demo ops-demo; do
    if [ ! -e "$out/$client.key" ]; then
        xinhub certs issue --dir "$out" --client "$client"
    fi
done
