"""A token issuer for one machine: an RSA key, its OpenID Connect documents over HTTP, and the tokens signed with it."""

import os
import urllib.error
import urllib.request
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from stack import processes, tokens
from stack.console import StackError
from stack.files import write_private
from stack.processes import Server
from stack.settings import AUDIENCE, Settings

NAME = "issuer"
ORDERS = tokens.ORDERS


def start(settings: Settings) -> Server:
    """Start the issuer; :func:`wait` waits until it answers."""
    key = key_file(settings)
    if not key.exists():
        _create_key(key)
    arguments = [str(key), settings.issuer]
    return processes.start_module(
        NAME, "stack.issuer_server", arguments, {"PATH": os.environ["PATH"]}, settings.log(NAME)
    )


def wait(settings: Settings, server: Server) -> None:
    """Wait until the issuer answers."""
    processes.wait_until(lambda: _healthy(settings), server, settings.log(NAME), seconds=15)


def mint(settings: Settings, subject: str, scopes: tuple[str, ...] = ORDERS) -> str:
    """Return a token for `subject` with `scopes`, valid for 12 hours. Raises :class:`StackError` without a key."""
    if not key_file(settings).exists():
        raise StackError("There is no key for signing tokens.", "`make up` creates one.")
    return tokens.sign(key_file(settings).read_bytes(), settings.issuer, AUDIENCE, subject, scopes)


def key_file(settings: Settings) -> Path:
    """Return the path of the private key, which only its owner can read."""
    return settings.state / "issuer.pem"


def _create_key(path: Path) -> None:
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, pem.decode())


def _healthy(settings: Settings) -> bool:
    try:
        with urllib.request.urlopen(f"{settings.issuer}/.well-known/openid-configuration", timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False
