"""Output for a person."""

import contextlib
import io
import os
import unittest

from stack import console


class Encoded(unittest.TestCase):
    def test_character_that_the_locale_lacks_is_escaped(self) -> None:
        with io.TextIOWrapper(io.BytesIO(), "latin-1") as output:
            with contextlib.redirect_stdout(output):
                console.say("\u00e4 \u2713")
            self.assertEqual(output.buffer.getvalue(), b"\xe4 \\u2713\n")


class Closed(unittest.TestCase):
    def test_closed_terminal_is_ignored(self) -> None:
        # A stack has to be stopped then, after a line that says so.
        terminal, ours = os.openpty()
        os.close(terminal)
        with open(ours, "w") as output, contextlib.redirect_stdout(output):
            console.say("Stopping everything")
