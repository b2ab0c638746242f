"""Serves the issuer's OpenID Connect documents: ``python -m stack.issuer_server KEY_FILE ISSUER_URL``."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import RSAAlgorithm

KEY_ID = "local"


def documents(key: bytes, issuer: str) -> dict[str, bytes]:
    """The two documents by their path: what the issuer is, and the public half of its key."""
    public = RSAAlgorithm.to_jwk(load_pem_private_key(key, password=None).public_key(), as_dict=True)
    configuration = {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "id_token_signing_alg_values_supported": ["RS256"],
        "subject_types_supported": ["public"],
        "response_types_supported": ["token"],
    }
    keys = {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}
    return {
        "/.well-known/openid-configuration": json.dumps(configuration).encode(),
        "/.well-known/jwks.json": json.dumps(keys).encode(),
    }


def handler(pages: dict[str, bytes]) -> type[BaseHTTPRequestHandler]:
    """A request handler that knows `pages` and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            self.send_response(404 if page is None else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(page or b"{}")

    return Handler


def main(key_file: str, issuer: str) -> None:
    """Serve until killed, on the host and port of the issuer's URL."""
    with open(key_file, "rb") as file:
        pages = documents(file.read(), issuer)
    address = urlsplit(issuer)
    ThreadingHTTPServer((address.hostname, address.port), handler(pages)).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
