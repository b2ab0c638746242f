"""The end of processes."""

import os
import signal
import subprocess
import unittest
from pathlib import Path
from unittest import mock

from stack import processes


class Interrupted(unittest.TestCase):
    def test_command_that_ignores_sigterm_is_killed(self) -> None:
        # The command inherits it.
        self.addCleanup(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, signal.SIG_IGN))
        interrupted = mock.patch.object(subprocess.Popen, "wait", autospec=True, side_effect=[InterruptedError, None])
        with mock.patch.object(processes, "PATIENCE", 0.1), interrupted as wait, self.assertRaises(InterruptedError):
            processes.run(["sleep", "20"], os.environ, Path("/"))
        self.assertEqual(wait.call_args.args[0].wait(timeout=10), -signal.SIGKILL)
