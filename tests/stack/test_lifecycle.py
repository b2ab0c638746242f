"""The end of a stack."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from stack import lifecycle, processes
from stack.console import StackError
from stack.records import Records, locked
from stack.settings import Settings


class End(unittest.TestCase):
    def test_error_of_the_block_is_shown_although_another_command_stops(self) -> None:
        self.enterContext(mock.patch.object(lifecycle, "step"))
        with tempfile.TemporaryDirectory() as directory, self.assertRaises(ZeroDivisionError):
            settings = Settings(Path(directory), 1, 2, 3)
            with locked(settings), lifecycle.stopped_afterwards(settings):
                raise ZeroDivisionError

    def test_clean_stops_the_stacks_within_and_deletes_everything(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            state = Path(directory) / "state"
            within = Settings(state / "cargo", 1, 2, 3)
            with locked(Settings(state, 1, 2, 3)), locked(within):
                server = processes.start("it", ["sleep", "60"], {}, within.log("it"))
                Records.load(within).add(server)
            self.addCleanup(server.stop)
            lifecycle.clean(Settings(state, 1, 2, 3))
            self.assertFalse(server.alive or state.exists())

    def test_directory_of_other_files_is_left_as_it_is(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            names = {"env", "tmp", "project"}
            for name in names:
                (Path(directory) / name).mkdir()
            (Path(directory) / "project/lock").touch()
            for verb in (lifecycle.up, lifecycle.down, lifecycle.clean):
                with self.subTest(verb.__name__), self.assertRaisesRegex(StackError, "has no stack"):
                    verb(Settings(Path(directory), 1, 2, 3))
            self.assertEqual({path.name for path in Path(directory).iterdir()}, names)

    def test_stack_of_an_earlier_version_is_recognised(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            state = Path(directory) / "state"
            (state / "log").mkdir(parents=True)
            for name in ("lock", "log/postgres.log"):
                (state / name).touch()
            lifecycle.clean(Settings(state, 1, 2, 3))
            self.assertFalse(state.exists())
