"""Finds PostgreSQL's programs on this machine, and installs them if they are missing."""

import os
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
