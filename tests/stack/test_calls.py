"""What is noted of functions' calls, and what fails a run."""

from unittest import mock

from stack import calls
from stack.case import StackTest
from stack.console import StackError

ORDERS = "arn:aws:sqs:us-east-1:000000000000:test-1-orders"


class Noted(StackTest):
    def setUp(self) -> None:
        super().setUp()
        function = calls._function
        deployed = {"ASIA1": "api"}
        find = mock.patch.object(calls, "_function", side_effect=lambda key: deployed.get(key) or function(key))
        self.enterContext(find)

    def call(self, access_key: str, action: str) -> str | None:
        """Make a call that the roles of deployed functions do not allow."""
        enforced = calls._enforce_on_functions(lambda *_, **__: "refused", self.settings.calls)
        return enforced(access_key, action, "sqs", "us-east-1", ORDERS, service_context={})

    def test_known_call_passes_and_any_call_of_another_client(self) -> None:
        self.assertIsNone(self.call("processor", "sqs:SendMessageBatch"))
        self.assertEqual(self.settings.calls.read_text(), f"processor\tsqs:SendMessage on OrderQueue\t{ORDERS}\n")
        calls.check(self.settings)
        self.assertIsNone(self.call("test", "sqs:PurgeQueue"))
        calls.check(self.settings)

    def test_unknown_or_refused_call_of_a_function_fails(self) -> None:
        for access_key, action, answer, problem in [
            ("processor", "sqs:GetQueueAttributes", None, "processor calls sqs:GetQueueAttributes on OrderQueue"),
            (calls.ANY, "sqs:PurgeQueue", None, "function calls sqs:PurgeQueue"),
            ("ASIA1", "sqs:SendMessage", "refused", "api calls in vain sqs:SendMessage"),
        ]:
            self.assertEqual(self.call(access_key, action), answer)
            with self.subTest(problem), self.assertRaisesRegex(StackError, problem):
                calls.check(self.settings)
