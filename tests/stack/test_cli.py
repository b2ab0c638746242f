"""The set-up of every command."""

import contextlib
import io
import os
import unittest
import urllib.request
from unittest import mock

import botocore.utils

from stack import cli


class Failures(unittest.TestCase):
    def test_directory_that_can_not_be_used_is_named(self) -> None:
        errors = self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        with mock.patch.dict(os.environ, {"STACK_DIR": __file__}), mock.patch("signal.signal"):
            self.assertEqual(cli.main(["up"]), 1)
        self.assertIn(f"File exists: '{__file__}'", errors.getvalue())


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
