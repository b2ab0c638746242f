#!/bin/sh
# Builds PgBouncer from the source package of Debian 13 into .local/tools: from 1.21 on it keeps prepared statements, and that of
# Debian 12 is older.
set -eu
version=1.24.1
sha256=da72a3aba13072876d055a3e58dd4aba4a5de4ed6148e73033185245598fd3e0
source=http://deb.debian.org/debian/pool/main/p/pgbouncer/pgbouncer_$version.orig.tar.gz
root=$(cd "$(dirname "$0")/../.." && pwd)

echo "==> Building PgBouncer $version into .local/tools, which takes a minute"
cd "$root"
if ! pkg-config --exists libevent openssl; then
    PYTHONPATH=tests .venv/stack/bin/python -c 'from stack import apt; apt.install(["make", "pkg-config", "libevent-dev", "libssl-dev"])'
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -c 'import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])' "$source" "$place/source.tar.gz"
echo "$sha256  $place/source.tar.gz" | sha256sum --check --quiet
tar -xzf "$place/source.tar.gz" -C "$place" --strip-components=1
cd "$place"
{
    ./configure --prefix="$root/.local/tools" --without-cares
    make pgbouncer
} > build.log 2>&1 || { tail -20 build.log >&2; exit 1; }
mkdir -p "$root/.local/tools/bin"
install pgbouncer "$root/.local/tools/bin/pgbouncer"
