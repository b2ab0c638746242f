"""Finds PostgreSQL's programs and OpenSSL's headers on this machine, and installs missing programs."""

import os
import subprocess
from functools import cache
from pathlib import Path

from stack import apt
from stack.console import StackError


@cache
def postgres_binaries() -> Path:
    """Return the directory of `initdb`, `postgres` and `pg_isready`. Installs them if they are missing.

    Raises :class:`StackError` if they can't be installed.
    """
    found = find()
    if found is None:
        apt.install(["postgresql"])
        found = find()
    if found is None:
        raise StackError("PostgreSQL's server programs are not on this machine.", apt.by_hand("postgresql"))
    return found


def find() -> Path | None:
    """Return that directory, or `None`."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = [Path(directory) for directory in os.environ["PATH"].split(os.pathsep)]
    return next(
        (path for path in [*packaged, *on_path] if (path / "initdb").exists() and (path / "postgres").exists()), None
    )


def has_openssl() -> bool:
    """Whether programs can be built with this machine's OpenSSL 3."""
    try:
        return subprocess.run(["pkg-config", "--exists", "openssl >= 3"], check=False).returncode == 0
    except FileNotFoundError:
        return False
