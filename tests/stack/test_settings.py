"""The directory of a stack."""

import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from stack.console import StackError
from stack.settings import ROOT, Settings


class Directory(unittest.TestCase):
    def test_empty_variable_counts_as_unset(self) -> None:
        self.assertEqual(Settings.from_environment({"STACK_DIR": ""}).state, ROOT / ".local")

    def test_repository_home_and_their_parents_are_refused(self) -> None:
        home = Path(self.enterContext(tempfile.TemporaryDirectory())) / "home"
        home.mkdir()
        link = home / "link"
        link.symlink_to(ROOT)
        self.enterContext(mock.patch.dict(os.environ, {"HOME": str(home)}))
        for directory in (".", ".local/..", str(ROOT.parent), "/", str(home), str(home.parent), str(link)):
            with self.subTest(directory), self.assertRaisesRegex(StackError, "STACK_DIR is .* which contains"):
                Settings.from_environment({"STACK_DIR": directory})
        self.assertEqual(Settings.from_environment({"STACK_DIR": str(home / "new")}).state, home / "new")
