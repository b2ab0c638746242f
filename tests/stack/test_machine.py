"""Messages about a machine that lacks something."""

import os
import unittest
from pathlib import Path
from unittest import mock

from stack import apt, machine
from stack.case import StackTest
from stack.console import StackError
from stack.machine import Need

LINKER = Need("a linker", lambda: False, ("gcc", "libc6-dev"))
PERL = Need("Perl", lambda: False, ("perl",))
RUST = Need("Rust", lambda: False, by_hand="see rustup.rs")


class Missing(unittest.TestCase):
    def lacking(self, *needs: Need, is_usable: bool) -> tuple[StackError, mock.Mock]:
        """Check a machine that lacks this, also after apt's installation. Returns the error and the installation."""
        self.enterContext(mock.patch("stack.machine.needs", return_value=needs))
        self.enterContext(mock.patch("stack.apt.is_usable", return_value=is_usable))
        install = self.enterContext(mock.patch("stack.apt.install"))
        with self.assertRaises(StackError) as raised:
            machine.ensure()
        return raised.exception, install

    def test_apt_installs_all_at_once_and_what_it_could_not_is_named(self) -> None:
        error, install = self.lacking(LINKER, PERL, is_usable=True)
        install.assert_called_once_with(["gcc", "libc6-dev", "perl"])
        self.assertEqual(str(error), "This machine lacks:\n  - a linker\n  - Perl")

    def test_one_message_names_everything_that_is_missing(self) -> None:
        error, install = self.lacking(LINKER, PERL, RUST, is_usable=True)
        install.assert_not_called()
        self.assertEqual(str(error), "This machine lacks:\n  - a linker\n  - Perl\n  - Rust: see rustup.rs")
        self.assertIn("sudo apt-get install gcc libc6-dev perl", error.remedy)

    def test_nothing_is_installed_without_apt_or_root(self) -> None:
        with mock.patch("os.geteuid", return_value=1000):
            for program in ("apt-get", "sudo"):
                with mock.patch("shutil.which", side_effect=lambda name, found=program: name == found or None):
                    self.assertFalse(apt.is_usable(), program)
        self.lacking(PERL, is_usable=False)[1].assert_not_called()


class OfABareMachine(StackTest):
    """A machine without programs, or with insufficient ones."""

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.dict(os.environ, {"PATH": str(self.place)}))

    def lacks(self, name: str) -> bool:
        return not next(need for need in machine.needs() if name in need.name).is_present()

    def test_every_missing_program_is_noticed(self) -> None:
        for name in ("Rust", "Clippy", "(cc)", "make", "OpenSSL", "Perl"):
            self.assertTrue(self.lacks(name), name)

    def test_program_without_its_files_is_missing(self) -> None:
        self.put("cc", "echo 'cannot find crt1.o' >&2; exit 1")
        self.put("perl", "exit 2")
        self.assertTrue(self.lacks("(cc)") and self.lacks("Perl"))

    def test_old_python_is_missing(self) -> None:
        for version, is_missing in (((3, 9, 2), True), ((3, 10, 12), True), ((3, 11, 0), False), ((3, 13, 5), False)):
            with self.subTest(version=version), mock.patch("sys.version_info", version):
                self.assertEqual(self.lacks("Python 3.11"), is_missing)

    def test_old_compiler_is_missing(self) -> None:
        self.put("cargo", "echo cargo 1.95.0")
        for version, is_enough in (("1.63.0", False), ("1.95.0-nightly", True), ("2.0.0", True)):
            self.put("rustc", f"echo 'rustc {version} (0123 2026-01-01)'")
            self.assertEqual(machine.has_rust("1.94"), is_enough, version)

    def test_old_postgresql_is_missing(self) -> None:
        self.put("initdb", "")
        self.enterContext(mock.patch.object(Path, "glob", return_value=[]))
        for version, lacks in (("13.22", True), ("14.0 (Debian 14.0-1)", False), ("19beta1", False)):
            self.put("postgres", f"echo 'postgres (PostgreSQL) {version}'")
            self.assertEqual(self.lacks("PostgreSQL"), lacks, version)
