"""What the OpenAPI document can't say of the calls that schemathesis makes up; loaded by schemathesis itself.

A call that is meant to be wrong is left as it is.
"""

import hashlib
import itertools
import json
import os

import schemathesis

KEY = "Idempotency-Key"
USER = os.environ.get("FUZZ_USER", "")
FAILED = itertools.cycle(os.environ.get("FUZZ_FAILED", "").split())


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """Give each order a key of its own and the user whose token it is, and a retry an order that has failed."""
    if case.meta is None or case.meta.generation.mode.is_negative:
        return
    if case.headers and KEY in case.headers:
        case.headers[KEY] = hashlib.sha256(json.dumps(case.body, default=str).encode()).hexdigest()
    for order in _orders(case.body):
        if USER and "user_id" in order:
            order["user_id"] = USER
        _fit(order)
    if case.operation.path == "/orders/{order_id}/retry":
        case.path_parameters["order_id"] = next(FAILED, case.path_parameters["order_id"])


def _fit(order: dict) -> None:
    """Keep the rules between values: a currency bounds its amount's decimals, and a time is at most 30 days ahead."""
    amount = order.get("total_amount")
    if "currency" in order or len(str(amount).partition(".")[2]) > 2:
        if isinstance(amount, str):
            order["total_amount"] = amount.partition(".")[0]
        elif isinstance(amount, float):
            order["total_amount"] = int(amount)
    if isinstance(order.get("process_after"), str):
        order["process_after"] = "2020" + order["process_after"][4:]


def _orders(body: object) -> list[dict]:
    """The orders in a body, whether it is one or many."""
    if not isinstance(body, dict):
        return []
    many = body.get("orders")
    return [each for each in many if isinstance(each, dict)] if isinstance(many, list) else [body]
