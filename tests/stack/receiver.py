"""An example of a fulfilment endpoint: `python3 tests/stack/receiver.py PORT SECRET`.

It checks each call's signature, fulfils each order once even if it is sent again, and prints what it did.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

TOLERANCE_SECONDS = 300
# An order is at most 322,000 bytes.
LONGEST = 1 << 20


def key_of(secret: str) -> bytes:
    """Return the key of a secret: the decoded base64 after `whsec_`, or the bytes of the text."""
    return base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()


def is_ours(headers: Mapping[str, str], body: bytes, key: bytes) -> bool:
    """Whether one of the signatures is valid for the body and recent (https://www.standardwebhooks.com)."""
    call_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    code = hmac.new(key, f"{call_id}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(code)
    signatures = headers.get("webhook-signature", "").encode().split(b" ")
    is_recent = sent_at.isdecimal() and abs(time.time() - int(sent_at)) < TOLERANCE_SECONDS
    return is_recent and any(hmac.compare_digest(expected, signature) for signature in signatures)


class Receiver(BaseHTTPRequestHandler):
    """Receives the calls. It keeps the fulfilled orders in memory; a real endpoint stores them."""

    key = b""
    fulfilled: set[str] = set()
    fulfils = Lock()
    timeout = 10  # Seconds for each read: a connection that sends nothing does not keep its thread.

    def do_POST(self) -> None:
        """Fulfil the order once. Answers 401 to a call without a valid signature."""
        length = self.headers.get("Content-Length", "")
        body = self.rfile.read(int(length)) if length.isdecimal() and int(length) <= LONGEST else b""
        if not is_ours(self.headers, body, self.key):
            self.send_response(401)
        else:
            order = json.loads(body)
            order_id = order["order_id"]  # This is the idempotency key. The signature does not cover the header.
            with self.fulfils:
                print("again   " if order_id in self.fulfilled else "fulfils ", order, flush=True)
                self.fulfilled.add(order_id)
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_) -> None:
        """Log nothing else."""


if __name__ == "__main__":
    port, Receiver.key = int(sys.argv[1]), key_of(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
