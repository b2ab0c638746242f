"""A client of the deployed API."""

import json
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from stack.console import StackError


def call(url: str, token: str = "", body: Any = None) -> tuple[int, Any]:
    """GET `url`, or POST `body` as JSON. Returns the status, 0 for no answer, and the JSON of the answer."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {**headers, "Content-Type": "application/json"})
    try:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
    except (OSError, HTTPException, ValueError) as error:
        return 0, str(error)


def expect(status: int, url: str, token: str = "", body: Any = None) -> Any:
    """Like :func:`call`, but returns only the JSON. Raises :class:`StackError` for any other status."""
    got, answer = call(url, token, body)
    if got != status:
        method = "GET" if body is None else "POST"
        raise StackError(f"{method} {url} answered {got} instead of {status}: {answer}")
    return answer


def wait_healthy(api_url: str, seconds: float = 30) -> None:
    """Wait until the API reaches its database. Raises :class:`StackError` with the last answer after `seconds`."""
    deadline = time.monotonic() + seconds
    while (answered := call(f"{api_url}/healthz"))[0] != 200:
        if time.monotonic() > deadline:
            raise StackError(f"GET {api_url}/healthz answers {answered[0]}: {answered[1]}")
        time.sleep(0.2)
