#!/usr/bin/env python3
"""What cargo runs for a function in `make dev`: its binary, with the variables that it is deployed with.

What the function logs, which is all of it on standard output or error, is prefixed by its name.
"""

import json
import os
import re
import sys
from pathlib import Path

PLACE = "ORDERMILL_DEV"
COLOURS = {"api": 36, "processor": 35, "sweeper": 33, "site": 34}
# Tells apart calls that run at once, which here none do.
SPAN = re.compile(r"invocation\{.*?\}: ")
# Kept of the variables around us; the rest is the developer's own.
KEPT = ("AWS_LAMBDA_", "LAMBDA_", "_X_AMZN", "PATH", "HOME", "LANG", "RUST_BACKTRACE")


def main(binary: str) -> None:
    """Become the function."""
    name = Path(binary).name
    variables = json.loads((Path(os.environ[PLACE]) / f"{name}.json").read_text())
    kept = {key: value for key, value in os.environ.items() if key.startswith(KEPT)}
    _prefix_output(name)
    os.execve(binary, [binary], {"AWS_LAMBDA_LOG_LEVEL": "DEBUG", **kept, **variables})


def _prefix_output(name: str) -> None:
    """Have a child read what this process writes from here on, line by line."""
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
