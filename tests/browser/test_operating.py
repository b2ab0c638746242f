"""What operators do with many orders on the dashboard: filter, select, retry and cancel them, and pause processing."""

import re
import time
from datetime import datetime

import pytest
from dashboard import PATIENCE_MS
from playwright.sync_api import Route, expect

LIST = re.compile(r"/orders\?")
BULK = re.compile(r"/orders/(retry|cancel)$")


def test_address_holds_the_filters_and_back_undoes_them(operator, user):
    failed = operator.create_failed(1, user)
    later = operator.create_scheduled(2, user)
    rows = operator.page.locator("#rows tr")
    operator.filter(User=user)
    expect(rows).to_have_count(3)
    operator.filter(Status="pending")
    expect(rows).to_have_count(2)
    operator.filter(Cause_of_failure="422")
    expect(rows).to_have_count(1)
    expect(operator.row(failed[0])).to_be_visible()
    for part in [f"user={user}", "status=failed", "cause=422"]:
        expect(operator.page).to_have_url(re.compile(part))
    expect(operator.page.locator("#filter-status")).to_have_value("failed")
    operator.filter(Created_from="2020-01-01T00:00", Created_before="2020-01-02T00:00")
    expect(operator.page.get_by_text("No order matches the filters.")).to_be_visible()
    operator.page.go_back()
    operator.page.go_back()
    expect(rows).to_have_count(1)
    operator.page.go_back()
    expect(rows).to_have_count(2)
    expect(operator.row(later[0])).to_be_visible()
    operator.page.get_by_role("button", name="Clear", exact=True).click()
    expect(operator.page.get_by_role("heading", name="Latest orders", exact=True)).to_be_visible()
    expect(operator.page).not_to_have_url(re.compile(r"\?"))


def test_selected_orders_are_retried_after_a_count(operator, endpoint, user, pictures):
    first, second, third = operator.create_failed(3, user)
    operator.filter(User=user)
    for order_id in (first, second):
        operator.page.get_by_label(f"Select {order_id}").check()
    operator.page.get_by_label(f"Select {first}").focus()
    expect(operator.page.get_by_text("2 orders selected")).to_be_visible()
    operator.check_accessible()
    operator.picture(pictures, "selection")
    endpoint.is_repaired = True
    operator.page.get_by_role("button", name="Retry 2 failed").click()
    question = operator.page.get_by_role("dialog", name="Retry the selected orders?")
    expect(question).to_contain_text("2 failed orders will be pending again.")
    expect(question.get_by_role("list")).to_contain_text("422")
    operator.check_accessible()
    operator.picture(pictures, "question")
    question.get_by_role("button", name="Retry 2 orders").click()
    expect(operator.page.locator("#said")).to_have_text("2 orders are pending again.")
    expect(operator.page.locator("#selection")).to_be_hidden()
    for order_id, status in [(first, "completed"), (second, "completed"), (third, "failed")]:
        expect(operator.row(order_id).locator(".pill")).to_have_text(status, timeout=PATIENCE_MS)


def test_selected_orders_are_cancelled_by_keyboard(operator, user):
    first, second = operator.create_scheduled(2, user)
    operator.filter(User=user)
    press, focused = operator.page.keyboard.press, operator.page.locator(":focus")
    operator.page.get_by_label(f"Select {first}").focus()
    press("Space")
    operator.page.get_by_role("button", name="Cancel 1 pending").focus()
    press("Enter")
    expect(focused).to_have_text("Cancel 1 order")
    press("Escape")
    expect(operator.page.get_by_role("dialog")).to_be_hidden()
    press("Enter")
    expect(focused).to_have_text("Cancel 1 order")
    press("Enter")
    expect(operator.page.locator("#said")).to_have_text("1 order is cancelled.")
    expect(operator.row(first).locator(".pill")).to_have_text("cancelled")
    expect(operator.row(second).locator(".pill")).to_have_text("pending")


