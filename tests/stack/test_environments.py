"""The Python environments of the tools."""

import os
import subprocess
import sys

from stack.case import StackTest
from stack.records import locked
from stack.settings import ROOT

SAME = 'exec python3 "$@"'


class Environment(StackTest):
    def test_environment_of_another_python_is_made_anew(self) -> None:
        self.put("uv/bin/uv", 'echo "$*" >> "${0%/*}/calls"')
        pins = self.put("pins.txt", "")
        stamp = self.put("it/.stamp", "")
        os.utime(pins, (1, 1))
        for script, calls in ((SAME, 0), ("exit 127", 2), ("echo '(3, 1)'", 2)):
            self.put("it/bin/python", script)
            (self.place / "uv/bin/calls").write_text("")
            command = ["tests/stack/make_venv.sh", stamp.parent, pins]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
            with self.subTest(script):
                self.assertEqual(len((self.place / "uv/bin/calls").read_text().splitlines()), calls)

    def test_clean_needs_no_environment(self) -> None:
        state = self.settings.state
        with locked(self.settings):
            pass
        # Without the packages of an environment.
        command = [sys.executable, "-S", "-m", "stack.stopping"]
        environment = {**os.environ, "PYTHONPATH": "tests", "STACK_DIR": str(state)}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        self.assertFalse(state.exists())
