#!/usr/bin/env python3
"""Smoke test of a deployment: creates one order by the calls that a client makes, and follows it to its end.

    API_URL=https://… TOKEN=… python3 tests/smoke.py

=================================  =====================================================================================
variable                           meaning
=================================  =====================================================================================
``API_URL``                        the URL of the API, the output ``ApiUrl``
``TOKEN``                          a token with the scopes ``orders/read`` and ``orders/write``; or, to get one:
``TOKEN_URL``                      the issuer's token endpoint for machines, the output ``TokenUrl``
``CLIENT_ID``, ``CLIENT_SECRET``   the machine's credentials
``SMOKE_SECONDS``                  the most seconds that the order may take; 120 by default
=================================  =====================================================================================

It needs only Python, leaves one completed order of one cent, prints each answer's status, and exits with 1 at the first
unexpected answer.
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.client import HTTPException

NO_ROUTE = "the gateway has no such route; was its authorizer created? Check that JwtIssuer can be read, and deploy"


class UnexpectedAnswerError(Exception):
    """An answer that a working deployment does not give."""


def main() -> int:
    """Check the deployment. Returns the exit status."""
    try:
        order_id = check(os.environ["API_URL"].rstrip("/"), token(), float(os.environ.get("SMOKE_SECONDS", "120")))
    except KeyError as missing:
        print(f"error: {missing} is not set", file=sys.stderr)
    except (UnexpectedAnswerError, OSError, HTTPException, UnicodeError) as error:
        print(f"error: {error}", file=sys.stderr)
    else:
        print(f"The deployment works: {order_id} is completed.")
        return 0
    return 1


def check(url: str, bearer: str, seconds: float) -> str:
    """Create an order and wait until it is completed. Returns its id."""
    order_id = f"smoke-{uuid.uuid4().hex[:12]}"
    order = {"order_id": order_id, "user_id": subject(bearer), "item_ids": ["smoke"]}
    order |= {"total_amount": "0.01", "currency": "EUR"}
    expect(200, f"{url}/healthz")
    expect(401, f"{url}/orders/{order_id}")
    expect(201, f"{url}/orders", bearer, order)
    expect(200, f"{url}/orders", bearer, order)  # A repeat creates no second order.
    deadline = time.monotonic() + seconds
    read = f"{url}/orders/{order_id}/status"
    while (status := member(expect(200, read, bearer, quiet=True), "status")) != "completed":
        if status in ("failed", "cancelled") or time.monotonic() > deadline:
            raise UnexpectedAnswerError(f"{order_id} is {status}, not completed")
        time.sleep(1)
    expect(200, f"{url}/orders/{order_id}", bearer)
    return order_id


def expect(status: int, url: str, bearer: str = "", body: dict | None = None, quiet: bool = False) -> str:
    """Call, check the status, and return the answer's text. With `quiet`, do not print the status."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    for _ in range(11):
        answered, text = call(urllib.request.Request(url, data, headers))
        if answered != 429:
            break
        time.sleep(1)  # Others use up the route's rate at the moment.
    if not quiet:
        print(f"{'GET' if body is None else 'POST'} {urllib.parse.urlsplit(url).path}: {answered}")
    if answered != status:
        # The gateway refuses a call without a token itself, unless it has no route for it.
        why = NO_ROUTE if (status, answered) == (401, 404) else text[:500]
        raise UnexpectedAnswerError(f"{url} answered {answered}, expected {status}: {why}")
    return text


def member(text: str, name: str) -> str:
    """Return a member of an answer's JSON."""
    try:
        return json.loads(text)[name]
    except (ValueError, KeyError, TypeError) as error:
        raise UnexpectedAnswerError(f"an answer has no {name}") from error


def call(request: urllib.request.Request) -> tuple[int, str]:
    """Return the status and the text of the answer, for an error status too."""
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def token() -> str:
    """Return the given token, or one that the issuer grants for the machine's secret."""
    if given := os.environ.get("TOKEN"):
        return given
    secret = f"{os.environ['CLIENT_ID']}:{os.environ['CLIENT_SECRET']}".encode()
    form = {"grant_type": "client_credentials", "scope": "orders/read orders/write"}
    headers = {"Authorization": f"Basic {base64.b64encode(secret).decode()}"}
    request = urllib.request.Request(os.environ["TOKEN_URL"], urllib.parse.urlencode(form).encode(), headers)
    status, text = call(request)
    if status != 200:
        raise UnexpectedAnswerError(f"the issuer granted no token: {status}")
    return member(text, "access_token")


def subject(bearer: str) -> str:
    """Return the subject of the token, without verifying it. The deployment verifies it."""
    try:
        claims = bearer.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]
    except (IndexError, ValueError, KeyError) as error:
        raise UnexpectedAnswerError("TOKEN is not a JWT") from error


if __name__ == "__main__":
    sys.exit(main())