def test_question_is_shown_when_asked_at_once_after_another(operator, user):
    (first,) = operator.create_scheduled(1, user)
    operator.filter(User=user)
    operator.page.get_by_label(f"Select {first}").check()
    operator.page.get_by_role("button", name="Cancel 1 pending").click()
    expect(operator.page.locator(":focus")).to_have_text("Cancel 1 order")
    # Within one task, so that the first question's "close" event comes after the second question.
    operator.page.evaluate("document.getElementById('ask').close(); document.getElementById('cancel-selected').click()")
    expect(operator.page.locator(":focus")).to_have_text("Cancel 1 order")


def test_all_orders_that_match_are_retried(operator, endpoint, user):
    operator.create_failed(3, user)
    operator.filter(User=user, Status="failed")
    expect(operator.page.locator("#rows tr")).to_have_count(3)
    endpoint.is_repaired = True
    operator.page.get_by_role("button", name="Retry all that match").click()
    operator.page.get_by_role("button", name="Retry 3 orders").click()
    expect(operator.page.locator("#said")).to_have_text("3 orders are pending again.")
    expect(operator.page.get_by_text("No order matches the filters.")).to_be_visible()


def test_list_goes_on_after_a_page_without_a_match(visit, crowd, pictures):
    viewer = visit().sign_in_with("orders/read", crowd)
    expect(viewer.page.locator("#causes-hint")).to_have_text("None of the newest orders has failed.")
    viewer.filter(Status="completed")
    expect(viewer.page.get_by_text("No order found so far.")).to_be_visible()
    viewer.check_accessible()
    viewer.picture(pictures, "nothing-so-far")
    viewer.page.get_by_role("button", name="Show older orders").click()
    expect(viewer.row(f"{crowd}-0")).to_be_visible()
    expect(viewer.page.get_by_role("button", name="Show older orders")).to_be_hidden()


def test_older_orders_include_those_of_the_same_instant(visit, crowd):
    viewer = visit().sign_in_with("orders/read", crowd)
    rows = viewer.page.locator("#rows tr")
    for listed in range(20, 200, 20):
        expect(rows).to_have_count(listed)
        viewer.page.get_by_role("button", name="Show older orders").click()
    expect(rows).to_have_count(200)
    newer = set(rows.get_by_role("button").all_text_contents())
    viewer.page.get_by_role("button", name="Show only older orders").click()
    expect(rows).to_have_count(20)
    assert newer.isdisjoint(rows.get_by_role("button").all_text_contents())
    expect(viewer.page.get_by_role("heading", name="Older orders")).to_be_visible()
    viewer.page.go_back()
    expect(viewer.row(max(newer))).to_be_visible()


def test_new_filter_lists_its_newest_orders(operator, crowd):
    operator.filter(User=crowd, Status="completed")
    expect(operator.page.get_by_text("No order found so far.")).to_be_visible()
    operator.page.get_by_role("button", name="Show older orders").click()
    expect(operator.page).to_have_url(re.compile("cursor="))
    operator.filter(Status="cancelled")
    expect(operator.row(f"{crowd}-9999")).to_be_visible()
    expect(operator.page).not_to_have_url(re.compile("cursor="))


def test_pace_of_a_retry_holds_over_its_calls(operator):
    called: list[float] = []

    def retry_twenty(route: Route) -> None:
        if not route.request.post_data_json["dry_run"]:
            called.append(time.monotonic())
        report = {"matched": 50, "retried": 20, "causes": []}
        route.fulfill(json=report, headers={"Date": "Tue, 24 Nov 2026 10:51:00 GMT"})

    operator.page.route(BULK, retry_twenty)
    operator.filter(Status="failed")
    operator.page.get_by_role("button", name="Retry all that match").click()
    operator.page.get_by_role("button", name="Retry 50 orders").click()
    expect(operator.page.get_by_text("40 of 50 …")).to_be_visible()
    # Twenty orders fall due within two seconds. The measurement has its own delay.
    assert called[1] - called[0] > 1.5
    operator.page.keyboard.press("Escape")
    expect(operator.page.locator("#said")).to_have_text("40 orders of 50 are pending again.")


