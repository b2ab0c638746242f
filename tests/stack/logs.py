"""The functions' logs in the emulated CloudWatch."""

import contextlib
from collections.abc import Iterator

from botocore.exceptions import ConnectionError as NoConnection
from botocore.exceptions import HTTPClientError

from stack import emulator, envfile
from stack.console import StackError, say
from stack.deploy import client
from stack.settings import Settings

FRAME = ("START RequestId", "END RequestId", "REPORT RequestId")


def show(settings: Settings) -> None:
    """Print the last log lines of each function. Raises :class:`StackError` if no stack is running."""
    envfile.read(settings)
    show_last(settings, 40)


@contextlib.contextmanager
def shown_after_failure(settings: Settings) -> Iterator[None]:
    """Print them if the block fails. The emulator keeps the logs in memory, so they are lost when it stops."""
    try:
        yield
    except StackError:
        if emulator.answers(envfile.at_its_ports(settings)):
            with contextlib.suppress(Exception):  # The block's failure is the one to report.
                show_last(settings, 10)
        raise


def show_last(settings: Settings, count: int) -> None:
    """Print the last `count` log lines of each function, without Lambda's own lines.

    Raises :class:`StackError` if the emulator is not running.
    """
    cloudwatch = client(envfile.at_its_ports(settings), "logs")
    try:
        groups = cloudwatch.describe_log_groups()["logGroups"]
    except (NoConnection, HTTPClientError) as error:
        raise StackError("The emulated AWS of this stack is not running.", "`make up` starts it again.") from error
    for group in groups:
        pages = cloudwatch.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        messages = (event["message"].rstrip() for page in pages for event in page["events"])
        lines = [message for message in messages if not message.startswith(FRAME)]
        say(f"---- {group['logGroupName']}: {len(lines)} lines" + (f", the last {count}" if len(lines) > count else ""))
        for line in lines[-count:]:
            say(line)
