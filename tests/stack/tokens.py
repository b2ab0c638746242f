"""The tokens of the one-machine issuer, signed with its key."""

import time
from collections.abc import Iterable

import jwt

KEY_ID = "local"
SECONDS = 12 * 60 * 60
ORDERS = ("orders/read", "orders/write")
ADMIN = "orders/admin"


def sign(key: bytes, issuer: str, audience: str, subject: str, scopes: Iterable[str]) -> str:
    """Return a token for `subject` with `scopes`, valid for 12 hours."""
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + SECONDS,
    }
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": KEY_ID})