def test_cancel_leaves_orders_that_come_after_its_count(operator, user):
    first, second = operator.create_scheduled(2, user)
    operator.filter(User=user, Status="pending")
    expect(operator.page.locator("#rows tr")).to_have_count(2)
    operator.page.get_by_role("button", name="Cancel all that match").click()
    question = operator.page.get_by_role("dialog", name="Cancel all orders that match?")
    expect(question).to_contain_text("2 pending orders will be cancelled.")
    # The time of the count has whole seconds.
    operator.page.wait_for_timeout(1000)
    operator.cancel(first)
    [third] = operator.create_scheduled(1, user)
    question.get_by_role("button", name="Cancel 2 orders").click()
    expect(operator.page.locator("#said")).to_have_text("1 order of 2 is cancelled.")
    expect(operator.row(second)).to_be_hidden()
    expect(operator.row(third)).to_be_visible()


def test_retry_leaves_orders_that_fail_once_more(operator, user):
    operator.create_failed(1, user)
    operator.filter(User=user, Status="failed")
    operator.page.get_by_role("button", name="Retry all that match").click()
    retry = operator.page.get_by_role("button", name="Retry 1 order")
    expect(retry).to_be_visible()
    with operator.page.expect_request(BULK) as sent:
        retry.click()
    before = datetime.fromisoformat(sent.value.post_data_json["failed_before"])
    assert before.timestamp() < time.time() + 1


def test_failure_of_a_closed_question_is_said_on_the_page(operator, user):
    [order_id] = operator.create_scheduled(1, user)
    operator.filter(User=user)
    operator.page.get_by_label(f"Select {order_id}").check()
    operator.page.get_by_role("button", name="Cancel 1 pending").click()
    yes = operator.page.get_by_role("button", name="Cancel 1 order")
    expect(yes).to_be_visible()
    held = operator.hold(BULK)
    with operator.page.expect_request(BULK):
        yes.click()
    operator.page.keyboard.press("Escape")
    expect(operator.page.get_by_role("dialog")).to_be_hidden()
    held[0].fulfill(status=429, json={"message": "Too Many Requests"})
    said = operator.page.locator("#said")
    expect(said).to_have_text("“Cancel the selected orders?” failed. Too many calls. Too Many Requests")


def test_orders_that_changed_since_they_were_selected_are_counted_out(operator, user):
    first, second = operator.create_scheduled(2, user)
    operator.filter(User=user)
    expect(operator.page.locator("#rows tr")).to_have_count(2)
    operator.page.get_by_label("Select all listed orders").check()

    def stale(route: Route) -> None:
        body = {**route.request.post_data_json, "order_ids": [first]}
        route.continue_(post_data=body)

    operator.page.route(BULK, stale)
    operator.page.get_by_role("button", name="Cancel 2 pending").click()
    question = operator.page.get_by_role("dialog", name="Cancel the selected orders?")
    expect(question).to_contain_text("1 pending order of the 2 selected will be cancelled.")
    question.get_by_role("button", name="Cancel 1 order").click()
    expect(operator.row(first).locator(".pill")).to_have_text("cancelled")
    expect(operator.row(second).locator(".pill")).to_have_text("pending")


@pytest.mark.parametrize(
    ("status", "body", "title"),
    [
        (403, {"message": "Forbidden"}, "This token may not do that"),
        (429, {"message": "Too Many Requests"}, "Too many calls"),
        (503, {"title": "Service temporarily unavailable", "detail": "Try again."}, "Service temporarily unavailable"),
    ],
)
def test_refused_question_stays_open_with_the_reason(operator, user, status, body, title):
    [order_id] = operator.create_scheduled(1, user)
    operator.filter(User=user)
    operator.page.get_by_label(f"Select {order_id}").check()
    operator.page.route(BULK, lambda route: route.fulfill(status=status, json=body))
    operator.page.get_by_role("button", name="Cancel 1 pending").click()
    question = operator.page.get_by_role("dialog", name="Cancel the selected orders?")
    expect(question.get_by_role("status")).to_contain_text(title)
    operator.check_accessible()
    question.get_by_role("button", name="No, go back").click()
    expect(question).to_be_hidden()


