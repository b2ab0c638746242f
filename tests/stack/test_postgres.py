"""PostgreSQL's user and data directory."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from stack import postgres
from stack.console import StackError
from stack.settings import Settings


class DataDirectory(unittest.TestCase):
    def setUp(self) -> None:
        self.state = Path(self.enterContext(tempfile.TemporaryDirectory())) / "state"
        self.settings = Settings(self.state, 1, 2, 3)

    def as_root(self, owner: str | type[Exception] = "nobody") -> None:
        self.enterContext(mock.patch("os.geteuid", return_value=0))
        self.enterContext(mock.patch.object(Path, "owner", side_effect=[owner]))

    def test_data_keeps_its_owner(self) -> None:
        (self.state / "postgres").mkdir(parents=True)
        self.as_root(owner="nobody")
        with mock.patch("pwd.getpwall", return_value=[mock.Mock(pw_name="postgres")]):
            self.assertEqual(postgres.account(self.settings), "nobody")

    def test_data_of_root_or_of_a_lost_user_is_refused(self) -> None:
        for owner in ("root", KeyError):
            found = mock.patch.object(Path, "owner", side_effect=[owner])
            with self.subTest(owner), found, self.assertRaisesRegex(StackError, "PostgreSQL can't run as that user"):
                postgres.owner(self.state)

    def test_new_data_belongs_to_postgres_or_else_to_nobody(self) -> None:
        self.as_root()
        self.enterContext(mock.patch("stack.postgres._reaches", return_value=True))
        for users, chosen in ((["root", "postgres"], "postgres"), (["root"], "nobody")):
            entries = [mock.Mock(pw_name=user) for user in users]
            with self.subTest(chosen), mock.patch("pwd.getpwall", return_value=entries):
                self.assertEqual(postgres.account(self.settings), chosen)

    def test_data_moves_to_var_tmp_only_if_its_user_needs_it(self) -> None:
        self.as_root()
        with mock.patch("stack.postgres._reaches", return_value=False):
            elsewhere = postgres.data_directory(self.settings)
            self.assertTrue(elsewhere.is_relative_to("/var/tmp"))
            (self.state / "postgres").mkdir()
            self.assertEqual(postgres.data_directory(self.settings), self.state / "postgres")

    def test_ordinary_user_runs_the_server_itself(self) -> None:
        with mock.patch("os.geteuid", return_value=1000):
            self.assertIsNone(postgres.account(self.settings))
            self.assertEqual(postgres.data_directory(self.settings), self.state / "postgres")
