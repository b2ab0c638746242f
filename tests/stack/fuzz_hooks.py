"""What the OpenAPI document can't say of the calls that schemathesis makes up; loaded by schemathesis itself."""

import hashlib
import json
import os

import schemathesis

KEY = "Idempotency-Key"
USER = os.environ.get("FUZZ_USER", "")


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """Give each order a key of its own, and the user whose token it is, where the call has valid ones."""
    if case.headers and _is_key(case.headers.get(KEY)):
        case.headers[KEY] = hashlib.sha256(json.dumps(case.body, default=str).encode()).hexdigest()
    for order in _orders(case.body):
        if USER and isinstance(order.get("user_id"), str) and 1 <= len(order["user_id"]) <= 128:
            order["user_id"] = USER


def _is_key(key: object) -> bool:
    return isinstance(key, str) and 1 <= len(key) <= 255 and key.isascii() and key.isprintable() and key == key.strip()


def _orders(body: object) -> list[dict]:
    """The orders in a body, whether it is one or many."""
    if not isinstance(body, dict):
        return []
    many = body.get("orders")
    return [each for each in many if isinstance(each, dict)] if isinstance(many, list) else [body]
