#!/usr/bin/env python3
"""Cargo's runner for functions in `make dev`: runs a function's binary with the variables of its deployment.

It prefixes each line of the function's output with the function's name.
"""

import json
import os
import re
import sys
from pathlib import Path

DIRECTORY = "ORDERMILL_DEV"
COLOURS = {"api": 36, "processor": 35, "sweeper": 33, "site": 34}
# It distinguishes concurrent calls, which do not happen here.
SPAN = re.compile(r"invocation\{.*?\}: ")
# The prefixes of the variables that the function inherits. The others are the developer's own.
KEPT = ("AWS_LAMBDA_", "LAMBDA_", "_X_AMZN", "PATH", "HOME", "LANG", "RUST_BACKTRACE")


def main(binary: str) -> None:
    """Replace this process by the function."""
    name = Path(binary).name
    variables = json.loads((Path(os.environ[DIRECTORY]) / f"{name}.json").read_text())
    kept = {key: value for key, value in os.environ.items() if key.startswith(KEPT)}
    _prefix_output(name)
    os.execve(binary, [binary], {"AWS_LAMBDA_LOG_LEVEL": "DEBUG", **kept, **variables})


def _prefix_output(name: str) -> None:
    """Start a child that reads the output of this process from now on, and prefixes each line."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(writing)
        mark = f"{name:9} | " if "NO_COLOR" in os.environ else f"\033[{COLOURS.get(name, 37)}m{name:9}\033[0m | "
        with open(reading, errors="replace") as lines:
            for line in lines:
                os.write(1, f"{mark}{SPAN.sub('', line, count=1)}".encode())
        os._exit(0)
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(reading)


if __name__ == "__main__":
    main(sys.argv[1])
