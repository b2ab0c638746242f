"""What operators do with many orders on the dashboard: select, count, retry and cancel them."""

import re
import time
from datetime import datetime

import pytest
from playwright.sync_api import Route, expect

BULK = re.compile(r"/orders/(retry|cancel)$")
ASKS_BEFORE_IT_IS_LEFT = "!dispatchEvent(new Event('beforeunload', { cancelable: true }))"


def ask_to_cancel(operator, user: str) -> str:
    """Select a pending order of the user, and ask to cancel it. Returns its id."""
    [order_id] = operator.create_scheduled(1, user)
    operator.filter(User=user)
    operator.page.get_by_label(f"Select {order_id}").check()
    operator.page.get_by_role("button", name="Cancel 1 pending").click()
    return order_id


def retry_fifty(operator, *calls: int) -> None:
    """Retry the fifty orders that match. Each call retries this many, later ones fail. The first only counts."""
    retried = iter(calls)

    def answer(route: Route) -> None:
        done = next(retried, None)
        if done is None:
            route.fulfill(status=503, json={"title": "Service temporarily unavailable", "detail": "Try again."})
        else:
            report = {"matched": 50, "retried": done, "causes": []}
            route.fulfill(json=report, headers={"Date": "Tue, 24 Nov 2026 10:51:00 GMT"})

    operator.page.route(BULK, answer)
    operator.filter(Status="failed")
    operator.page.get_by_role("button", name="Retry all that match").click()
    operator.page.get_by_role("button", name="Retry 50 orders").click()


def test_selected_orders_are_retried_after_a_count(operator, endpoint, user):
    first, second, third = operator.create_failed(3, user)
    operator.filter(User=user)
    for order_id in (first, second):
        operator.page.get_by_label(f"Select {order_id}").check()
    operator.page.get_by_label(f"Select {first}").focus()
    expect(operator.page.get_by_text("2 orders selected")).to_be_visible()
    operator.check_accessible()
    endpoint.is_repaired = True
    operator.page.get_by_role("button", name="Retry 2 failed").click()
    question = operator.page.get_by_role("dialog", name="Retry the selected orders?")
    expect(question).to_contain_text("2 failed orders will be pending again.")
    expect(question.get_by_role("list")).to_contain_text("422")
    operator.check_accessible()
    question.get_by_role("button", name="Retry 2 orders").click()
    expect(operator.page.locator("#said")).to_have_text("2 orders are pending again.")
    expect(operator.page.locator("#selection")).to_be_hidden()
    for order_id, status in [(first, "completed"), (second, "completed"), (third, "failed")]:
        expect(operator.row(order_id).locator(".pill")).to_have_text(status)


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
    expect(operator.page.locator("#orders")).to_be_focused()
    expect(operator.row(first).locator(".pill")).to_have_text("cancelled")
    expect(operator.row(second).locator(".pill")).to_have_text("pending")


def test_question_is_shown_when_asked_at_once_after_another(operator, user):
    ask_to_cancel(operator, user)
    expect(operator.page.locator(":focus")).to_have_text("Cancel 1 order")
    # Within one task, so that the first question's "close" event comes after the second question.
    operator.page.evaluate("document.getElementById('ask').close(); document.getElementById('cancel-selected').click()")
    expect(operator.page.locator(":focus")).to_have_text("Cancel 1 order")


def test_only_a_click_on_the_backdrop_closes_a_question(operator):
    mouse = operator.page.mouse
    operator.page.get_by_role("button", name="Pause processing").click()
    question = operator.page.get_by_role("dialog", name="Pause processing?")
    box = question.bounding_box()
    inside, outside = (box["x"] + 5, box["y"] + 5), (box["x"] - 20, box["y"] - 20)
    mouse.click(*inside)
    for begin, end in [(inside, outside), (outside, inside)]:
        mouse.move(*begin)
        mouse.down()
        mouse.move(*end)
        mouse.up()
    expect(question.get_by_label("Reason")).to_be_visible()
    mouse.click(*outside)
    expect(question).to_be_hidden()


def test_all_orders_that_match_by_the_time_of_their_count_are_retried(operator, endpoint, user):
    operator.create_failed(3, user)
    operator.filter(User=user, Status="failed")
    expect(operator.page.locator("#rows tr")).to_have_count(3)
    endpoint.is_repaired = True
    asked = time.time()
    operator.page.get_by_role("button", name="Retry all that match").click()
    retry = operator.page.get_by_role("button", name="Retry 3 orders")
    expect(retry).to_be_visible()
    with operator.page.expect_request(BULK) as sent:
        retry.click()
    before = datetime.fromisoformat(sent.value.post_data_json["failed_before"])
    # The service's time has whole seconds.
    assert asked - 1 < before.timestamp() < time.time() + 1
    expect(operator.page.locator("#said")).to_have_text("3 orders are pending again.")
    expect(operator.page.get_by_text("No order matches the filters.")).to_be_visible()


def test_pace_of_a_retry_holds_over_its_calls(operator):
    retry_fifty(operator, 20, 20, 20, 20)
    expect(operator.page.get_by_text("40 of 50 …")).to_be_visible()
    # Twenty orders fall due within two seconds. The page begins to count them before it calls.
    assert operator.pauses(BULK)[1] > 1900
    assert operator.page.evaluate(ASKS_BEFORE_IT_IS_LEFT)
    operator.page.keyboard.press("Escape")
    operator.page.wait_for_function(f"!({ASKS_BEFORE_IT_IS_LEFT})")
    said = operator.page.locator("#said")
    expect(said).to_contain_text("40 orders of 50 are pending again.")
    said.get_by_role("button", name="Dismiss").click()
    expect(said).to_be_empty()


def test_failed_call_leaves_the_result_of_the_calls_before(operator):
    retry_fifty(operator, 0, 20)
    said = operator.page.get_by_role("dialog").get_by_role("status")
    expect(said).to_contain_text("Try again. Before that: 20 orders of 50 are pending again.")


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


def test_failure_of_a_closed_question_is_said_on_the_page(operator, user):
    ask_to_cancel(operator, user)
    yes = operator.page.get_by_role("button", name="Cancel 1 order")
    expect(yes).to_be_visible()
    held = operator.hold(BULK)
    with operator.page.expect_request(BULK):
        yes.click()
    operator.page.keyboard.press("Escape")
    expect(operator.page.get_by_role("dialog")).to_be_hidden()
    held[0].fulfill(status=429, json={"message": "Too Many Requests"})
    said = operator.page.locator("#said")
    expect(said).to_contain_text("“Cancel the selected orders?” failed. Too many calls. Too Many Requests")


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
    operator.page.route(BULK, lambda route: route.fulfill(status=status, json=body))
    ask_to_cancel(operator, user)
    question = operator.page.get_by_role("dialog", name="Cancel the selected orders?")
    expect(question.get_by_role("status")).to_contain_text(title)
    expect(question).not_to_contain_text("Counting the orders")
    operator.check_accessible()
    question.get_by_role("button", name="No, go back").click()
    expect(question).to_be_hidden()
