"""Generates a client from the OpenAPI document, creates orders with it and follows them to their ends.

    API_URL=http://… TOKEN=… .venv/clients/bin/python tests/clients/follow.py

``TOKEN`` is alice's, with the scopes ``orders/read`` and ``orders/write``. With ``OPERATOR_TOKEN``, which has
``orders/admin``, the client also makes an operator's calls: see operate.py. ``CALLED`` names a file for the
successful calls. The client is generated into a temporary directory. Exits with 1 at the first wrong answer, or the
first answer that the document does not contain.
"""

import importlib
import os
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "functions" / "site" / "assets" / "openapi.json"
SECONDS = 60


def main() -> None:
    """Generate a client and use it."""
    url, token = os.environ["API_URL"], os.environ["TOKEN"]
    with tempfile.TemporaryDirectory() as directory:
        generate(Path(directory))
        sys.path.insert(0, directory)
        module = importlib.import_module("ordermill_client")
        calls = []

        def note(response) -> None:
            if response.is_success:
                calls.append(f"{response.request.method} {str(response.url).removeprefix(url).split('?')[0]}")

        def client_of(token: str):
            # A status that the document does not contain raises an exception.
            options = {"raise_on_unexpected_status": True, "httpx_args": {"event_hooks": {"response": [note]}}}
            return module.AuthenticatedClient(base_url=url, token=token, **options)

        with client_of(token) as client:
            use(client)
        if operator := os.environ.get("OPERATOR_TOKEN"):
            with client_of(operator) as client:
                importlib.import_module("operate").operate(client)
        if file := os.environ.get("CALLED"):
            Path(file).write_text("".join(f"{call}\n" for call in calls))
    print("The generated client created its orders and saw them completed.")


def generate(directory: Path) -> None:
    """Generate the package ``ordermill_client`` in this directory."""
    config = directory / "config.yaml"
    config.write_text("post_hooks: []\n")
    command = [Path(sys.executable).with_name("openapi-python-client"), "generate", "--fail-on-warning"]
    package = directory / "ordermill_client"
    options = {"--path": DOCUMENT, "--output-path": package, "--config": config, "--meta": "none"}
    subprocess.run([*command, *(part for option in options.items() for part in option)], check=True)


def use(client) -> None:
    """Make all calls of a typical client."""
    from ordermill_client import models
    from ordermill_client.api.operation import healthz
    from ordermill_client.api.orders import cancel, create, create_batch, list_, read, read_history, read_status

    assert healthz.sync(client=client).status == "ok"
    order_id = f"client-{uuid.uuid4().hex[:12]}"
    new = models.NewOrder(order_id=order_id, user_id="alice", item_ids=["book-1"], total_amount="12.50")
    created = create.sync_detailed(client=client, body=new)
    assert (created.status_code, created.parsed.status) == (201, models.Status.PENDING), created
    assert created.parsed.next_ == [models.OrderNextItem.CANCEL], created
    assert create.sync_detailed(client=client, body=new).status_code == 200

    new.total_amount = "99.99"
    conflict = create.sync(client=client, body=new)
    assert isinstance(conflict, models.Problem) and conflict.type_ == "/docs/problems#conflict", conflict

    later = datetime.now(UTC) + timedelta(hours=1)
    scheduled = models.NewOrder(user_id="alice", item_ids=["pen-7"], total_amount=1, process_after=later)
    batch = create_batch.sync(client=client, body=models.OrderBatch(orders=[scheduled]))
    assert batch.accepted == 1, batch
    cancelled = cancel.sync(batch.results[0].order.order_id, client=client)
    assert (cancelled.status, cancelled.next_) == (models.Status.CANCELLED, []), cancelled

    deadline = time.monotonic() + SECONDS
    while (seen := read_status.sync(order_id, client=client)).status != models.Status.COMPLETED:
        assert time.monotonic() < deadline, f"{order_id} is {seen.status} after {SECONDS} s"
        time.sleep(0.2)
    done = read.sync(order_id, client=client)
    assert (done.total_amount, done.attempts, done.failure) == ("12.50", 1, None), done
    assert done.created_at <= done.started_at <= done.finished_at, done
    changes = [change.change for change in read_history.sync(order_id, client=client).changes]
    assert changes == ["created", "started", "completed"], changes

    page = list_.sync(client=client, limit=1)
    assert len(page.orders) == 1 and page.next_cursor, page
    both = [order_id, cancelled.order_id]
    found = list_.sync(client=client, order_id=both, created_from=done.created_at)
    assert {order.order_id for order in found.orders} == set(both), found
    assert list_.sync(client=client, order_id=both, created_before=done.created_at).orders == []


if __name__ == "__main__":
    main()
