"""The end of a stack."""

import tempfile
import unittest
from functools import partial
from pathlib import Path
from unittest import mock

from stack import lifecycle, processes, stopping
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

    def test_logs_are_printed_before_a_failure_stops_the_emulator(self) -> None:
        self.enterContext(mock.patch.multiple(lifecycle, step=mock.DEFAULT, ports=mock.DEFAULT))
        settings = Settings(Path(self.enterContext(tempfile.TemporaryDirectory())), 1, 2, 3)
        self.enterContext(mock.patch("stack.emulator.answers", side_effect=lambda _: Records.load(settings).running))
        shown = self.enterContext(mock.patch("stack.logs.show_last"))

        def bring_up(settings: Settings, records: Records, problem: str | None = "the start failed") -> None:
            server = processes.start("emulator", ["sleep", "60"], {}, settings.log("emulator"))
            self.addCleanup(server.stop)
            records.add(server)
            if problem:
                raise StackError(problem)

        with self.assertRaisesRegex(StackError, "the start failed"):
            lifecycle.up(settings, bring_up=bring_up)
        shown.assert_called_once()
        lifecycle.up(settings, bring_up=partial(bring_up, problem=None))
        with self.assertRaisesRegex(StackError, "the block failed"), lifecycle.stopped_afterwards(settings):
            raise StackError("the block failed")
        self.assertEqual(shown.call_count, 2)
        self.assertEqual(Records.load(settings).servers, [])

    def test_clean_stops_the_stacks_within_and_deletes_everything(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            state = Path(directory) / "state"
            within = Settings(state / "cargo", 1, 2, 3)
            with locked(Settings(state, 1, 2, 3)), locked(within):
                server = processes.start("it", ["sleep", "60"], {}, within.log("it"))
                Records.load(within).add(server)
            self.addCleanup(server.stop)
            stopping.clean(Settings(state, 1, 2, 3))
            self.assertFalse(server.alive or state.exists())

    def test_directory_of_other_files_is_left_as_it_is(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            names = {"env", "tmp", "project"}
            for name in names:
                (Path(directory) / name).mkdir()
            (Path(directory) / "project/lock").touch()
            for verb in (lifecycle.up, stopping.down, stopping.clean):
                with self.subTest(verb.__name__), self.assertRaisesRegex(StackError, "has no stack"):
                    verb(Settings(Path(directory), 1, 2, 3))
            self.assertEqual({path.name for path in Path(directory).iterdir()}, names)

    def test_stack_of_an_earlier_version_is_recognised(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            state = Path(directory) / "state"
            (state / "log").mkdir(parents=True)
            for name in ("lock", "log/postgres.log"):
                (state / name).touch()
            stopping.clean(Settings(state, 1, 2, 3))
            self.assertFalse(state.exists())
