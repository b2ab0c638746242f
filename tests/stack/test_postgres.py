"""PostgreSQL's user and data directory."""

import os
from pathlib import Path
from unittest import mock

from stack import packages, postgres
from stack.case import StackTest
from stack.console import StackError


class DataDirectory(StackTest):
    def as_root(self, owner: str | type[Exception] = "nobody") -> None:
        self.enterContext(mock.patch("os.geteuid", return_value=0))
        self.enterContext(mock.patch.object(Path, "owner", side_effect=[owner]))

    def test_data_keeps_its_owner(self) -> None:
        (self.settings.state / "postgres").mkdir()
        self.as_root(owner="nobody")
        with mock.patch("pwd.getpwall", return_value=[mock.Mock(pw_name="postgres")]):
            self.assertEqual(postgres.account(self.settings), "nobody")

    def test_data_of_root_or_of_a_lost_user_is_refused(self) -> None:
        for owner in ("root", KeyError):
            found = mock.patch.object(Path, "owner", side_effect=[owner])
            with self.subTest(owner), found, self.assertRaisesRegex(StackError, "PostgreSQL can't run as that user"):
                postgres.owner(self.settings.state)

    def test_new_data_belongs_to_postgres_or_else_to_nobody(self) -> None:
        self.as_root()
        self.enterContext(mock.patch("stack.postgres._reaches", return_value=True))
        for users, chosen in ((["root", "postgres"], "postgres"), (["root"], "nobody")):
            entries = [mock.Mock(pw_name=user) for user in users]
            with self.subTest(chosen), mock.patch("pwd.getpwall", return_value=entries):
                self.assertEqual(postgres.account(self.settings), chosen)

    def test_data_moves_to_var_lib_only_if_its_user_needs_it(self) -> None:
        self.as_root()
        with mock.patch("stack.postgres._reaches", return_value=False):
            elsewhere = postgres.data_directory(self.settings)
            self.assertTrue(elsewhere.is_relative_to("/var/lib"))
            (self.settings.state / "postgres").mkdir()
            self.assertEqual(postgres.data_directory(self.settings), self.settings.state / "postgres")

    def test_ordinary_user_runs_the_server_itself(self) -> None:
        with mock.patch("os.geteuid", return_value=1000):
            self.assertIsNone(postgres.account(self.settings))
            self.assertEqual(postgres.data_directory(self.settings), self.settings.state / "postgres")


class Version(StackTest):
    """Data that PostgreSQL 15 created."""

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch("os.geteuid", return_value=1000))
        (self.settings.state / "postgres").mkdir()
        (self.settings.state / "postgres/PG_VERSION").write_text("15\n")
        self.started = self.enterContext(mock.patch("stack.postgres.processes.start"))
        packages.postgres_binaries.cache_clear()
        self.addCleanup(packages.postgres_binaries.cache_clear)

    def install(self, *versions: int) -> None:
        """Let the machine have only these versions."""
        for version in versions:
            for name in ("initdb", "postgres"):
                self.put(f"{version}/{name}", f"echo 'postgres (PostgreSQL) {version}.1'")
        self.enterContext(mock.patch.object(Path, "glob", return_value=[]))
        path = os.pathsep.join(str(self.place / str(version)) for version in versions)
        self.enterContext(mock.patch.dict(os.environ, {"PATH": path}))

    def test_data_is_served_by_the_version_that_created_it(self) -> None:
        self.install(17, 15)
        postgres.start(self.settings)
        self.assertEqual(self.started.call_args.args[1][0], str(self.place / "15/postgres"))

    def test_missing_version_is_named(self) -> None:
        self.install(17)
        with self.assertRaisesRegex(StackError, "created by PostgreSQL 15, but 17 is installed") as raised:
            postgres.start(self.settings)
        self.assertEqual(raised.exception.remedy, "Install postgresql-15, or give up the data: `make clean`.")
        self.started.assert_not_called()
