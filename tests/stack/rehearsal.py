"""Rehearses a broken release and its roll-back under load: ``python -m stack.rehearsal`` within a stack.

It moves the aliases of api and processor to versions that reach no database, as a deployment would, and later back, as
``aws lambda update-alias`` does. Every order that was acknowledged in that time has to be completed.
"""

import os
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

from stack import api, deploy, envfile
from stack.console import StackError, complain, good, say, step
from stack.settings import Settings

ALIAS = "live"
NOWHERE = "postgres://app@127.0.0.1:1/nowhere"
# The messages of the broken version become visible again after the visibility timeout, 120 s.
PATIENCE = 240


class Orders(threading.Thread):
    """Creates an order every 50 ms until it is stopped, and records each status."""

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._env, self._stopped = env, threading.Event()
        self.answers: dict[str, int] = {}

    def run(self) -> None:
        run = uuid.uuid4().hex[:8]
        while not self._stopped.wait(0.05):
            order_id = f"rehearsal-{run}-{len(self.answers)}"
            order = {"order_id": order_id, "user_id": "alice", "item_ids": ["a"], "total_amount": "1.00"}
            url, token = f"{self._env['API_URL']}/orders", self._env["TOKEN_ALICE"]
            self.answers[order_id], _ = api.call(url, token, order)

    def stop(self) -> None:
        """Create no more orders."""
        self._stopped.set()
        self.join()

    def answered(self) -> Counter:
        """Return how many orders were answered with each status so far."""
        return Counter(list(self.answers.values()))

    def wait_for(self, status: int, count: int, seconds: float = 60) -> None:
        """Wait until this many more orders were answered with this status. Raises :class:`StackError` otherwise."""
        expected = self.answered()[status] + count
        _wait(f"{count} orders are answered {status}", seconds, lambda: self.answered()[status] >= expected)


class Function:
    """A function with a version behind its alias."""

    def __init__(self, client, name: str) -> None:
        self._client, self._name = client, name
        self._version = client.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"]
        self._variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def release_broken(self) -> str:
        """Move the alias to a new version that reaches no database. Returns its number."""
        self._configure({**self._variables, "DATABASE_URL": NOWHERE})
        version = self._client.publish_version(FunctionName=self._name)["Version"]
        self._move(version)
        return version

    def roll_back(self) -> None:
        """Move the alias back, and restore the configuration for the next version."""
        self._move(self._version)
        self._configure(self._variables)

    def _move(self, version: str) -> None:
        self._client.update_alias(FunctionName=self._name, Name=ALIAS, FunctionVersion=version)

    def _configure(self, variables: dict[str, str]) -> None:
        self._client.update_function_configuration(FunctionName=self._name, Environment={"Variables": variables})


def rehearse(settings: Settings, env: dict[str, str]) -> None:
    """Release, roll back and count. Raises :class:`StackError` if an acknowledged order is lost."""
    client = deploy.client(settings, "lambda")
    functions = [Function(client, env[f"{name}_FUNCTION"]) for name in ("API", "PROCESSOR")]
    orders = Orders(env)
    orders.start()
    orders.wait_for(201, 40)
    step("Releasing a broken version of api and processor")
    say(f"    versions {' and '.join(function.release_broken() for function in functions)}")
    orders.wait_for(503, 40)
    step("Rolling back")
    for function in functions:
        function.roll_back()
    orders.wait_for(201, 40)
    orders.stop()
    accepted = [order_id for order_id, status in orders.answers.items() if status == 201]
    say(f"    answered: {dict(orders.answered())}")
    step(f"Waiting for the {len(accepted)} acknowledged orders")
    _wait("every acknowledged order is completed", PATIENCE, lambda: not _unfinished(env, accepted))
    good("    All are completed; none was lost.")


def _unfinished(env: dict[str, str], order_ids: list[str]) -> bool:
    """Whether an order is not completed yet. Removes completed orders from the list."""
    while order_ids:
        url = f"{env['API_URL']}/orders/{order_ids[-1]}/status"
        if api.expect(200, url, env["TOKEN_ALICE"])["status"] != "completed":
            return True
        order_ids.pop()
    return False


def _wait(what: str, seconds: float, holds) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise StackError(f"Not within {seconds:.0f} s: {what}.", "See `make logs`.")
        time.sleep(0.2)


def main() -> int:
    """Rehearse on the stack of `STACK_ENV`. Returns the exit status."""
    try:
        rehearse(Settings.from_environment(), envfile.load(Path(os.environ["STACK_ENV"])))
    except StackError as error:
        complain(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
