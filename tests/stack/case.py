"""What the tests of the stack's own code have in common."""

import tempfile
import unittest
from pathlib import Path

from stack.settings import Settings


class StackTest(unittest.TestCase):
    """A test with the settings of a stack in an empty directory, and with a place for other files beside it."""

    def setUp(self) -> None:
        self.place = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.settings = Settings(self.place / "state", 1, 2, 3)
        self.settings.state.mkdir()

    def put(self, name: str, script: str) -> Path:
        """Write a program that the shell runs. Returns its path."""
        program = self.place / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        return program
