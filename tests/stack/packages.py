"""Finds PostgreSQL's programs on this machine."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from stack import apt
from stack.console import StackError

# The oldest major version of PostgreSQL that the service supports.
OLDEST = 14


@cache
def postgres_binaries(preferred: int | None = None) -> Path:
    """Return the directory of `initdb`, `postgres` and `pg_isready`, which the check of the machine installs."""
    found = find(preferred)
    if found is None:
        raise StackError("PostgreSQL's server programs are not on this machine.", apt.by_hand("postgresql"))
    return found


def find(preferred: int | None = None) -> Path | None:
    """Return that directory for the preferred major version, or else for the newest one.

    Returns `None` if there is no PostgreSQL of a version that the service supports.
    """
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = [Path(directory) for directory in os.environ["PATH"].split(os.pathsep)]
    complete = [path for path in [*packaged, *on_path] if (path / "initdb").exists() and (path / "postgres").exists()]
    supported = [path for path in complete if version(path) >= OLDEST]
    return next((path for path in supported if version(path) == preferred), next(iter(supported), None))


def version(binaries: Path) -> int:
    """Return the major version of the `postgres` in this directory."""
    output = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"\d+", output)[0])
