"""Hooks for schemathesis that adapt generated calls to rules that the OpenAPI document can't express.

They do not change calls that are invalid on purpose.
"""

import hashlib
import itertools
import json
import os

import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation

from stack import api

KEY = "Idempotency-Key"
USER = os.environ.get("FUZZ_USER", "")
MAX_ORDER_IDS = 100
MAX_ORDERS = 500


def _failed() -> list[str]:
    """Return the ids of failed orders, which only an administrator may retry."""
    url = f"{os.environ['API_URL']}/orders?status=failed&limit=200"
    return [] if USER else [order["order_id"] for order in api.expect(200, url, os.environ["FUZZ_TOKEN"])["orders"]]


FAILED = itertools.cycle(_failed())


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """Set a unique idempotency key, the user of the token, and a failed order for a retry.

    A batch with invalid orders counts as valid: it must be answered 200.
    """
    if case.meta is None:
        return
    if case.meta.generation.mode.is_negative:
        if _only_orders_are_invalid(case):
            case.meta.generation.mode = GenerationMode.POSITIVE
        return
    if case.headers and KEY in case.headers:
        case.headers[KEY] = hashlib.sha256(json.dumps(case.body, default=str).encode()).hexdigest()
    for order in _orders(case.body):
        if USER and "user_id" in order:
            order["user_id"] = USER
        _fit(order)
    if case.operation.path == "/orders/{order_id}/retry":
        case.path_parameters["order_id"] = next(FAILED, case.path_parameters["order_id"])


@schemathesis.hook
def filter_query(context, query) -> bool:
    """Drop lists with values that are invalid as JSON alone, such as null: in a query each of them is valid text.

    A list that is too long stays invalid.
    """
    lists = [values for values in (query or {}).values() if isinstance(values, list)]
    return all(len(values) > MAX_ORDER_IDS or all(isinstance(value, str) for value in values) for values in lists)


def _only_orders_are_invalid(case) -> bool:
    """Return whether nothing is invalid except orders of a batch, which the service refuses in their places."""
    invalid = {part for part, component in case.meta.components.items() if component.mode.is_negative}
    if case.operation.path != "/orders/batch" or invalid != {ParameterLocation.BODY}:
        return False
    orders = case.body.get("orders") if isinstance(case.body, dict) and len(case.body) == 1 else None
    return isinstance(orders, list) and 1 <= len(orders) <= MAX_ORDERS


def _fit(order: dict) -> None:
    """Keep the rules between values: a currency bounds its amount's decimals, and a time is at most 30 days ahead."""
    amount = order.get("total_amount")
    if isinstance(amount, str) and ("currency" in order or len(amount.partition(".")[2]) > 2):
        order["total_amount"] = amount.partition(".")[0]
    elif isinstance(amount, float) and ("currency" in order or amount != round(amount, 2)):
        order["total_amount"] = int(amount)
    if isinstance(order.get("process_after"), str):
        order["process_after"] = "2020" + order["process_after"][4:]


def _orders(body: object) -> list[dict]:
    """Return the orders in a body: a single one or a batch."""
    if not isinstance(body, dict):
        return []
    many = body.get("orders")
    return [each for each in many if isinstance(each, dict)] if isinstance(many, list) else [body]
