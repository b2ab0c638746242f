"""The functions' logs."""

import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

from stack import envfile, logs
from stack.console import StackError
from stack.settings import Settings


class Unreachable(unittest.TestCase):
    def test_dead_emulator_is_named(self) -> None:
        with tempfile.TemporaryDirectory() as state:
            settings = replace(Settings.from_environment(), state=Path(state), emulator_port=1)
            envfile.save(settings, {})
            with self.assertRaises(StackError) as raised:
                logs.show(settings)
        self.assertIn("is not running", str(raised.exception))
