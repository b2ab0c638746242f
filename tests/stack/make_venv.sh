#!/bin/sh
# Creates a Python environment: make_venv.sh DIRECTORY REQUIREMENTS. A package whose hash is not in the list fails it.
# uv installs it. pip does if uv can't, for example because only pip is configured for a company's package index.
# The installations of several `make` take turns, because all of them create uv, and each may create the same environment.
set -eu

fail() {
    echo "error: $1" >&2
    exit 1
}

with_pip() {
    python3 -m venv --clear "$1" &&
        "$1/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$2"
}

with_uv() {
    own="$(dirname "$1")/uv"
    { [ -x "$own/bin/uv" ] || with_pip "$own" tests/stack/requirements-uv.txt; } &&
        "$own/bin/uv" venv --quiet --clear --relocatable --python "$(command -v python3)" "$1" &&
        "$own/bin/uv" pip install --quiet --python "$1/bin/python" --require-hashes --requirement "$2"
}

VERSION='import sys; print(sys.version_info[:2])'

# Whether the environment has these pins, and its Python runs and is of the same minor version as the machine's.
is_current() {
    [ "$1/.stamp" -nt "$2" ] && minor=$("$1/bin/python" -c "$VERSION" 2>/dev/null) && [ "$minor" = "$(python3 -c "$VERSION")" ]
}

is_current "$1" "$2" && exit
mkdir -p "$(dirname "$1")"
exec 9>"$(dirname "$1")/lock"
flock 9
is_current "$1" "$2" && exit
echo "==> Installing the pinned tools of $2 into $1"
with_uv "$1" "$2" || with_pip "$1" "$2" ||
    fail "neither uv nor pip could install $2; see their messages above. Run the command again after the repair."
touch "$1/.stamp"
