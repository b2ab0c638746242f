"""Sample orders: one that is followed from its creation to its end, and a thousand that are inserted at once."""

import json
import os
import time
import uuid
from pathlib import Path

from stack import api, postgres, processes
from stack.console import StackError, good, say, step
from stack.packages import postgres_binaries
from stack.settings import HOST, ROOT, Settings

ORDER = Path(__file__).with_name("sample_order.json")
DATA = [Path(__file__).with_name(name) for name in ("add_up_outcomes.sql", "sample_data.sql")]
ACTIVE = ("pending", "processing")


def create_and_follow(env: dict[str, str], seconds: float = 120) -> None:
    """Create the sample order as alice, print each change of its status, and then the metrics as an operator.

    Raises :class:`StackError` if the order is not completed within `seconds`.
    """
    order = {"order_id": f"sample-{uuid.uuid4().hex[:8]}", **json.loads(ORDER.read_text())}
    step(f"Creating a sample order: {json.dumps(order)}")
    begun = time.monotonic()
    api.expect(201, f"{env['API_URL']}/orders", env["TOKEN_ALICE"], order)
    url, status, elapsed = f"{env['API_URL']}/orders/{order['order_id']}/status", "", 0.0
    while status in ("", *ACTIVE) and elapsed < seconds:
        before, status = status, api.expect(200, url, env["TOKEN_ALICE"])["status"]
        elapsed = time.monotonic() - begun
        if status != before:
            say(f"    {elapsed:5.1f} s  {status}")
        time.sleep(0.1)
    if status != "completed":
        raise StackError(f"The sample order is {status}, not completed, after {elapsed:.0f} s.")
    good("    The sample order is completed.")
    step("Metrics (GET /metrics, as admin)")
    say(json.dumps(api.expect(200, f"{env['API_URL']}/metrics", env["TOKEN_ADMIN"]), indent=2))


def fill(settings: Settings) -> None:
    """Add a thousand finished and unfinished orders with their statistics, unless they exist."""
    psql = [postgres_binaries() / "psql", "--quiet", "--set=ON_ERROR_STOP=1", *(f"--file={each}" for each in DATA)]
    address = {"PGHOST": HOST, "PGPORT": str(settings.postgres_port), "PGDATABASE": postgres.DATABASE}
    identity = {"PGUSER": postgres.ROLE, "PGPASSWORD": postgres.password(settings)}
    processes.run(psql, {**os.environ, **address, **identity}, ROOT)
