#!/usr/bin/env bash
# Fetches what the hub is compared with, Debian's packages of etcd, PostgreSQL and Redis, and unpacks it below target/: nothing is
# installed, no service is started. Libraries that the system lacks come along. What is installed already is used from where it is.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(etcd-server postgresql redis-server)
dir=$PWD/target/bench-peers
fetched=$PWD/target/bench-peers-fetched

command -v apt-get >/dev/null || {
    echo "bench-setup: this needs Debian's packages (apt-get); or install ${packages[*]} as your system does" >&2
    exit 1
}
mkdir -p "$fetched/archives/partial" "$fetched/lists/partial"
apt=(apt-get -qq -o "Dir::Cache=$fetched" -o "Dir::State::Lists=$fetched/lists" -o Debug::NoLocking=1)
"${apt[@]}" update
"${apt[@]}" install --yes --no-install-recommends --download-only "${packages[@]}"
rm -rf "$dir"
mkdir -p "$dir"
for package in "$fetched"/archives/*.deb; do
    # None at all, where everything is installed.
    [[ -f $package ]] && dpkg-deb --extract "$package" "$dir"
done
rm -rf "$fetched"
for program in etcd postgres redis-server; do
    found=$(find "$dir/usr/bin" "$dir/usr/lib/postgresql" /usr/lib/postgresql -path "*/bin/$program" 2>/dev/null | head -1 || true)
    echo "bench-setup: $program: ${found:-$(command -v "$program" || echo 'not found, so left out of comparisons')}"
done
