"""The file of a running stack."""

import resource
from dataclasses import replace
from unittest import mock

import jwt

from stack import cli, envfile, issuer, lifecycle, records
from stack.case import StackTest
from stack.console import StackError

ISSUER = "http://127.0.0.1:5567"


class File(StackTest):
    def setUp(self) -> None:
        super().setUp()
        self.said = self.enterContext(mock.patch.object(cli, "say"))

    def start_elsewhere(self) -> None:
        """Write the file of a stack whose issuer has another port, with a useless token."""
        with mock.patch("stack.issuer.processes.start_module"):
            issuer.start(self.settings)
        names = ("API_URL", "SITE_URL", "TOKEN_ALICE")
        envfile.save(self.settings, {**dict.fromkeys(names, "x"), "OIDC_ISSUER": ISSUER})

    def test_second_up_renews_tokens_and_changes_no_parameter(self) -> None:
        self.start_elsewhere()
        with mock.patch.object(lifecycle, "up", return_value=False):
            cli.up(replace(self.settings, parameters=("EventBus=default",)))
        self.assertEqual(self.claims(envfile.read(self.settings)["TOKEN_ALICE"])["iss"], ISSUER)
        self.assertIn("SAM_PARAMETERS has no effect", self.said.call_args_list[0].args[0])

    def test_token_is_of_the_running_stack_without_its_variables(self) -> None:
        self.start_elsewhere()
        cli.token(self.settings)
        self.assertEqual(self.claims(self.said.call_args.args[0])["iss"], ISSUER)

    def test_stack_that_starts_is_not_called_stopped(self) -> None:
        with records.locked(self.settings), self.assertRaisesRegex(StackError, "is starting or stopping"):
            cli.status(self.settings)
        with self.assertRaisesRegex(StackError, "Nothing is running"):
            cli.status(self.settings)

    def test_full_disk_leaves_the_file_as_it_was(self) -> None:
        envfile.save(self.settings, {"API_URL": "x"})
        self.assertEqual(self.settings.env_file.stat().st_mode & 0o777, 0o600)
        # A file that exceeds the limit fails a write, as a full disk does.
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE))
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, most))
        with self.assertRaises(OSError):
            envfile.save(self.settings, {"API_URL": "y" * 100})
        self.assertEqual(envfile.read(self.settings), {"API_URL": "x"})

    def claims(self, token: str) -> dict:
        return jwt.decode(token, options={"verify_signature": False})
