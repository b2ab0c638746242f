"""The set-up of every command."""

import os
import unittest
import urllib.request
from unittest import mock

import botocore.utils

from stack import cli


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
