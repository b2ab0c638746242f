"""Output for a person."""

import contextlib
import os
import unittest

from stack import console


class Closed(unittest.TestCase):
    def test_closed_terminal_is_ignored(self) -> None:
        # A stack has to be stopped then, after a line that says so.
        terminal, ours = os.openpty()
        os.close(terminal)
        with open(ours, "w") as output, contextlib.redirect_stdout(output):
            console.say("Stopping everything")
