"""The functions' calls to AWS: the emulator notes each, and holds the functions that it runs to their roles.

``tests/calls.json`` names the calls that are known, function by function, and the template's policies are held to it. A
test that builds a function in its own process gives it an access key with the function's name, or ``function`` for any.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stack.console import StackError
from stack.settings import ROOT, Settings

RECORD = ROOT / "tests" / "calls.json"
FUNCTIONS = ("api", "migrate", "processor", "site", "sweeper")
ANY = "function"


def watch(journal: Path) -> None:
    """Have this process's emulator note what functions call, and refuse what their roles don't allow.

    To be called before it starts. Other clients may do everything: they are the tests and the tools.
    """
    from ministack import app
    from ministack.core import iam_evaluator

    # Functions reach it by plain HTTP on the loopback address, which stands for TLS.
    pin_origin = app.pin_request_origin
    app.pin_request_origin = lambda address, _: pin_origin(address, True)
    iam_evaluator.check_credentials = lambda *_: None
    iam_evaluator.enforce = _enforce_on_functions(iam_evaluator.enforce, journal)


def check(settings: Settings) -> None:
    """Raise :class:`StackError` when a call was noted that is not known."""
    record = json.loads(RECORD.read_text())
    known = {f"{function}\t{call}" for function, calls in record.items() for call in calls}
    known |= {f"{ANY}\t{call}" for calls in record.values() for call in calls}
    noted = {line.rsplit("\t", 1)[0] for line in settings.calls.read_text().splitlines()}
    if unknown := sorted(noted - known):
        calls = ", ".join(call.replace("\t", " calls ") for call in unknown)
        raise StackError(
            f"{RECORD.name} does not name every call that was made: {calls}.",
            "Have tests/integration/calls.rs make it too, and record it: RECORD_CALLS=1.",
        )


def _enforce_on_functions(enforce: Callable[..., Any], journal: Path) -> Callable[..., Any]:
    journal.write_text("")
    noted = set()

    def enforced(access_key: str, action: str, service: str, region: str, resource_arn: str = "*", **context) -> Any:
        function = _function(access_key)
        if function is None:
            return None
        if service == "sqs":
            # A call for ten messages is allowed by the action of a call for one.
            action = action.removesuffix("Batch")
        if action == "events:DescribeEventBus":
            # The emulator takes the name of the bus for that of a rule.
            resource_arn = resource_arn.replace(":rule/default/", ":event-bus/")
        is_deployed = access_key != function
        denied = enforce(access_key, action, service, region, resource_arn, **context) if is_deployed else None
        # A function may carry on after a refused call. No record names such a call, so `check` fails for it.
        call = f"{'in vain ' if denied else ''}{action} on {_resource(resource_arn)}"
        line = f"{function}\t{call}\t{resource_arn}\n"
        if line not in noted:
            noted.add(line)
            with journal.open("a") as file:
                file.write(line)
        return denied

    return enforced


def _function(access_key: str) -> str | None:
    """The function that an access key is of: its name in a test's process, a session of its role where deployed."""
    if access_key in (*FUNCTIONS, ANY):
        return access_key
    from ministack.services import sts

    role = re.search(r":assumed-role/.*?-(\w+)Role-", sts._sessions.get(access_key, {}).get("Arn", ""))
    return role[1].lower() if role else None


def _resource(arn: str) -> str:
    """The template's name of a resource; the ARN of one that is not known."""
    if ":secretsmanager:" in arn:
        return "DatabaseSecret"
    if ":event-bus/" in arn:
        return "EventBus"
    names = {r":sqs:.*-orders$": "OrderQueue", r":sqs:.*(-DeadLetterQueue-\w+|-dead-letters)$": "DeadLetterQueue"}
    return next((name for pattern, name in names.items() if re.search(pattern, arn)), arn)
