#!/bin/sh
# Creates a Python environment: make_venv.sh DIRECTORY REQUIREMENTS.
set -eu

fail() {
    echo "error: $1" >&2
    exit 1
}

echo "==> Installing the pinned tools of $2 into $1"
python3 -m venv --clear "$1"
"$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2" ||
    fail "pip could not install $2; see its message above. Run the command again after the repair."
