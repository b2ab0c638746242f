"""The set-up and the output of every command."""

import contextlib
import io
import os
import socket
import unittest
import urllib.request
from pathlib import Path
from unittest import mock

import botocore.utils

from stack import cli, console, ports, processes
from stack.case import StackTest
from stack.console import StackError
from stack.processes import Server
from stack.records import Records
from stack.settings import ROOT, Settings


class Failures(StackTest):
    def test_directory_that_can_not_be_used_is_named(self) -> None:
        errors = self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        with mock.patch.dict(os.environ, {"STACK_DIR": __file__}), mock.patch("signal.signal"):
            self.assertEqual(cli.main(["up"]), 1)
        self.assertIn(f"File exists: '{__file__}'", errors.getvalue())

    def test_servers_of_a_killed_command_are_not_called_a_running_stack(self) -> None:
        said = self.enterContext(mock.patch.object(cli, "say"))
        records = Records.load(self.settings)
        records.owner = Server("make run", 1, 0)
        records.add(processes.this_process("emulator"))
        with self.assertRaisesRegex(StackError, "was killed") as raised:
            cli.status(self.settings)
        self.assertIn("emulator   running", said.call_args.args[0])
        self.assertEqual(raised.exception.remedy, "`make down` stops them.")

    def test_port_in_use_is_changed_for_the_same_command(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with self.assertRaises(StackError) as raised:
                ports.check_free(Settings(Path("/nowhere"), 1500, 1501, 1502), ("the watcher", port, "WATCH_PORT"))
        remedy = f"For example, add WATCH_PORT={port + 1000} to the same command."
        self.assertEqual(raised.exception.remedy, remedy)


class Directory(StackTest):
    def test_empty_variable_counts_as_unset(self) -> None:
        self.assertEqual(Settings.from_environment({"STACK_DIR": ""}).state, ROOT / ".local")

    def test_repository_home_and_their_parents_are_refused(self) -> None:
        home = self.settings.state
        link = home / "link"
        link.symlink_to(ROOT)
        self.enterContext(mock.patch.dict(os.environ, {"HOME": str(home)}))
        for directory in (".", ".local/..", str(ROOT.parent), "/", str(home), str(home.parent), str(link)):
            with self.subTest(directory), self.assertRaisesRegex(StackError, "STACK_DIR is .* which contains"):
                Settings.from_environment({"STACK_DIR": directory})
        self.assertEqual(Settings.from_environment({"STACK_DIR": str(home / "new")}).state, home / "new")


class Output(unittest.TestCase):
    def test_character_that_the_locale_lacks_is_escaped(self) -> None:
        with io.TextIOWrapper(io.BytesIO(), "latin-1") as output:
            with contextlib.redirect_stdout(output):
                console.say("\u00e4 \u2713")
            self.assertEqual(output.buffer.getvalue(), b"\xe4 \\u2713\n")

    def test_closed_terminal_is_ignored(self) -> None:
        # A stack has to be stopped then, after a line that says so.
        terminal, ours = os.openpty()
        os.close(terminal)
        with open(ours, "w") as output, contextlib.redirect_stdout(output):
            console.say("Stopping everything")


class Proxies(unittest.TestCase):
    def test_servers_of_this_machine_are_called_directly(self) -> None:
        variables = {"http_proxy": "http://proxy.example:1", "NO_PROXY": "intranet.example"}
        with mock.patch.dict(os.environ, variables, clear=True):
            self.assertFalse(urllib.request.proxy_bypass("127.0.0.1:4566"))
            cli.pass_by_proxies(os.environ)
            for host in ("127.0.0.1", "localhost", "intranet.example"):
                self.assertTrue(urllib.request.proxy_bypass(f"{host}:4566"), host)
                self.assertEqual(botocore.utils.get_environ_proxies(f"http://{host}:4566/"), {}, host)
            self.assertFalse(urllib.request.proxy_bypass("aws.example"))
