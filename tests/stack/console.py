"""Output for a person: progress, results and errors. Colour only on a terminal, never with NO_COLOR or CI."""

import errno
import os
import sys


class StackError(Exception):
    """A failure that the user can act on: what happened, and what to do about it."""

    def __init__(self, happened: str, remedy: str = "") -> None:
        super().__init__(happened)
        self.remedy = remedy


def say(text: str = "") -> None:
    """Print a result, with escapes for what the locale can't encode.

    A closed output (`| head`, a terminal) is ignored.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def step(text: str) -> None:
    """Print the current step."""
    say(f"{_paint('36', '==>')} {text}")


def good(text: str) -> None:
    """Print a success."""
    say(_paint("32", text))


def complain(error: StackError) -> None:
    """Print a failure and its remedy to standard error."""
    print(f"{_paint('31', 'error:', sys.stderr)} {error}", file=sys.stderr)
    if error.remedy:
        print(f"       {error.remedy}", file=sys.stderr, flush=True)


def _paint(colour: str, text: str, stream=sys.stdout) -> str:
    plain = "NO_COLOR" in os.environ or "CI" in os.environ or not stream.isatty()
    return text if plain else f"\033[{colour}m{text}\033[0m"
