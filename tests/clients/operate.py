"""The calls of an operator with the generated client: they pause processing, and retry, cancel and erase orders.

The stack is one of its own with the sample data, because the calls concern other users' orders too.
"""

import uuid
from datetime import UTC, datetime, timedelta

from ordermill_client import models
from ordermill_client.api.operation import cancel_many, erase, metrics, pause, redrive, resume, retry, retry_many
from ordermill_client.api.orders import create, list_, read_history, read_status

CAUSE = "answered 422"


def operate(client) -> None:
    """Make all calls of an operator."""
    retry_failed(client)
    cancel_and_erase(client)
    pause_and_resume(client)
    for dry_run in (True, False):
        report = redrive.sync(client=client, body=models.RedriveOptions(dry_run=dry_run, limit=10, per_second=100))
        assert (report.dry_run, report.found) == (dry_run, 0), report
    seen = metrics.sync(client=client, hours=24)
    assert seen.by_hour.hours == 24 and seen.by_hour.outcomes and seen.total_orders > 0, seen


def retry_failed(client) -> None:
    """Retry one failed order of the sample data, and then two more together."""
    failed = list_.sync(client=client, status=models.ListStatus.FAILED, cause=CAUSE, limit=3).orders
    one, *others = [order.order_id for order in failed]
    retried = retry.sync(one, client=client)
    assert (retried.status, retried.failure) == (models.Status.PENDING, None), retried
    changes = read_history.sync(one, client=client).changes
    [change] = [change for change in changes if change.change == models.OrderChange.RETRIED]
    assert (change.by, change.subject) == (models.ChangeAuthor.CALLER, "admin"), change
    for dry_run, count in ((True, 0), (False, 2)):
        options = models.RetryOptions(dry_run=dry_run, order_ids=others, cause=CAUSE)
        report = retry_many.sync(client=client, body=options)
        assert (report.dry_run, report.matched, report.retried) == (dry_run, 2, count), report
        assert [cause.orders for cause in report.causes] == [2], report


def cancel_and_erase(client) -> None:
    """Cancel two orders of a new user together, and then remove the user."""
    user = f"client-{uuid.uuid4().hex[:12]}"
    orders = [scheduled(client, user), scheduled(client, user)]
    for dry_run, count in ((True, 0), (False, 2)):
        options = models.CancelOptions(dry_run=dry_run, user_id=user, created_from=orders[0].created_at)
        report = cancel_many.sync(client=client, body=options)
        assert (report.dry_run, report.matched, report.cancelled) == (dry_run, 2, count), report
    erased = erase.sync(user, client=client)
    assert (erased.erased, erased.more) == (2, False), erased
    assert list_.sync(client=client, user_id=user).orders == []


def pause_and_resume(client) -> None:
    """Pause processing, and resume it."""
    paused = pause.sync(client=client, body=models.ProcessingChange(reason="stocktaking"))
    assert (paused.pause.reason, paused.pause.by) == ("stocktaking", "admin"), paused
    assert metrics.sync(client=client).pause == paused.pause
    resumed = resume.sync(client=client, body=models.ProcessingChange(reason="the stock is counted"))
    assert resumed.pause is None, resumed


def scheduled(client, user: str):
    """Create an order of the user that is pending for an hour."""
    later = datetime.now(UTC) + timedelta(hours=1)
    new = models.NewOrder(user_id=user, item_ids=["book-1"], total_amount=1, process_after=later)
    order = create.sync(client=client, body=new)
    assert read_status.sync(order.order_id, client=client).status == models.Status.PENDING, order
    return order
