"""Hostile input: schemathesis calls the running service by its OpenAPI document, with all its checks.

No answer may be a 5xx or differ from the document. The service must accept what the document allows, and refuse what
it forbids. ``python -m stack.fuzz`` needs the stack's file in ``STACK_ENV``, or these variables:

================  =============  ==================================================================
variable          default        meaning
================  =============  ==================================================================
``FUZZ_TOKEN``    TOKEN_ADMIN    the token of the calls
``FUZZ_USER``     empty          the user of the created orders; any user if empty, for administrators
``FUZZ_SECONDS``  240            the most seconds of the run
``FUZZ_CASES``    5000           the least number of calls
``FUZZ_SEED``     1              the seed of the random numbers
================  =============  ==================================================================
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from stack import api, envfile
from stack.console import StackError, complain, good
from stack.settings import ROOT

TOOL = ROOT / ".venv" / "fuzz" / "bin" / "schemathesis"
HOOKS = "stack.fuzz_hooks"


def run(variables: Mapping[str, str]) -> int:
    """Make the calls and return their number. Raises :class:`StackError` for a failed check or too few calls."""
    if not TOOL.exists():
        raise StackError("schemathesis is not installed in .venv/fuzz.", "`make fuzz` installs it.")
    directory = ROOT / ".local" / "fuzz"  # schemathesis writes files into its working directory.
    directory.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        _command(variables), env=_environment(variables), cwd=directory, stdout=subprocess.PIPE, text=True
    )
    calls = 0
    for line in process.stdout:
        print(line, end="", flush=True)
        if found := re.match(r"\s*(\d+) generated", line):
            calls = int(found[1])
    if process.wait() != 0:
        raise StackError("Hostile input was answered wrongly.", "The calls are above; repeat one with its curl line.")
    fewest = int(variables.get("FUZZ_CASES", "5000"))
    if calls < fewest:
        raise StackError(f"Only {calls} calls were made, not {fewest}.", "Give it more time: FUZZ_SECONDS.")
    return calls


def _command(variables: Mapping[str, str]) -> list[str]:
    seconds, seed = variables.get("FUZZ_SECONDS", "240"), variables.get("FUZZ_SEED", "1")
    return [
        *[str(TOOL), "run", f"{variables['SITE_URL']}/openapi.json", "--url", variables["API_URL"]],
        *["--header", f"Authorization: Bearer {_token(variables)}", "--checks", "all", "--continue-on-failure"],
        *["--seed", seed, "--max-time", seconds, "--generation-database", "none", "--no-color"],
    ]


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the tool and its hooks. They disable proxies, because the service is on this machine."""
    chosen = {"FUZZ_USER": variables.get("FUZZ_USER", ""), "FUZZ_FAILED": " ".join(_failed(variables))}
    return {**os.environ, **chosen, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(ROOT / "tests"), "NO_PROXY": "*"}


def _failed(variables: Mapping[str, str]) -> list[str]:
    """Return the ids of failed orders, which only an administrator may retry."""
    if variables.get("FUZZ_USER"):
        return []
    url = f"{variables['API_URL']}/orders?status=failed&limit=200"
    return [order["order_id"] for order in api.expect(200, url, _token(variables))["orders"]]


def _token(variables: Mapping[str, str]) -> str:
    return variables.get("FUZZ_TOKEN") or variables["TOKEN_ADMIN"]


def main() -> int:
    """Run, and return the exit status."""
    file = os.environ.get("STACK_ENV")
    try:
        calls = run({**(envfile.load(Path(file)) if file else {}), **os.environ})
    except StackError as error:
        complain(error)
        return 1
    good(f"    {calls} hostile calls were answered as the document says.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
