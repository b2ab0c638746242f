"""Which answers of the issuer a page of another origin may read."""

import threading
import unittest
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer

from stack.code_flow import CodeFlow
from stack.issuer_server import Handler

SIGN_IN = (
    "/authorize?client_id=dashboard&redirect_uri=http://127.0.0.1:4566/dashboard&response_type=code"
    "&code_challenge_method=S256&code_challenge=of-the-attacker&user=admin&scope=orders/admin"
)
SIGN_OUT = "/logout?client_id=dashboard&post_logout_redirect_uri=http://127.0.0.1:4566/dashboard"


class Origins(unittest.TestCase):
    def setUp(self) -> None:
        class Quiet(Handler):
            pages = {"/.well-known/openid-configuration": {}, "/.well-known/jwks.json": {}}
            flow = CodeFlow(b"", "http://127.0.0.1")
            origin = "http://127.0.0.1:4566"

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
        threading.Thread(target=server.serve_forever).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.address = server.server_address

    def test_only_the_dashboard_reads_a_token_and_no_script_reads_a_code(self) -> None:
        dashboard = "http://127.0.0.1:4566"
        for method, path, status, reader in [
            ("GET", SIGN_IN, 302, None),
            ("GET", "/authorize?", 400, None),
            ("GET", SIGN_OUT, 302, None),
            ("GET", SIGN_OUT.replace("127.0.0.1", "elsewhere.example.com"), 400, None),
            ("GET", "/.well-known/openid-configuration", 200, dashboard),
            ("GET", "/.well-known/jwks.json", 200, None),
            ("POST", "/token", 400, dashboard),
        ]:
            connection = HTTPConnection(*self.address)
            connection.request(method, path, headers={"Origin": "https://elsewhere.example.com"})
            answer = connection.getresponse()
            connection.close()
            self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]), (status, reader), path)
