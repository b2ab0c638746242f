"""The smoke test's messages."""

import contextlib
import io
import os
import unittest
from unittest import mock

import smoke


class Answers(unittest.TestCase):
    def setUp(self) -> None:
        token = "." + "eyJzdWIiOiAiYWxpY2UifQ" + "."
        self.enterContext(mock.patch.dict(os.environ, {"API_URL": "https://api.example", "TOKEN": token}))
        self.enterContext(contextlib.redirect_stdout(io.StringIO()))
        self.errors = self.enterContext(contextlib.redirect_stderr(io.StringIO()))

    def test_answer_without_a_status_is_named(self) -> None:
        for number, text in enumerate(("{}", "[]", "<html>"), 1):
            answers = [(200, ""), (401, ""), (201, ""), (200, ""), (200, text)]
            with mock.patch.object(smoke, "call", side_effect=answers):
                self.assertEqual(smoke.main(), 1)
            self.assertEqual(self.errors.getvalue().count("has no status"), number, text)

    def test_call_that_is_too_often_is_repeated(self) -> None:
        self.enterContext(mock.patch("time.sleep"))
        with mock.patch.object(smoke, "call", side_effect=[(429, ""), (429, ""), (200, "well")]):
            self.assertEqual(smoke.expect(200, "https://api.example/healthz"), "well")

    def test_missing_route_names_its_cause(self) -> None:
        with mock.patch.object(smoke, "call", side_effect=[(200, ""), (404, "")]):
            self.assertEqual(smoke.main(), 1)
        self.assertIn("answered 404, expected 401: the gateway has no such route", self.errors.getvalue())
