"""A continuous load of orders at a varying rate, for the dashboard."""

import math
import os
import random
import time
import webbrowser

from stack import api, envfile, issuer
from stack.console import say, step
from stack.settings import Settings

USERS = ("alice", "bob", "carol", "dave", "erin")
GOODS = {"beans": 12.5, "filter-papers": 3.9, "grinder": 149.0, "kettle": 59.0, "espresso-machine": 899.0, "mug": 8.0}
# A wave of orders: its length and its mean in orders a second.
WAVE_SECONDS, MEAN_RATE = 120, 2.0
CANCELLED = 0.05


def run(settings: Settings) -> None:
    """Show the dashboard and create orders endlessly. Raises :class:`StackError` for the first refused order."""
    env, settings = envfile.read(settings), envfile.at_its_ports(settings)
    page = f"{env['SITE_URL']}/dashboard"
    say(f"\n  Dashboard  {page}\n  Sign in    as admin, with one click; or paste TOKEN_ADMIN of the env file\n")
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(page)
    step("Creating orders, until Ctrl-C")
    begun = time.monotonic()
    while True:
        _create(env["API_URL"], issuer.mint(settings, "admin", (*issuer.ORDERS, issuer.ADMIN)))
        wave = 1 + 0.8 * math.sin((time.monotonic() - begun) / WAVE_SECONDS * math.tau)
        time.sleep(random.expovariate(MEAN_RATE * wave))


def _create(api_url: str, token: str) -> None:
    goods = random.choices(list(GOODS), k=random.randint(1, 3))
    order = {
        "user_id": random.choice(USERS),
        "item_ids": goods,
        "total_amount": f"{sum(GOODS[each] for each in goods):.2f}",
    }
    created = api.expect(201, f"{api_url}/orders", token, order)
    if random.random() < CANCELLED:
        # The cancel window may be over already, so the answer does not matter.
        api.call(f"{api_url}/orders/{created['order_id']}/cancel", token, {})
