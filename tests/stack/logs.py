"""The functions' logs in the emulated CloudWatch."""

from botocore.exceptions import ConnectionError as NoConnection
from botocore.exceptions import HTTPClientError

from stack import envfile
from stack.console import StackError, say
from stack.deploy import client
from stack.settings import Settings

FRAME = ("START RequestId", "END RequestId", "REPORT RequestId")


def show(settings: Settings, count: int = 40) -> None:
    """Print the last `count` log lines of each function, without Lambda's own lines.

    Raises :class:`stack.console.StackError` if no stack is running.
    """
    envfile.read(settings)
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
