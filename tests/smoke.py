#!/usr/bin/env python3
"""Shows that a deployment works: one order goes through it, by the calls that a client makes.

    API_URL=https://… TOKEN=… python3 tests/smoke.py

=================================  =====================================================================================
variable                           meaning
=================================  =====================================================================================
``API_URL``                        where the deployment is, the output ``ApiUrl``
``TOKEN``                          a token with the scopes ``orders/read`` and ``orders/write``; or, to get one:
``TOKEN_URL``                      where the issuer hands tokens out to machines, the output ``TokenUrl``
``CLIENT_ID``, ``CLIENT_SECRET``   the machine that asks
``SECONDS``                        how long the order may take, 120 unless told
=================================  =====================================================================================

It needs nothing but Python, leaves one completed order of a few cents, prints what it sees and ends with 1 at the first
answer that is not as it should be.
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


class Broken(Exception):
    """An answer that is not as it should be."""


def main() -> int:
    """Try the deployment; returns the exit status."""
    try:
        order_id = check(os.environ["API_URL"].rstrip("/"), token(), float(os.environ.get("SECONDS", "120")))
    except KeyError as missing:
        print(f"error: {missing} is not set", file=sys.stderr)
    except (Broken, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
    else:
        print(f"The deployment works: {order_id} is completed.")
        return 0
    return 1


def check(url: str, bearer: str, seconds: float) -> str:
    """Bring an order from its creation to its end; returns its id."""
    order_id = f"smoke-{uuid.uuid4().hex[:12]}"
    order = {"order_id": order_id, "user_id": subject(bearer), "item_ids": ["smoke"], "total_amount": "0.01"}
    expect(200, f"{url}/healthz")
    expect(401, f"{url}/orders/{order_id}")
    expect(201, f"{url}/orders", bearer, order)
    expect(200, f"{url}/orders", bearer, order)  # A repeat is no second order.
    deadline = time.monotonic() + seconds
    while (status := expect(200, f"{url}/orders/{order_id}/status", bearer, seen=True)["status"]) != "completed":
        if status in ("failed", "cancelled") or time.monotonic() > deadline:
            raise Broken(f"{order_id} is {status} and not completed")
        time.sleep(1)
    expect(200, f"{url}/orders/{order_id}", bearer)
    return order_id


def expect(status: int, url: str, bearer: str = "", body: dict | None = None, seen: bool = False) -> dict:
    """Call, and give the answer's JSON; the status has to be this one. `seen` says that it need not be printed."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    answered, text = call(urllib.request.Request(url, data, headers))
    if not seen:
        print(f"{'GET' if body is None else 'POST'} {urllib.parse.urlsplit(url).path}: {answered}")
    if answered != status:
        raise Broken(f"{url} answered {answered} and not {status}: {text[:500]}")
    return json.loads(text)


def call(request: urllib.request.Request) -> tuple[int, str]:
    """Status and text of the answer, whatever the status."""
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def token() -> str:
    """The token that is given, or one that the issuer gives for the machine's secret."""
    if given := os.environ.get("TOKEN"):
        return given
    secret = f"{os.environ['CLIENT_ID']}:{os.environ['CLIENT_SECRET']}".encode()
    form = {"grant_type": "client_credentials", "scope": "orders/read orders/write"}
    headers = {"Authorization": f"Basic {base64.b64encode(secret).decode()}"}
    request = urllib.request.Request(os.environ["TOKEN_URL"], urllib.parse.urlencode(form).encode(), headers)
    status, text = call(request)
    if status != 200:
        raise Broken(f"no token was given: {status}")
    return json.loads(text)["access_token"]


def subject(bearer: str) -> str:
    """Whose the token is. The deployment verifies it; here it is only read."""
    try:
        claims = bearer.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]
    except (IndexError, ValueError, KeyError) as error:
        raise Broken("TOKEN is no token") from error


if __name__ == "__main__":
    sys.exit(main())
