"""The end of a stack and of its processes."""

import os
import signal
import subprocess
import unittest
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

from stack import envfile, lifecycle, logs, processes, stopping
from stack.case import StackTest
from stack.console import StackError
from stack.records import Records, locked
from stack.settings import Settings


class End(StackTest):
    def test_error_of_the_block_is_shown_although_another_command_stops(self) -> None:
        self.enterContext(mock.patch.object(lifecycle, "step"))
        with self.assertRaises(ZeroDivisionError), locked(self.settings), lifecycle.stopped_afterwards(self.settings):
            raise ZeroDivisionError

    def test_logs_are_printed_before_a_failure_stops_the_emulator(self) -> None:
        self.enterContext(mock.patch.multiple(lifecycle, step=mock.DEFAULT, ports=mock.DEFAULT))
        settings = self.settings
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
        within = replace(self.settings, state=self.settings.state / "cargo")
        with locked(self.settings), locked(within):
            server = processes.start("it", ["sleep", "60"], {}, within.log("it"))
            Records.load(within).add(server)
        self.addCleanup(server.stop)
        stopping.clean(self.settings)
        self.assertFalse(server.alive or self.settings.state.exists())

    def test_directory_of_other_files_is_left_as_it_is(self) -> None:
        names = {"env", "tmp", "project"}
        for name in names:
            (self.settings.state / name).mkdir()
        (self.settings.state / "project/lock").touch()
        for verb in (lifecycle.up, stopping.down, stopping.clean):
            with self.subTest(verb.__name__), self.assertRaisesRegex(StackError, "has no stack"):
                verb(self.settings)
        self.assertEqual({path.name for path in self.settings.state.iterdir()}, names)

    def test_dead_emulator_is_named(self) -> None:
        envfile.save(self.settings, {})
        with self.assertRaisesRegex(StackError, "is not running"):
            logs.show(self.settings)


class Interrupted(unittest.TestCase):
    def test_command_that_ignores_sigterm_is_killed(self) -> None:
        # The command inherits it.
        self.addCleanup(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, signal.SIG_IGN))
        interrupted = mock.patch.object(subprocess.Popen, "wait", autospec=True, side_effect=[InterruptedError, None])
        with mock.patch.object(processes, "PATIENCE", 0.1), interrupted as wait, self.assertRaises(InterruptedError):
            processes.run(["sleep", "20"], os.environ, Path("/"))
        self.assertEqual(wait.call_args.args[0].wait(timeout=10), -signal.SIGKILL)