def test_unknown_words_in_the_address_offer_nothing(visit):
    """Words that every object of JavaScript has as a member."""
    dashboard = visit().sign_in(query="?range=toString&status=constructor")
    dashboard.sees("live")
    expect(dashboard.page.get_by_role("button", name="Hour", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(dashboard.page.locator("#no-orders")).to_contain_text("These filters were refused.")
    expect(dashboard.page.get_by_role("button", name="all that match")).to_be_hidden()


def test_filters_that_the_service_refuses_are_named(visit, pictures):
    dashboard = visit().sign_in(query="?from=yesterday")
    expect(dashboard.page.locator("#no-orders")).to_contain_text("created_from")
    dashboard.sees("live")
    dashboard.check_accessible()
    dashboard.picture(pictures, "refused-filters", full_page=True)
    other = visit().sign_in("alice", query="?user=bob")
    expect(other.page.locator("#no-orders")).to_contain_text("These filters were refused.")
    other.sees("live")


def test_too_many_calls_make_the_page_stale_until_it_succeeds(operator):
    operator.page.route(LIST, lambda route: route.fulfill(status=429, json={"message": "Too Many Requests"}))
    operator.sees("stale")
    expect(operator.page.get_by_role("alert")).to_contain_text("Too many calls.")
    operator.page.unroute(LIST)
    operator.page.get_by_role("button", name="Try now").click()
    operator.sees("live")


def test_statistics_have_ranges_of_an_hour_a_day_and_a_week(visit, lively, pictures):
    dashboard = visit().sign_in()
    dashboard.sees("live")
    table, summary = dashboard.page.locator("#throughput-table tr"), dashboard.page.locator("#throughput-summary")
    dashboard.page.get_by_text("As a table").click()
    for name, rows in [("Day", 24), ("Week", 168), ("Hour", 60)]:
        dashboard.page.get_by_role("button", name=name, exact=True).click()
        expect(table).to_have_count(rows)
        expect(summary).to_contain_text(f"within the last {name.lower()}")
        expect(dashboard.page.locator("#times-hint")).to_contain_text(f"the last {name.lower()}")
        expect(dashboard.page.locator("#times")).not_to_contain_text("–")
        expect(dashboard.page).to_have_url(re.compile(r"html$" if name == "Hour" else "range="))
    dashboard.page.get_by_text("As a table").click()
    dashboard.page.get_by_role("button", name="Week", exact=True).click()
    expect(summary).to_contain_text("failed")
    dashboard.check_accessible()
    dashboard.picture(pictures, "week")


def test_processing_is_paused_and_resumed_with_a_reason(operator, visit, user, pictures):
    paused = operator.page.get_by_role("region", name="Processing is paused")
    operator.page.get_by_role("button", name="Pause processing").click()
    question = operator.page.get_by_role("dialog", name="Pause processing?")
    expect(question.get_by_label("Reason")).to_be_focused()
    operator.page.keyboard.press("Enter")
    expect(question).to_be_visible()
    question.get_by_label("Reason").fill("stocktaking in the warehouse")
    operator.check_accessible()
    operator.picture(pictures, "pausing")
    operator.page.keyboard.press("Enter")
    try:
        expect(paused).to_contain_text("stocktaking in the warehouse")
        expect(paused).to_contain_text("admin paused it")
        expect(operator.page.get_by_role("button", name="Pause processing")).to_be_hidden()
        operator.check_accessible()
        operator.picture(pictures, "halted")
        viewer = visit().sign_in_with("orders/read.all")
        expect(viewer.page.get_by_role("region", name="Processing is paused")).to_contain_text("stocktaking")
        expect(viewer.page.get_by_role("button", name="Resume processing")).to_be_hidden()
    finally:
        operator.page.get_by_role("button", name="Resume processing").click()
        operator.page.get_by_label("Reason").fill("the stock is counted")
        operator.page.get_by_role("dialog").get_by_role("button", name="Resume processing").click()
        expect(paused).to_be_hidden()
    order_id = operator.create_order("beans", user=user)
    expect(operator.row(order_id).locator(".pill")).to_have_text("completed", timeout=2 * PATIENCE_MS)
