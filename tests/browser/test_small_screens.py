"""The dashboard on a phone: everything can be read."""

import re
import uuid

import pytest
from playwright.sync_api import expect

PHONE = {"width": 360, "height": 800}
# The narrowest screen that must need no scrolling to the side (WCAG 2.2, 1.4.10).
NARROWEST = {"width": 320, "height": 800}
DESK = {"width": 1440, "height": 900}
OVERFLOW = "(element) => element.scrollWidth - element.clientWidth"
LINES = """(element) => {
    const text = document.createRange();
    text.selectNodeContents(element);
    return text.getClientRects().length;
}"""
# How much wider a field must be to show its whole value.
LACKING = """(field) => {
    const width = field.offsetWidth;
    const whole = field.cloneNode();
    whole.style.width = "max-content";
    field.after(whole);
    const lacking = whole.offsetWidth - width;
    whole.remove();
    return lacking;
}"""


def count_millions(metrics: dict) -> None:
    """Make the metrics those of a service that has processed millions of orders."""
    metrics["total_orders"] = 11_728_390
    metrics["status_counts"] = dict.fromkeys(metrics["status_counts"], 2_345_678)


@pytest.mark.parametrize("screen", [NARROWEST, PHONE], ids=["narrowest", "phone"])
def test_numbers_of_a_large_service_are_not_cut_off(visit, screen):
    dashboard = visit(viewport=screen)
    dashboard.change_metrics(count_millions)
    dashboard.sign_in()
    expect(dashboard.count("cancelled")).to_have_text("2,345,678")
    assert dashboard.page.locator("#counts").evaluate(OVERFLOW) <= 0
    assert dashboard.page.locator("html").evaluate(OVERFLOW) <= 0
    dashboard.check_accessible()


def test_long_user_id_needs_no_scrolling_to_the_side(visit):
    user = "u" * 64
    dashboard = visit(viewport=NARROWEST).sign_in_with("orders/read orders/write", user)
    expect(dashboard.page.locator("#who")).to_have_text(user)
    assert dashboard.page.locator("html").evaluate(OVERFLOW) <= 0
    operator = visit(viewport=NARROWEST).sign_in(query=f"?user={user}")
    expect(operator.page.locator("#orders-title")).to_contain_text(user)
    assert operator.page.locator("html").evaluate(OVERFLOW) <= 0


def test_generated_order_id_takes_two_lines_at_most(visit):
    dashboard = visit(viewport=PHONE)
    order_id = dashboard.create_order("beans", order_id=str(uuid.uuid4()))
    dashboard.sign_in()
    link = dashboard.row(order_id).get_by_role("button")
    assert link.evaluate(LINES) <= 2


@pytest.mark.parametrize("screen", [PHONE, DESK], ids=["phone", "desk"])
def test_times_of_the_filters_are_not_cut_off(visit, screen):
    dashboard = visit(viewport=screen)
    dashboard.sign_in(query="?from=2026-11-24T10:51:00.000Z&before=2026-11-25T22:51:00.000Z")
    for label in ("Created from", "Created before"):
        field = dashboard.page.get_by_label(label)
        expect(field).to_be_visible()
        assert field.evaluate(LACKING) <= 0


def test_number_of_orders_in_a_question_stays_on_its_line(visit):
    dashboard = visit(viewport=PHONE)
    cause = "the fulfilment endpoint answered 422 Unprocessable Entity"
    report = {"dry_run": True, "matched": 12_345, "retried": 0, "causes": [{"failure": cause, "orders": 12_345}]}
    date = {"Date": "Tue, 24 Nov 2026 10:51:00 GMT"}
    dashboard.page.route(re.compile(r"orders/retry$"), lambda route: route.fulfill(json=report, headers=date))
    dashboard.sign_in(query="?status=failed")
    dashboard.page.get_by_role("button", name="Retry all that match").click()
    number = dashboard.page.get_by_role("list", name="Causes of their failures").get_by_text("12,345")
    assert number.evaluate(LINES) == 1
