"""A token issuer for one machine: an RSA key, its OpenID Connect documents over HTTP, and the tokens signed with it."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from stack import api, processes
from stack.console import StackError
from stack.files import write_private
from stack.processes import Server
from stack.settings import AUDIENCE, Settings

NAME = "issuer"
KEY_ID = "local"
SECONDS = 12 * 60 * 60
ORDERS = ("orders/read", "orders/write")
ADMIN = "orders/admin"


def start(settings: Settings) -> Server:
    """Start the issuer, with a new key if there is none."""
    key = key_file(settings)
    if not key.exists():
        pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(key, pem.decode())
    arguments, environment = [str(key), settings.issuer, settings.endpoint], {"PATH": os.environ["PATH"]}
    return processes.start_module(NAME, "stack.issuer_server", arguments, environment, settings.log(NAME))


def answers(settings: Settings) -> bool:
    """Whether the issuer answers."""
    return api.call(f"{settings.issuer}/.well-known/openid-configuration")[0] == 200


def mint(settings: Settings, subject: str, scopes: tuple[str, ...] = ORDERS) -> str:
    """Return a token for `subject` with `scopes`, valid for 12 hours. Raises :class:`StackError` without a key."""
    if not key_file(settings).exists():
        raise StackError("There is no key for signing tokens.", "`make up` creates one.")
    return sign(key_file(settings).read_bytes(), settings.issuer, subject, scopes)


def sign(key: bytes, issuer: str, subject: str, scopes: Iterable[str]) -> str:
    """Return such a token of the issuer with this key."""
    now = int(time.time())
    claims = {"iss": issuer, "aud": AUDIENCE, "sub": subject, "scope": " ".join(scopes), "iat": now}
    return jwt.encode({**claims, "exp": now + SECONDS}, key, algorithm="RS256", headers={"kid": KEY_ID})


def key_file(settings: Settings) -> Path:
    """Return the path of the private key, which only its owner can read."""
    return settings.state / "issuer.pem"
