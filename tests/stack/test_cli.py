"""The set-up of every command."""

import contextlib
import io
import os
import socket
import tempfile
import unittest
import urllib.request
from pathlib import Path
from unittest import mock

import botocore.utils

from stack import cli, demo, issuer, ports, processes
from stack.console import StackError
from stack.processes import Server
from stack.records import Records
from stack.settings import Settings


class Failures(unittest.TestCase):
    def test_directory_that_can_not_be_used_is_named(self) -> None:
        errors = self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        with mock.patch.dict(os.environ, {"STACK_DIR": __file__}), mock.patch("signal.signal"):
            self.assertEqual(cli.main(["up"]), 1)
        self.assertIn(f"File exists: '{__file__}'", errors.getvalue())

    def test_servers_of_a_killed_command_are_not_called_a_running_stack(self) -> None:
        state = self.enterContext(tempfile.TemporaryDirectory())
        said = self.enterContext(mock.patch.object(cli, "say"))
        settings = Settings(Path(state), 1, 2, 3)
        records = Records.load(settings)
        records.owner = Server("make run", 1, 0)
        records.add(processes.this_process("emulator"))
        with self.assertRaisesRegex(StackError, "was killed") as raised:
            cli.status(settings)
        self.assertIn("emulator   running", said.call_args.args[0])
        self.assertEqual(raised.exception.remedy, "`make down` stops them.")

    def test_port_in_use_is_changed_for_the_same_command(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with self.assertRaises(StackError) as raised:
                ports.check_free(Settings(Path("/nowhere"), 1500, 1501, 1502), ("the watcher", port, "WATCH_PORT"))
        remedy = f"For example, add WATCH_PORT={port + 1000} to the same command."
        self.assertEqual(raised.exception.remedy, remedy)


class Demonstration(unittest.TestCase):
    def test_tokens_are_renewed_before_they_expire(self) -> None:
        self.enterContext(mock.patch.multiple(demo, say=mock.DEFAULT, step=mock.DEFAULT))
        self.enterContext(mock.patch.dict(os.environ, {"DISPLAY": "", "WAYLAND_DISPLAY": ""}))
        envs = [{"SITE_URL": "x", "API_URL": "x", "TOKEN_ADMIN": token} for token in ("old", "new")]
        self.enterContext(mock.patch.object(demo.envfile, "read", side_effect=envs))
        renew = self.enterContext(mock.patch.object(demo.envfile, "renew"))
        now = self.enterContext(mock.patch.object(demo.time, "time", return_value=0))
        used = []

        def call(_status, _url, token, _order) -> dict:
            used.append(token)
            now.return_value += issuer.SECONDS / 3
            if len(used) == 4:
                raise StackError("the end")
            return {"order_id": "x"}

        self.enterContext(mock.patch.multiple(demo.api, expect=call, call=mock.DEFAULT))
        self.enterContext(mock.patch.object(demo.time, "sleep"))
        with self.assertRaisesRegex(StackError, "the end"):
            demo.run(Settings(Path("/nowhere"), 1, 2, 3))
        self.assertEqual(used, ["old", "old", "new", "new"])
        renew.assert_called_once()


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
