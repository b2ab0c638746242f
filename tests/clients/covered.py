"""Checks that each client called every operation of the OpenAPI document, and was answered with success.

    .venv/clients/bin/python tests/clients/covered.py FILE…

Each file has the name of its client, and a line for each successful call: ``POST /orders/order-1/cancel``. Exits
with 1 and the operations that a client did not call.
"""

import json
import re
import sys
from pathlib import Path

from follow import DOCUMENT

METHODS = ("get", "post", "put", "patch", "delete")


def main() -> None:
    """Check the files of the command line."""
    paths = json.loads(DOCUMENT.read_text())["paths"]
    operations = {f"{method.upper()} {path}" for path, item in paths.items() for method in METHODS if method in item}
    assert len(operations) > 10, operations
    missing = False
    for file in map(Path, sys.argv[1:]):
        called = {operation_of(call, operations) for call in file.read_text().splitlines()}
        for operation in sorted(operations - called):
            print(f"The {file.name} client did not call {operation} with success.", file=sys.stderr)
            missing = True
    if missing:
        sys.exit(1)
    print(f"Each client called all {len(operations)} operations.")


def operation_of(call: str, operations: set[str]) -> str | None:
    """Return the operation of a call. A fixed path goes before one with a parameter."""
    for operation in sorted(operations, key=lambda operation: operation.count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", operation), call):
            return operation
    return None


if __name__ == "__main__":
    main()
