"""The Python environments of the tools."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from stack.records import locked
from stack.settings import ROOT, Settings

SAME = 'exec python3 "$@"'
UV = """#!/bin/sh
echo "$*" >> "${0%/*}/calls"
"""


class Environment(unittest.TestCase):
    def setUp(self) -> None:
        self.place = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.put("uv/bin/uv", UV)

    def put(self, name: str, text: str) -> Path:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o700)
        return path

    def test_environment_of_another_python_is_made_anew(self) -> None:
        pins = self.put("pins.txt", "")
        stamp = self.put("it/.stamp", "")
        os.utime(pins, (1, 1))
        for script, calls in ((SAME, 0), ("exit 127", 2), ("echo '(3, 1)'", 2)):
            self.put("it/bin/python", f"#!/bin/sh\n{script}\n")
            (self.place / "uv/bin/calls").write_text("")
            command = ["tests/stack/make_venv.sh", stamp.parent, pins]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
            with self.subTest(script):
                self.assertEqual(len((self.place / "uv/bin/calls").read_text().splitlines()), calls)

    def test_clean_needs_no_environment(self) -> None:
        state = self.place / "state"
        with locked(Settings(state, 1, 2, 3)):
            pass
        # Without the packages of an environment.
        command = [sys.executable, "-S", "-m", "stack.stopping"]
        environment = {**os.environ, "PYTHONPATH": "tests", "STACK_DIR": str(state)}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        self.assertFalse(state.exists())
