"""The end of a stack."""

import tempfile
import unittest
from pathlib import Path

from stack import lifecycle, processes
from stack.records import Records, locked
from stack.settings import Settings


class Clean(unittest.TestCase):
    def test_clean_stops_the_stacks_within_and_deletes_everything(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            state = Path(directory) / "state"
            within = Settings(state / "cargo", 1, 2, 3)
            with locked(within):
                server = processes.start("it", ["sleep", "60"], {}, within.log("it"))
                Records.load(within).add(server)
            self.addCleanup(server.stop)
            lifecycle.clean(Settings(state, 1, 2, 3))
            self.assertFalse(server.alive or state.exists())
