"""Installs Debian packages for missing programs, without starting the servers that some packages contain."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from stack.console import StackError, step

# Debian's packages run this file to decide whether to start their servers; 101 forbids it.
POLICY = "/usr/sbin/policy-rc.d"
# This setting keeps PostgreSQL's package from creating a cluster while it installs.
NO_CLUSTER = "/etc/postgresql-common/createcluster.d/ordermill.conf"
INSTALL = f"""
set -e
remove='{NO_CLUSTER}'
trap 'rm -f $remove' EXIT
mkdir -p $(dirname {NO_CLUSTER})
echo 'create_main_cluster = false' > {NO_CLUSTER}
if [ ! -e {POLICY} ]; then
    remove="$remove {POLICY}"
    printf '#!/bin/sh\\nexit 101\\n' > {POLICY}
    chmod 755 {POLICY}
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -qq
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" > /dev/null
"""


def ensure(program: str, package: str) -> str:
    """Return the full path of a program. Installs its package if it is missing.

    Raises :class:`StackError` if it can't be installed.
    """
    found = _find(program)
    if found is None:
        install([package])
        found = _find(program)
    if found is None:
        raise StackError(f"{program} is not on this machine.", f"Install {package}.")
    return found


def install(packages: Sequence[str]) -> None:
    """Install packages. Raises :class:`StackError` with the command for a manual installation if that fails."""
    listed = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise StackError(f"{listed}: not installed, and this machine has no apt to install with.", by_hand(listed))
    step(f"Installing {listed} with apt (programs only, without starting a server)")
    become_root = [] if os.geteuid() == 0 else ["sudo"]
    try:
        subprocess.run([*become_root, "sh", "-c", INSTALL, "install", *packages], check=True)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        raise StackError(f"Installing {listed} failed: {error}", by_hand(listed)) from error


def is_usable() -> bool:
    """Whether this machine has apt, and this user is root or has sudo."""
    return shutil.which("apt-get") is not None and (os.geteuid() == 0 or shutil.which("sudo") is not None)


def by_hand(packages: str) -> str:
    """Return the instructions for a manual installation."""
    return f"On Debian or Ubuntu: sudo apt-get install {packages}"


def _find(program: str) -> str | None:
    # Server programs are in directories that only root's path contains.
    return shutil.which(program, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))
