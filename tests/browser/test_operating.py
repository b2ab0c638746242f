"""What operators see of all orders on the dashboard, and the pause: filters, the list, statistics."""

import re
from datetime import UTC, datetime, timedelta

from dashboard import LIST, METRICS
from playwright.sync_api import expect


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


def test_row_keeps_its_focus_when_a_newer_order_leaves_the_list(operator, user):
    first, second, third = operator.create_scheduled(3, user)
    operator.filter(User=user, Status="pending")
    focused = operator.row(first).get_by_role("button")
    focused.focus()
    operator.cancel(second)
    expect(operator.row(second)).to_be_hidden()
    expect(operator.row(third)).to_be_visible()
    expect(focused).to_be_focused()


def test_typed_time_is_applied_once_and_as_it_was_typed(visit):
    """A browser reports each digit of the year. Berlin's clocks once differed from UTC by a part of a minute."""
    dashboard = visit(timezone_id="Europe/Berlin").sign_in()
    dashboard.sees("live")
    dashboard.page.locator("#filters-word").click()
    before = dashboard.page.evaluate("history.length")
    field = dashboard.page.get_by_label("Created from")
    field.fill("2025-11-25T10:00")
    expect(dashboard.page).to_have_url(re.compile("from=2025-11-25T09"))
    field.press("ArrowRight")
    field.press("ArrowRight")
    field.press_sequentially("2026")
    expect(dashboard.page).to_have_url(re.compile("from=2026-11-25T09%3A00"))
    expect(field).to_have_value("2026-11-25T10:00")
    assert dashboard.page.evaluate("history.length") == before + 2


def test_list_goes_on_after_a_page_without_a_match(visit, crowd):
    viewer = visit().sign_in_with("orders/read", crowd)
    expect(viewer.page.locator("#causes-hint")).to_have_text("None of the newest orders has failed.")
    viewer.filter(Status="completed")
    expect(viewer.page.get_by_text("No order found so far.")).to_be_visible()
    viewer.check_accessible()
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
    expect(operator.row(f"{crowd}-999")).to_be_visible()
    expect(operator.page).not_to_have_url(re.compile("cursor="))


def test_refused_filters_are_named_and_offer_nothing(visit):
    """Words that every object of JavaScript has as a member, a time that is none, and another user's orders."""
    for user, query, said in [
        ("admin", "?range=toString&status=constructor", "These filters were refused."),
        ("admin", "?from=yesterday", "created_from"),
        ("alice", "?user=bob", "These filters were refused."),
    ]:
        dashboard = visit().sign_in(user, query)
        expect(dashboard.page.locator("#no-orders")).to_contain_text(said)
        dashboard.sees("live")
        dashboard.check_accessible()
        expect(dashboard.page.get_by_role("button", name="all that match")).to_be_hidden()
        if user == "admin":
            hour = dashboard.page.get_by_role("button", name="Hour", exact=True)
            expect(hour).to_have_attribute("aria-pressed", "true")


def test_heading_and_rows_are_those_of_the_answer(operator, user):
    [order_id] = operator.create_scheduled(1, user)
    expect(operator.row(order_id)).to_be_visible()
    heading, own = operator.page.locator("#orders-title"), re.compile(f"user_id={user}")
    held = operator.hold(own)
    with operator.page.expect_request(own):
        operator.filter(User=user)
    expect(heading).to_have_text(f"Latest orders of {user} …")
    held[0].fulfill(status=503, json={"title": "Busy"})
    expect(operator.page.locator("#no-orders")).to_have_text("The orders could not be read.")
    expect(heading).to_have_text(f"Latest orders of {user}")
    expect(operator.page.locator("#rows tr")).to_have_count(0)
    operator.page.unroute(own)
    operator.page.get_by_role("button", name="Try now").click()
    expect(operator.row(order_id).get_by_role("button")).to_be_enabled()


def test_too_many_calls_make_the_page_stale_until_it_succeeds(operator):
    operator.page.route(LIST, lambda route: route.fulfill(status=429, json={"message": "Too Many Requests"}))
    operator.sees("stale")
    expect(operator.page.get_by_role("alert")).to_contain_text("Too many calls.")
    operator.page.unroute(LIST)
    operator.page.get_by_role("button", name="Try now").click()
    operator.sees("live")


