"""Stops a stack and deletes its files.

``python3 -m stack.stopping`` deletes them with the machine's own Python, also without the environment in .venv.
"""

import shutil
import signal
import sys
from dataclasses import replace

from stack import postgres
from stack.console import StackError, complain, say
from stack.records import Records, check_made_by_stack, locked
from stack.settings import Settings


def down(settings: Settings) -> bool:
    """Stop the stack. Returns false if nothing was running."""
    with locked(settings):
        records = Records.load(settings)
        ran = any(server.alive for server in records.servers)
        clear(settings, records)
        if not settings.keeps_data:
            # The next start would be slowed down: ext4 creates files slowly for minutes after it deleted many.
            postgres.remove_data(settings)
    return ran


def clean(settings: Settings) -> None:
    """Stop the stack and those in directories within its own, such as `.local/test`, and delete their files.

    Raises :class:`StackError` if ``STACK_DIR`` is a directory without a stack.
    """
    if not settings.state.exists():
        return
    check_made_by_stack(settings.state)
    for lock in [*settings.state.glob("lock"), *settings.state.glob("*/lock")]:
        stack = replace(settings, state=lock.parent)
        down(stack)
        postgres.remove_data(stack)
    shutil.rmtree(settings.state)


def clear(settings: Settings, records: Records) -> None:
    """Stop these servers, and delete the files that describe them."""
    settings.env_file.unlink(missing_ok=True)
    records.stop_all()
    shutil.rmtree(settings.state / "tmp", ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        own = Settings.from_environment()
        clean(own)
        say(f"{own.shown(own.state)} is deleted.")
    except (StackError, OSError) as error:
        complain(error if isinstance(error, StackError) else StackError(f"{error}."))
        sys.exit(1)
