"""The issuer's server, with its documents and sign-in: ``python -m stack.issuer_server KEY_FILE ISSUER_URL``."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import RSAAlgorithm

from stack.code_flow import CodeFlow, Refused
from stack.tokens import KEY_ID

# The longest form. The flow's forms are shorter.
MOST_BYTES = 16_384


def documents(key: bytes, issuer: str) -> dict[str, bytes]:
    """Return the issuer's two documents by their paths: its configuration and its public key."""
    public = RSAAlgorithm.to_jwk(load_pem_private_key(key, password=None).public_key(), as_dict=True)
    configuration = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "id_token_signing_alg_values_supported": ["RS256"],
        "subject_types_supported": ["public"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    }
    keys = {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}
    return {
        "/.well-known/openid-configuration": json.dumps(configuration).encode(),
        "/.well-known/jwks.json": json.dumps(keys).encode(),
    }


def handler(pages: dict[str, bytes], flow: CodeFlow) -> type[BaseHTTPRequestHandler]:
    """Return a request handler for `pages` and the flow."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/authorize":
                self._authorize(dict(parse_qsl(url.query)))
            else:
                page = pages.get(self.path)
                self._answer(404 if page is None else 200, page or b"{}")

        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length", 0)), MOST_BYTES)
            form = dict(parse_qsl(self.rfile.read(length).decode(errors="replace")))
            try:
                if self.path != "/token":
                    raise Refused("invalid_request")
                self._answer(200, json.dumps(flow.token(form)).encode())
            except Refused as refused:
                self._answer(400, json.dumps({"error": str(refused)}).encode())

        def _authorize(self, query: dict[str, str]) -> None:
            try:
                answer, is_address = flow.authorize(query)
            except Refused as refused:
                self._answer(400, json.dumps({"error": str(refused)}).encode())
                return
            if is_address:
                self._answer(302, b"", Location=answer)
            else:
                self._answer(200, answer.encode(), "text/html; charset=utf-8")

        def _answer(self, status: int, body: bytes, content_type: str = "application/json", **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            # Pages of every origin may sign in here, and read these answers.
            self.send_header("Access-Control-Allow-Origin", "*")
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main(key_file: str, issuer: str) -> None:
    """Serve until killed, on the host and port of the issuer's URL."""
    with open(key_file, "rb") as file:
        key = file.read()
    address = urlsplit(issuer)
    serve = handler(documents(key, issuer), CodeFlow(key, issuer))
    ThreadingHTTPServer((address.hostname, address.port), serve).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