def test_statistics_have_ranges_of_an_hour_a_day_and_a_week(operator, lively):
    table, summary = operator.page.locator("#throughput-table tr"), operator.page.locator("#throughput-summary")
    operator.page.get_by_text("As a table").click()
    for name, rows in [("Day", 24), ("Week", 168), ("Hour", 60)]:
        operator.page.get_by_role("button", name=name, exact=True).click()
        expect(table).to_have_count(rows)
        expect(summary).to_contain_text(f"within the last {name.lower()}")
        expect(operator.page.locator("#times-hint")).to_contain_text(f"the last {name.lower()}")
        expect(operator.page.locator("#times")).not_to_contain_text("–")
        expect(operator.page).to_have_url(re.compile(r"html$" if name == "Hour" else "range="))
    operator.page.get_by_text("As a table").click()
    operator.page.get_by_role("button", name="Week", exact=True).click()
    expect(summary).to_contain_text("failed")
    operator.check_accessible()


def test_failures_that_were_retried_in_a_later_hour_are_counted_out(operator):
    def retry_later(metrics: dict) -> None:
        now = datetime.fromisoformat(metrics["as_of"]).replace(minute=0, second=0, microsecond=0)
        metrics["by_hour"]["outcomes"] = [
            {"hour": (now - timedelta(hours=ago)).isoformat(), "completed": 500, "failed": failed, "cancelled": 0}
            for ago, failed in ((3, 507), (2, -500))
        ]

    operator.change_metrics(retry_later, re.compile(r"/metrics\?hours="))
    operator.page.get_by_role("button", name="Day", exact=True).click()
    expect(operator.page.locator("#throughput-summary")).to_contain_text("1,000 orders within the last day")
    expect(operator.page.locator("#throughput-summary")).to_contain_text(" 7 failed")


def test_processing_is_paused_and_resumed_with_a_reason(operator, visit, user):
    paused = operator.page.get_by_role("region", name="Processing is paused")
    operator.page.get_by_role("button", name="Pause processing").click()
    question = operator.page.get_by_role("dialog", name="Pause processing?")
    expect(question.get_by_label("Reason")).to_be_focused()
    operator.page.keyboard.press("Enter")
    expect(question).to_be_visible()
    question.get_by_label("Reason").fill("stocktaking in the warehouse")
    operator.check_accessible()
    operator.page.keyboard.press("Enter")
    try:
        expect(paused).to_contain_text("stocktaking in the warehouse")
        expect(paused).to_contain_text("admin paused it")
        expect(operator.page.locator("#halted-said")).to_have_text("Processing is paused: stocktaking in the warehouse")
        expect(operator.page.get_by_role("button", name="Pause processing")).to_be_hidden()
        expect(operator.page.get_by_role("button", name="Resume processing")).to_be_focused()
        operator.check_accessible()
        viewer = visit().sign_in_with("orders/read.all")
        expect(viewer.page.get_by_role("region", name="Processing is paused")).to_contain_text("stocktaking")
        expect(viewer.page.get_by_role("button", name="Resume processing")).to_be_hidden()
    finally:
        operator.page.get_by_role("button", name="Resume processing").click()
        operator.page.get_by_label("Reason").fill("the stock is counted")
        operator.page.get_by_role("dialog").get_by_role("button", name="Resume processing").click()
        expect(paused).to_be_hidden()
        expect(operator.page.get_by_role("button", name="Pause processing")).to_be_focused()
    order_id = operator.create_order("beans", user=user)
    expect(operator.row(order_id).locator(".pill")).to_have_text("completed", timeout=120_000)


def test_pause_that_is_not_known_can_be_begun_and_ended(visit):
    """Without metrics the page learns of the pause only from the answers to its own calls."""
    dashboard = visit()
    dashboard.page.route(METRICS, lambda route: route.fulfill(status=503))
    dashboard.sign_in().sees("stale")
    unknown = dashboard.page.get_by_role("region", name="It is not known whether processing is paused")
    pause, resume = (dashboard.page.get_by_role("button", name=f"{word} processing …") for word in ("Pause", "Resume"))
    for button in (pause, resume):
        expect(button).to_be_visible()
    dashboard.check_accessible()
    begun = {"since": datetime.now(UTC).isoformat(), "by": "admin", "reason": "stocktaking"}
    answers = {"pause": {"pause": begun}, "resume": {"pause": None}}
    changes = re.compile("/processing/(pause|resume)$")
    dashboard.page.route(changes, lambda route: route.fulfill(json=answers[route.request.url.rsplit("/")[-1]]))
    for button in (pause, resume):
        button.click()
        dashboard.page.get_by_label("Reason").fill("stocktaking")
        dashboard.page.keyboard.press("Enter")
        expect(button).to_be_hidden()
        expect(unknown).to_be_hidden()
    expect(pause).to_be_visible()
