"""Finds PostgreSQL's programs on this machine and installs them where there are none."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from stack.console import StackError, step

# Debian's package would create and start a server of the machine's own, but for this setting while it installs.
SETTING = "/etc/postgresql-common/createcluster.d/ordermill.conf"
INSTALL = f"""
set -e
trap 'rm -f {SETTING}' EXIT
mkdir -p {Path(SETTING).parent}
echo 'create_main_cluster = false' > {SETTING}
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql > /dev/null
"""
BY_HAND = "Install PostgreSQL 14 or later, for example: sudo apt-get install postgresql"


@cache
def postgres_binaries() -> Path:
    """Directory of `initdb`, `postgres` and `pg_isready`, installed first where there is none.

    Raises :class:`StackError` where they neither are nor can be installed.
    """
    found = _find()
    if found is None:
        _install()
        found = _find()
    if found is None:
        raise StackError("PostgreSQL's server programs are not on this machine.", BY_HAND)
    return found


def _find() -> Path | None:
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = [Path(directory) for directory in os.environ["PATH"].split(os.pathsep)]
    return next(
        (path for path in [*packaged, *on_path] if (path / "initdb").exists() and (path / "postgres").exists()), None
    )


def _install() -> None:
    if shutil.which("apt-get") is None:
        raise StackError("PostgreSQL is not installed, and this machine has no apt to install it with.", BY_HAND)
    step("Installing PostgreSQL with apt (its programs only; no server of the machine's own is created)")
    become_root = [] if os.geteuid() == 0 else ["sudo"]
    try:
        subprocess.run([*become_root, "sh", "-c", INSTALL], check=True)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        raise StackError(f"Installing PostgreSQL failed: {error}", BY_HAND) from error
