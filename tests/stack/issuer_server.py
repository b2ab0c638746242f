"""The issuer's server, with its documents and sign-in: ``python -m stack.issuer_server KEY_FILE ISSUER_URL ORIGIN``.

Only scripts of ORIGIN, which is the dashboard's, may read answers, and only of two paths. The browser itself opens
``/authorize`` and ``/logout``. A script that could read the answer of ``/authorize`` would have the code for a token.
"""

import json
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import RSAAlgorithm

from stack.code_flow import CodeFlow, Refused
from stack.issuer import KEY_ID

# The longest form. The flow's forms are shorter.
MOST_BYTES = 16_384
# What the dashboard's script reads.
SCRIPTED = ("/.well-known/openid-configuration", "/token")


class Handler(BaseHTTPRequestHandler):
    """Serves the issuer's documents by their paths, and the flow."""

    pages: dict[str, dict]
    flow: CodeFlow
    # The origin of the dashboard.
    origin: str

    def do_GET(self) -> None:
        """Answer with a document, start the flow, or sign out."""
        url = urlsplit(self.path)
        steps = {"/authorize": self.flow.authorize, "/logout": self.flow.end_session}
        if url.path in steps:
            self._flow(lambda: steps[url.path](dict(parse_qsl(url.query))))
        else:
            self._answer(200 if self.path in self.pages else 404, json.dumps(self.pages.get(self.path, {})), {})

    def do_POST(self) -> None:
        """Exchange a code for a token."""
        length = min(int(self.headers.get("Content-Length", 0)), MOST_BYTES)
        form = dict(parse_qsl(self.rfile.read(length).decode(errors="replace")))
        self._flow(lambda: (200, json.dumps(self.flow.token(form)), {}))

    def _flow(self, step: Callable[[], tuple[int, str, dict[str, str]]]) -> None:
        try:
            answer = step()
        except Refused as refused:
            answer = 400, json.dumps({"error": str(refused)}), {}
        self._answer(*answer)

    def _answer(self, status: int, body: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        common = {"Cache-Control": "no-store", "Content-Length": str(len(body.encode()))}
        shared = {"Access-Control-Allow-Origin": self.origin} if self.path in SCRIPTED else {}
        for name, value in {"Content-Type": "application/json", **common, **shared, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())


def documents(key: bytes, issuer: str) -> dict[str, dict]:
    """Return the issuer's two documents by their paths: its configuration and its public key."""
    public = RSAAlgorithm.to_jwk(load_pem_private_key(key, password=None).public_key(), as_dict=True)
    configuration = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "end_session_endpoint": f"{issuer}/logout",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "id_token_signing_alg_values_supported": ["RS256"],
        "subject_types_supported": ["public"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    }
    keys = {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}
    return {"/.well-known/openid-configuration": configuration, "/.well-known/jwks.json": keys}


def main(key_file: str, issuer: str, origin: str) -> None:
    """Serve until killed, on the host and port of the issuer's URL."""
    key, address = Path(key_file).read_bytes(), urlsplit(issuer)
    Handler.pages, Handler.flow, Handler.origin = documents(key, issuer), CodeFlow(key, issuer), origin
    ThreadingHTTPServer((address.hostname, address.port), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
