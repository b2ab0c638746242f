#!/bin/sh
# Makes a private Python environment: make_venv.sh DIRECTORY REQUIREMENTS. Installs Debian's python3-venv where it is missing.
set -eu

fail() {
    echo "error: $1" >&2
    exit 1
}

command -v python3 >/dev/null || fail "python3 is not installed. On Debian or Ubuntu: sudo apt-get install python3 python3-venv"

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    become_root=sudo
    [ "$(id -u)" -eq 0 ] && become_root=
    echo "==> Installing python3-venv with apt"
    $become_root apt-get -o DPkg::Lock::Timeout=300 update -qq || true
    $become_root apt-get -o DPkg::Lock::Timeout=300 install -y -qq python3-venv >/dev/null ||
        fail "Python's venv module is missing. On Debian or Ubuntu: sudo apt-get install python3-venv"
fi

echo "==> Installing the pinned tools of $2 into $1"
python3 -m venv --clear "$1"
"$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2" ||
    fail "pip could not install $2; its message above says why. Run the command again once that is mended."
