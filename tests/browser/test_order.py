"""What operators do with a single order on the dashboard: read, retry and cancel it, and share its address."""

import re

from dashboard import METRICS
from playwright.sync_api import expect


def test_order_shows_its_content_and_is_cancelled_after_a_question(operator, user):
    order_id = operator.create_order("kettle", user=user, amount="1200", currency="JPY", metadata={"channel": "web"})
    [other] = operator.create_scheduled(1, user)
    sheet = operator.find(order_id)
    for text in ["1,200 JPY", "channel", "web", user]:
        expect(sheet).to_contain_text(text)
    expect(sheet.locator(".pill")).to_have_text("completed")
    expect(sheet.get_by_role("list", name="History of the order").get_by_role("listitem")).to_have_count(3)
    operator.page.keyboard.press("Escape")

    sheet = operator.find(other)
    expect(sheet).to_contain_text("scheduled for")
    expect(sheet).to_contain_text("Process after")
    cancel, yes = (sheet.get_by_role("button", name=name) for name in ("Cancel the order", "Yes, cancel it"))
    cancel.click()
    expect(yes).to_be_focused()
    sheet.get_by_role("button", name="No").click()
    expect(cancel).to_be_focused()
    cancel.click()
    yes.click()
    expect(sheet.locator(".pill")).to_have_text("cancelled")
    expect(sheet.locator("#order-said")).to_have_text("The order is cancelled.")
    expect(cancel).to_be_hidden()
    expect(sheet.locator(".moments")).to_contain_text("by admin")
    expect(sheet.locator(".moments li")).to_have_count(2)
    operator.check_accessible()
    own = re.compile(f"user_id={user}")
    held = operator.hold(own, times=1)
    with operator.page.expect_request(own):
        sheet.get_by_role("button", name=user).click()
    expect(sheet).to_be_hidden()
    expect(operator.page.get_by_role("region", name=f"Latest orders of {user} …")).to_be_focused()
    held[0].continue_()
    expect(operator.page.get_by_role("heading", name=f"Latest orders of {user}", exact=True)).to_be_visible()
    expect(operator.page.locator("#rows tr")).to_have_count(2)


def test_action_that_comes_too_late_is_explained(operator, user):
    [order_id] = operator.create_scheduled(1, user)
    sheet = operator.find(order_id)
    problem = {"title": "Conflict with the order's current state", "detail": "The order is processing."}
    operator.page.route(re.compile(r"/cancel$"), lambda route: route.fulfill(status=409, json=problem))
    sheet.get_by_role("button", name="Cancel the order").click()
    sheet.get_by_role("button", name="Yes, cancel it").click()
    expect(sheet.locator("#order-said")).to_contain_text("The order is processing.")
    expect(sheet.get_by_role("button", name="Cancel the order")).to_be_visible()
    operator.cancel(order_id)
    expect(sheet.locator(".pill")).to_have_text("cancelled")
    expect(sheet.locator("#order-said")).to_be_empty()


def test_open_order_says_that_it_may_be_stale(operator, user):
    [order_id] = operator.create_scheduled(1, user)
    stale = operator.find(order_id).locator("#order-stale")
    expect(stale).to_be_empty()
    operator.page.route(METRICS, lambda route: route.abort())
    expect(stale).to_have_text("The service does not answer as it should. This order may have changed.")
    operator.check_accessible()
    operator.page.unroute(METRICS)
    expect(stale).to_be_empty()


def test_ended_order_is_never_stale(operator, user):
    """It is not read again, because it can't change."""
    [order_id] = operator.create_scheduled(1, user)
    operator.cancel(order_id)
    sheet = operator.find(order_id)
    expect(sheet.locator(".pill")).to_have_text("cancelled")
    operator.page.route(METRICS, lambda route: route.abort())
    operator.sees("stale")
    expect(sheet.locator("#order-stale")).to_be_empty()


