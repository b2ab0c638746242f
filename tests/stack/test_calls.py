"""What is noted of functions' calls, and what fails a run."""

import tempfile
import unittest
import unittest.mock
from dataclasses import replace
from pathlib import Path
from typing import Any

from stack import calls
from stack.console import StackError
from stack.settings import Settings

ORDERS = "arn:aws:sqs:us-east-1:000000000000:test-1-orders"


class Noted(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.settings = replace(Settings.from_environment({}), state=Path(place.name))

    def call(self, access_key: str, action: str, denied: Any = None) -> Any:
        enforced = calls._enforce_on_functions(lambda *_, **__: denied, self.settings.calls)
        return enforced(access_key, action, "sqs", "us-east-1", ORDERS, service_context={})

    def assert_fails(self, call: str) -> None:
        with self.assertRaisesRegex(StackError, call):
            calls.check(self.settings)

    def test_known_call_passes_for_its_function(self) -> None:
        self.assertIsNone(self.call("processor", "sqs:SendMessageBatch"))
        self.assertEqual(self.settings.calls.read_text(), f"processor\tsqs:SendMessage on OrderQueue\t{ORDERS}\n")
        calls.check(self.settings)

    def test_call_that_only_another_function_makes_fails(self) -> None:
        self.call("processor", "sqs:GetQueueAttributes")
        self.assert_fails("processor calls sqs:GetQueueAttributes on OrderQueue")

    def test_call_that_no_function_is_known_to_make_fails(self) -> None:
        self.call(calls.ANY, "sqs:PurgeQueue")
        self.assert_fails("function calls sqs:PurgeQueue")

    def test_refused_call_of_a_deployed_function_fails_though_it_is_known(self) -> None:
        with unittest.mock.patch.object(calls, "_function", return_value="api"):
            self.assertEqual(self.call("ASIA1", "sqs:SendMessage", "refused"), "refused")
        self.assert_fails("api calls in vain sqs:SendMessage")

    def test_other_clients_may_do_everything(self) -> None:
        self.assertIsNone(self.call("test", "sqs:PurgeQueue", "refused"))
        calls.check(self.settings)
