"""The dashboard as its users see it."""

import os
import re
import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Locator, Page, Route, expect
from stack import api

# Orders go through the queue, and the machine may be busy.
expect.set_options(timeout=60_000)
METRICS = re.compile(r"\bmetrics$")
LIST = re.compile(r"/orders\?")
CALLS = "performance.getEntriesByType('resource').map((call) => [call.name, call.startTime, call.responseStatus])"
ROOT = Path(__file__).resolve().parents[2]
AXE = Axe()
# A screen reader misses a text that comes into a hidden element.
HIDDEN_REGIONS = """[...document.querySelectorAll('[role=status]')]
    .filter((each) => getComputedStyle(each).display === 'none').map((each) => each.id)"""


class Dashboard:
    """The dashboard's page in a browser context."""

    def __init__(self, page: Page, stack: dict[str, str]) -> None:
        self.page = page
        self.stack = stack
        self.address = f"{stack['SITE_URL']}/dashboard"
        self.complaints: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def go(self, query: str = "") -> "Dashboard":
        """Open the page, signed out."""
        self.page.goto(f"{self.address}/index.html{query}" if query else self.address)
        self.sees("signed-out")
        return self

    def sign_in(self, user: str = "admin", query: str = "") -> "Dashboard":
        """Open the page and sign in at the issuer, by code and PKCE."""
        self.go(query)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("link", name=user).click()
        return self

    def sign_in_with(self, scopes: str, user: str = "viewer") -> "Dashboard":
        """Open the page and paste a token with these scopes."""
        command = [ROOT / ".venv/stack/bin/python", "-m", "stack", "token"]
        settings = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "USER_NAME": user, "SCOPES": scopes}
        token = subprocess.run(command, env=settings, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        self.go().use(token)
        self.sees("live")
        return self

    def use(self, token: str) -> None:
        """Paste a token into the page, which is signed out."""
        if not self.page.get_by_label("Access token").is_visible():
            self.page.get_by_text("Use a token").click()
        self.page.get_by_label("Access token").fill(token)
        self.page.get_by_role("button", name="Use it").click()

    def sees(self, state: str) -> None:
        """Wait until the page is in this state."""
        expect(self.page.locator("body")).to_have_attribute("data-view", state)

    def create_order(self, *items: str, user: str = "alice", amount: str = "1249.90", **members: object) -> str:
        """Create an order by the API, with other members too. Returns its id."""
        order = {
            "order_id": f"{items[0]}-{uuid.uuid4().hex[:6]}",
            "user_id": user,
            "item_ids": items,
            "total_amount": amount,
            **members,
        }
        return self._post(201, "orders", order)["order_id"]

    def cancel(self, order_id: str) -> None:
        """Cancel an order by the API."""
        self._post(200, f"orders/{order_id}/cancel", {})

    def create_scheduled(self, number: int, user: str) -> list[str]:
        """Create orders that stay pending, because they are to be processed tomorrow."""
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        return [self.create_order("later", user=user, process_after=tomorrow) for _ in range(number)]

    def create_failed(self, number: int, user: str) -> list[str]:
        """Create orders that the endpoint refuses, and wait until the page counts them as failed."""
        before = int(self.count("failed").text_content().replace(",", ""))
        created = [self.create_order("broken", user=user) for _ in range(number)]
        expect(self.count("failed")).to_have_text(f"{before + number:,}")
        return created

    def find(self, order_id: str) -> Locator:
        """Search an order. Returns the sheet that shows it."""
        self.page.get_by_role("searchbox", name="Order id").fill(order_id)
        self.page.get_by_role("button", name="Find").click()
        return self.page.get_by_role("dialog", name=order_id)

    def row(self, order_id: str) -> Locator:
        """Return the row of an order in the list."""
        return self.page.get_by_role("row", name=order_id)

    def filter(self, **fields: str) -> None:
        """Fill fields of the filters by their labels, and apply them."""
        form = self.page.get_by_role("form", name="Filters of the orders")
        if not form.is_visible():
            self.page.locator("#filters-word").click()
        for label, value in fields.items():
            field = form.get_by_label(label.replace("_", " "))
            field.select_option(value) if label == "Status" else field.fill(value)
        form.get_by_role("button", name="Apply").click()

    def hold(self, path: re.Pattern[str], **options) -> list[Route]:
        """Leave calls without an answer. Returns the list that they are added to."""
        held: list[Route] = []
        self.page.route(path, lambda route: held.append(route), **options)
        return held

    def pauses(self, path: re.Pattern[str], status: int = 200) -> list[float]:
        """Return the milliseconds from each of the page's calls with this answer to its next call, by its own clock."""
        calls = [(at, answer) for url, at, answer in self.page.evaluate(CALLS) if path.search(url)]
        return [later - earlier for (earlier, answer), (later, _) in pairwise(calls) if answer == status]

    def refuse(self, path: re.Pattern[str], retry_after: int, **problem: str) -> list[Route]:
        """Answer calls with 503 and this problem. Returns the list that they are added to."""
        refused: list[Route] = []

        def refuse(route: Route) -> None:
            refused.append(route)
            route.fulfill(status=503, json=problem, headers={"Retry-After": str(retry_after)})

        self.page.route(path, refuse)
        return refused

    def change_metrics(self, change: Callable[[dict], None], path: re.Pattern[str] = METRICS) -> None:
        """Change the metrics that the page receives."""

        def answer_changed(route: Route) -> None:
            answer = route.fetch()
            metrics = answer.json()
            change(metrics)
            route.fulfill(response=answer, json=metrics)

        self.page.route(path, answer_changed)

    def count(self, status: str) -> Locator:
        """Return the element with the number of orders in a status."""
        return self.page.locator(f".count.{status} .value")

    def check_accessible(self) -> None:
        """Assert that no live region is hidden, and that axe finds no violation, in light and in dark mode."""
        assert self.page.evaluate(HIDDEN_REGIONS) == []
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            found = AXE.run(self.page)
            assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"
        self.page.emulate_media(color_scheme="light")

    def _post(self, status: int, path: str, body: dict) -> dict:
        return api.expect(status, f"{self.stack['API_URL']}/{path}", self.stack["TOKEN_ADMIN"], body)

    def _note(self, message: ConsoleMessage) -> None:
        # The browser reports each unsuccessful answer, and some tests cause them.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)
