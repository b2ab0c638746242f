"""Installs Debian's packages whose programs are missing, without starting the servers that come with some of them."""

import os
import shutil
import subprocess

from stack.console import StackError, step

# Debian's packages ask this file whether they may start their servers; 101 is a no.
POLICY = "/usr/sbin/policy-rc.d"
INSTALL = f"""
set -e
if [ ! -e {POLICY} ]; then
    trap 'rm -f {POLICY}' EXIT
    printf '#!/bin/sh\\nexit 101\\n' > {POLICY}
    chmod 755 {POLICY}
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -qq
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" > /dev/null
"""


def ensure(program: str, package: str) -> str:
    """Full path of a program, its package installed first where it is missing.

    Raises :class:`StackError` where it neither is nor can be installed.
    """
    found = _find(program)
    if found is None:
        _install(package)
        found = _find(program)
    if found is None:
        raise StackError(f"{program} is not on this machine.", f"Install {package}.")
    return found


def _find(program: str) -> str | None:
    # Servers lie where only root's path leads.
    return shutil.which(program, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))


def _install(package: str) -> None:
    by_hand = f"Install {package}, for example: sudo apt-get install {package}"
    if shutil.which("apt-get") is None:
        raise StackError(f"{package} is not installed, and this machine has no apt to install it with.", by_hand)
    step(f"Installing {package} with apt (its programs only; no server of the machine's own is started)")
    become_root = [] if os.geteuid() == 0 else ["sudo"]
    try:
        subprocess.run([*become_root, "sh", "-c", INSTALL, "install", package], check=True)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        raise StackError(f"Installing {package} failed: {error}", by_hand) from error
