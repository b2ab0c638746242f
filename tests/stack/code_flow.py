"""Signing in at the one-machine issuer: OAuth 2.0's authorization code flow with PKCE (RFC 6749, RFC 7636).

It has no passwords: a page lets the user choose who to be. It redirects only to this machine.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from html import escape
from urllib.parse import urlencode, urlsplit

from stack import issuer
from stack.settings import CLIENT, HOST

USERS = {"alice": "a customer", "bob": "another customer", "admin": "an operator"}
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sign in</title>
<link rel="icon" href="data:,">
<style>:root {{ color-scheme: light dark }} body {{ max-width: 24rem; margin: 9rem auto }}</style>
<h1>Who are you?</h1><p>The issuer of this machine takes your word for it.</p><ul>{links}</ul></html>"""


class Refused(Exception):
    """An invalid request of the flow. The text is OAuth's error code."""


@dataclass
class CodeFlow:
    """The unused codes. Each can be exchanged for one token."""

    key: bytes
    issuer: str
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, query: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        """Return the answer: a redirect, or the page for choosing a user. It has a status, a body and headers."""
        back = query.get("redirect_uri", "")
        if query.get("client_id") != CLIENT or urlsplit(back).hostname != HOST:
            raise Refused("unauthorized_client")
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            raise Refused("invalid_request")
        if query.get("user") not in USERS:
            return 200, _page(query), {"Content-Type": "text/html; charset=utf-8"}
        code = secrets.token_urlsafe(32)
        self._codes[code] = query
        return 302, "", {"Location": f"{back}?{urlencode({'code': code, 'state': query.get('state', '')})}"}

    def end_session(self, query: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        """Return the redirect of a browser that signs out. No session ends, because each sign-in asks for the user."""
        back = query.get("post_logout_redirect_uri", "")
        if query.get("client_id") != CLIENT or urlsplit(back).hostname != HOST:
            raise Refused("invalid_request")
        return 302, "", {"Location": back}

    def token(self, form: dict[str, str]) -> dict[str, object]:
        """Exchange a code for the answer with a token."""
        asked = self._codes.pop(form.get("code", ""), None)
        if form.get("grant_type") != "authorization_code":
            raise Refused("unsupported_grant_type")
        if asked is None or any(asked[name] != form.get(name) for name in ("client_id", "redirect_uri")):
            raise Refused("invalid_grant")
        if _challenge(form.get("code_verifier", "")) != asked.get("code_challenge"):
            raise Refused("invalid_grant")
        allowed = {*issuer.ORDERS, "openid", *([issuer.ADMIN] if asked["user"] == "admin" else [])}
        scopes = [scope for scope in asked.get("scope", "").split() if scope in allowed]
        return {
            "access_token": issuer.sign(self.key, self.issuer, asked["user"], scopes),
            "token_type": "Bearer",
            "expires_in": issuer.SECONDS,
            "scope": " ".join(scopes),
        }


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _page(query: dict[str, str]) -> str:
    link = '<li><a href="?{query}">{user}</a>, {role}</li>'
    links = [
        link.format(query=escape(urlencode({**query, "user": user})), user=user, role=role)
        for user, role in USERS.items()
    ]
    return PAGE.format(links="".join(links))
