"""Fixtures of the browser tests: the running stack, an endpoint that fulfils orders, Chromium and its pages."""

import os
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from dashboard import Dashboard
from endpoint import Endpoint
from playwright.sync_api import Browser, sync_playwright
from stack.packages import postgres_binaries

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="session")
def stack() -> dict[str, str]:
    """Return the addresses and tokens of the running stack."""
    lines = Path(os.environ["STACK_ENV"]).read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines)
    return {name: shlex.split(value)[0] for name, value in pairs}


@pytest.fixture(scope="session", autouse=True)
def endpoint() -> Iterator[Endpoint]:
    """Run the fulfilment endpoint that the deployed processor calls."""
    with Endpoint(int(os.environ["ENDPOINT_PORT"])) as endpoint:
        Thread(target=endpoint.serve_forever, daemon=True).start()
        yield endpoint
        endpoint.shutdown()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium without a window."""
    # Root can't use its sandbox, which these pages do not need.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, stack: dict[str, str]) -> Iterator[Callable[..., Dashboard]]:
    """Return a function that opens the dashboard in its own browser context. Checks the consoles afterwards."""
    opened: list[Dashboard] = []

    def open_page(**options) -> Dashboard:
        context = chromium.new_context(**{"viewport": DESK, "reduced_motion": "reduce", **options})
        opened.append(Dashboard(context.new_page(), stack))
        return opened[-1]

    yield open_page
    for each in opened:
        # A handler can still wait for the answer to the page's last poll.
        each.page.unroute_all(behavior="ignoreErrors")
        each.page.context.close()
    assert [line for each in opened for line in each.complaints] == []


def insert(stack: dict[str, str], name: str, **variables: str) -> None:
    """Run a file of SQL with psql's variables."""
    options = [f"--set={each}={value}" for each, value in {"ON_ERROR_STOP": "1", **variables}.items()]
    file = Path(__file__).parent / name
    subprocess.run(
        [postgres_binaries() / "psql", "--quiet", *options, f"--file={file}", stack["DATABASE_URL"]], check=True
    )


@pytest.fixture(scope="session")
def lively(stack: dict[str, str]) -> None:
    """Insert an hour of orders."""
    insert(stack, "../stack/add_up_outcomes.sql")
    insert(stack, "lively.sql")


@pytest.fixture
def crowd(stack: dict[str, str], user: str) -> str:
    """Return a user with more orders than the service searches for a page: of one instant, and one before them."""
    insert(stack, "crowd.sql", user=user)
    return user


@pytest.fixture
def operator(visit, endpoint) -> Iterator[Dashboard]:
    """Return the page of an operator. The endpoint refuses broken orders meanwhile."""
    dashboard = visit().sign_in()
    dashboard.sees("live")
    yield dashboard
    endpoint.reset()


@pytest.fixture
def user() -> str:
    """Return a user without orders."""
    return f"user-{uuid.uuid4().hex[:6]}"
