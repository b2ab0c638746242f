"""The inner loop."""

import signal
import subprocess
import sys
import tomllib
from unittest import mock

from stack import dev
from stack.case import StackTest
from stack.records import Records

SHOWING = """
import os, signal, sys
from pathlib import Path
from stack import dev, settings
with dev.shown_log(settings.Settings(Path(sys.argv[1]), 1, 2, 3)):
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Watching(StackTest):
    def test_path_of_the_runner_may_contain_a_space(self) -> None:
        runner = "/home/you/my shop/dev_runner.py"
        self.enterContext(mock.patch.object(dev.dev_runner, "__file__", runner))
        for name in ("client", "processes.wait_until", "step", "Records.add"):
            self.enterContext(mock.patch(f"stack.dev.{name}"))
        with mock.patch("stack.dev.processes.start") as start:
            dev._watch(self.settings, Records(self.settings.state / "services.json"))
        command = start.call_args.args[1]
        (target,) = tomllib.loads(command[command.index("--config") + 1])["target"].values()
        self.assertEqual(target, {"runner": [runner]})

    def test_shown_log_ends_with_a_killed_command(self) -> None:
        log = self.settings.log(dev.NAME)
        log.parent.mkdir()
        log.touch()
        shown = subprocess.Popen([sys.executable, "-c", SHOWING, self.settings.state], stdout=subprocess.PIPE)
        self.assertEqual(shown.wait(), -signal.SIGKILL)
        # The output ends when no process can write to it any more.
        shown.communicate(timeout=10)
