"""Rehearses a broken release and its roll-back under load: ``python -m stack rehearsal`` within a temporary stack.

It moves the aliases of api and processor to versions that reach no database, as a deployment would, and later back, as
``aws lambda update-alias`` does. Every order that was acknowledged in that time has to be completed.
"""

import threading
import time
import uuid
from collections import Counter

from stack import api, deploy, envfile
from stack.console import StackError, good, say, step
from stack.settings import Settings

ALIAS = "live"
NOWHERE = "postgres://app@127.0.0.1:1/nowhere"
# The broken version's messages become visible again after 120 s. The sweeper finds orders without one within 240 s.
PATIENCE = 360


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

    def answered(self, status: int) -> list[str]:
        """Return the orders that were answered with this status so far."""
        return [order_id for order_id, answer in list(self.answers.items()) if answer == status]

    def wait_for(self, status: int) -> None:
        """Wait until 40 more orders were answered with this status. Raises :class:`StackError` otherwise."""
        expected = len(self.answered(status)) + 40
        _wait(f"40 orders are answered {status}", 60, lambda: len(self.answered(status)) >= expected)


def rehearse(settings: Settings) -> None:
    """Release, roll back and count. Raises :class:`StackError` if an acknowledged order is lost."""
    client, env = deploy.client(settings, "lambda"), envfile.read(settings)
    orders = Orders(env)
    orders.start()
    orders.wait_for(201)
    step("Releasing a broken version of api and processor")
    functions = [env["API_FUNCTION"], env["PROCESSOR_FUNCTION"]]
    versions = [_release_broken(client, name) for name in functions]
    orders.wait_for(503)
    step("Rolling back")
    for name, version in zip(functions, versions, strict=True):
        client.update_alias(FunctionName=name, Name=ALIAS, FunctionVersion=version)
    orders.wait_for(201)
    orders.stop()
    accepted = orders.answered(201)
    say(f"    answered: {dict(Counter(orders.answers.values()))}")
    step(f"Waiting for the {len(accepted)} acknowledged orders")
    _wait("every acknowledged order is completed", PATIENCE, lambda: not _unfinished(env, accepted))
    good("    All are completed; none was lost.")


def _release_broken(client, name: str) -> str:
    """Move the function's alias to a new version that reaches no database. Returns the version before."""
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    broken = {"Variables": {**variables, "DATABASE_URL": NOWHERE}}
    client.update_function_configuration(FunctionName=name, Environment=broken)
    version = client.publish_version(FunctionName=name)["Version"]
    before = client.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"]
    client.update_alias(FunctionName=name, Name=ALIAS, FunctionVersion=version)
    say(f"    {name}: version {version} instead of {before}")
    return before


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
            raise StackError(f"Not within {seconds:.0f} s: {what}.")
        time.sleep(0.2)