def test_result_of_an_action_is_not_said_of_another_order(operator, user):
    first, second = operator.create_scheduled(2, user)
    sheet = operator.find(first)
    held = operator.hold(re.compile(r"/cancel$"))
    sheet.get_by_role("button", name="Cancel the order").click()
    with operator.page.expect_request(re.compile(r"/cancel$")):
        sheet.get_by_role("button", name="Yes, cancel it").click()
    expect(sheet.get_by_role("button", name="Yes, cancel it")).to_be_disabled()
    operator.page.keyboard.press("Escape")
    other = operator.find(second)
    expect(other.locator(".pill")).to_have_text("pending")
    held[0].continue_()
    expect(other.locator("#said")).to_have_text(f"{first}: The order is cancelled.")
    expect(other.locator("#order-said")).to_be_empty()
    expect(other.get_by_role("button", name="Cancel the order")).to_be_visible()
    operator.page.keyboard.press("Escape")
    expect(operator.page.locator("body > #said")).to_be_visible()


def test_late_failure_does_not_replace_the_order(operator, user):
    """The first read fails after the second, or after another order was opened."""
    first, second = operator.create_scheduled(2, user)
    for shown in (first, second):
        held = operator.hold(re.compile(rf"/orders/{first}$"), times=1)
        operator.find(first)
        if shown == second:
            operator.page.keyboard.press("Escape")
            operator.find(second)
        pill = operator.page.get_by_role("dialog", name=shown).locator(".pill")
        expect(pill).to_have_text("pending")
        with operator.page.expect_response(re.compile(rf"/orders/{shown}$")):
            held.pop().abort()
        expect(pill).to_have_text("pending")
        operator.sees("live")
        operator.page.keyboard.press("Escape")


def test_shared_link_opens_what_its_sender_saw(visit, user):
    dashboard = visit()
    [order_id] = dashboard.create_scheduled(1, user)
    dashboard.sign_in(query=f"?status=pending&user={user}&range=week&order={order_id}")
    sheet = dashboard.page.get_by_role("dialog", name=order_id)
    expect(sheet).to_contain_text("Process after")
    dashboard.page.keyboard.press("Escape")
    expect(dashboard.page.locator("#rows tr")).to_have_count(1)
    expect(dashboard.page.locator("#filter-status")).to_have_value("pending")
    expect(dashboard.page.get_by_role("button", name="Week", exact=True)).to_have_attribute("aria-pressed", "true")


def test_open_order_is_in_the_address(operator, user):
    [order_id] = operator.create_scheduled(1, user)
    sheet = operator.find(order_id)
    expect(sheet).to_contain_text("Process after")
    expect(operator.page).to_have_url(re.compile(rf"\?order={order_id}$"))
    operator.page.go_back()
    expect(sheet).to_be_hidden()
    operator.page.go_forward()
    expect(sheet).to_contain_text("Process after")
    operator.page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(operator.page).not_to_have_url(re.compile("order="))


def test_order_is_shown_when_opened_at_once_after_another(operator, user):
    first, second = operator.create_scheduled(2, user)
    operator.filter(User=user)
    next_row = operator.row(second).get_by_role("button").element_handle()
    operator.row(first).get_by_role("button").click()
    expect(operator.page.get_by_role("dialog", name=first)).to_contain_text(user)
    # Within one task, so that the first order's "close" event comes after the second order.
    next_row.evaluate("button => { document.getElementById('order').close(); button.click() }")
    expect(operator.page.get_by_role("dialog", name=second)).to_contain_text(user)


def test_token_that_only_reads_sees_every_order_and_no_button(operator, visit, user):
    [failed] = operator.create_failed(1, user)
    [pending] = operator.create_scheduled(1, user)
    viewer = visit().sign_in_with("orders/read.all")
    expect(viewer.page.get_by_text("You see every order.")).to_be_visible()
    viewer.filter(User=user)
    expect(viewer.page.locator("#rows tr")).to_have_count(2)
    expect(viewer.page.get_by_role("checkbox")).to_have_count(0)
    expect(viewer.page.get_by_role("button", name="Pause processing")).to_have_count(0)
    viewer.filter(Status="failed")
    expect(viewer.page.locator("#rows tr")).to_have_count(1)
    expect(viewer.page.get_by_role("button", name="Retry all that match")).to_have_count(0)
    viewer.check_accessible()
    for order_id, why in [(failed, "Retrying needs a token"), (pending, "Cancelling needs a token")]:
        sheet = viewer.find(order_id)
        expect(sheet).to_contain_text(why)
        expect(sheet.locator(".actions button")).to_have_count(0)
        viewer.check_accessible()
        viewer.page.keyboard.press("Escape")
    backend = visit().sign_in_with("orders/read.all orders/write.all", "shop")
    expect(backend.find(pending).get_by_role("button", name="Cancel the order")).to_be_visible()
