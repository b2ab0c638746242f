"""Signing in to the dashboard, by the issuer or with a token."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

from dashboard import METRICS, Dashboard
from playwright.sync_api import Route, expect

CONFIGURATION = re.compile(r"/\.well-known/openid-configuration$")
SETTINGS = re.compile(r"/config\.json$")
LOGOUT = re.compile(r"/logout\?")


def test_user_sees_and_cancels_own_orders_and_sees_no_metrics(visit):
    dashboard = visit()
    own, others = dashboard.create_order("beans", user="bob"), dashboard.create_order("beans")
    [pending] = dashboard.create_scheduled(1, "bob")
    dashboard.sign_in("bob")
    dashboard.sees("live")
    expect(dashboard.page.get_by_text("These are your own orders.")).to_be_visible()
    expect(dashboard.page.locator("#rows")).to_contain_text(own)
    expect(dashboard.page.locator("#rows")).not_to_contain_text(others)
    expect(dashboard.page.get_by_role("heading", name="Backlog")).to_be_hidden()
    dashboard.check_accessible()
    sheet = dashboard.find(pending)
    for button in ("Cancel the order", "Yes, cancel it"):
        sheet.get_by_role("button", name=button).click()
    expect(sheet.locator(".pill")).to_have_text("cancelled")
    dashboard.page.keyboard.press("Escape")
    expect(dashboard.find(others)).to_contain_text("There is no order with this id")
    dashboard.check_accessible()


def test_token_is_only_in_the_memory_of_the_page(operator):
    stored = operator.page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])")
    assert stored == '[{},{},""]'
    expect(operator.page).to_have_url(f"{operator.address}/index.html")
    operator.page.reload()
    operator.sees("signed-out")


def test_answer_of_another_sign_in_is_not_used(visit):
    """Anybody can make a link to the page with a code, or with an error in words of their own."""
    dashboard = visit()
    error = "error=access_denied&error_description=Call+this+number&state=made-up"
    reason = dashboard.page.locator("#sign-in-reason")
    for answer in ("code=stolen&state=made-up", error):
        dashboard.page.goto(f"{dashboard.address}/index.html?{answer}")
        dashboard.sees("signed-out")
        expect(reason).to_contain_text("belongs to no sign-in of this tab")
    dashboard.page.evaluate("sessionStorage.setItem('ordermill-sign-in', JSON.stringify({ state: 'made-up' }))")
    dashboard.page.goto(f"{dashboard.address}/index.html?{error}")
    expect(reason).to_contain_text("Call this number")


def test_page_says_that_it_could_not_read_its_settings(visit):
    dashboard = visit()
    reason = dashboard.page.locator("#sign-in-reason")
    dashboard.page.route(SETTINGS, lambda route: route.fulfill(status=503), times=1)
    dashboard.go()
    expect(reason).to_contain_text("the service answered 503")
    dashboard.hold(SETTINGS)
    dashboard.go()
    expect(reason).to_contain_text("does not answer", timeout=20_000)


def test_token_can_be_pasted_and_an_invalid_one_is_refused(visit):
    dashboard = visit().go()
    dashboard.check_accessible()
    token = dashboard.stack["TOKEN_ALICE"]
    for wrong in ("hunter2", f"{token[:99]}\u200b{token[99:]}"):
        dashboard.use(wrong)
        expect(dashboard.page.get_by_role("alert")).to_contain_text("This is no access token")
        dashboard.sees("signed-out")
        expect(dashboard.page.get_by_label("Access token")).to_have_value(wrong)
    dashboard.check_accessible()
    dashboard.use(f"Bearer {token[:99]}\n{token[99:]}")
    dashboard.sees("live")
    expect(dashboard.page.locator("#who")).to_have_text("alice")
    dashboard.page.get_by_role("button", name="Sign out").click()
    dashboard.sees("signed-out")
    assert dashboard.page.get_by_label("Access token").input_value() == ""


def test_wrong_device_clock_is_named_and_not_used_until_it_is_right(visit):
    dashboard = visit()
    dashboard.page.clock.set_system_time(datetime.now(UTC) + timedelta(days=2))
    dashboard.sign_in().sees("live")
    notice = dashboard.page.get_by_text("This device's clock is 2 d ahead of the service's.")
    expect(notice).to_be_visible()
    expect(dashboard.row(dashboard.create_order("beans"))).to_contain_text(re.compile(r"just now|\d s ago"))
    dashboard.check_accessible()
    dashboard.page.clock.set_system_time(datetime.now(UTC))
    expect(notice).to_be_hidden()
    expect(dashboard.row(dashboard.create_order("beans"))).to_contain_text(re.compile(r"just now|\d s ago"))


def test_slow_answer_is_no_wrong_clock(visit):
    """The answer takes an hour, by its `Date` and by the device's clock."""
    dashboard = visit()
    begun = datetime.now(UTC) - timedelta(hours=1)
    held = dashboard.hold(SETTINGS)
    dashboard.page.clock.set_system_time(begun)
    with dashboard.page.expect_request(SETTINGS):
        dashboard.page.goto(dashboard.address)
    dashboard.page.clock.set_system_time(datetime.now(UTC))
    answer = held[0].fetch()
    held[0].fulfill(response=answer, headers={**answer.headers, "date": format_datetime(begun, usegmt=True)})
    dashboard.sees("signed-out")
    expect(dashboard.page.locator("#clock")).to_be_hidden()


def test_next_session_shows_nothing_of_the_former_one(visit):
    """Its metrics can't be read, so that nothing replaces what the page shows."""
    dashboard = visit().go()
    for token in ("TOKEN_ALICE", "TOKEN_ADMIN"):
        dashboard.use(dashboard.stack[token])
        dashboard.sees("live")
        dashboard.page.get_by_role("button", name="Sign out").click()
    dashboard.page.route(METRICS, lambda route: route.abort())
    for token, is_limited in [("TOKEN_ALICE", True), ("TOKEN_ADMIN", False)]:
        dashboard.use(dashboard.stack[token])
        dashboard.sees("live" if is_limited else "stale")
        expect(dashboard.page.get_by_text("These are your own orders.")).to_be_visible(visible=is_limited)
        expect(dashboard.page.get_by_role("heading", name="Backlog")).to_be_visible(visible=not is_limited)
        dashboard.page.get_by_role("button", name="Sign out").click()
    for name in ("backlog", "rate"):
        expect(dashboard.page.locator(f"#{name}")).to_have_text("–")
    for name in ("backlog-summary", "backlog-facts", "times", "throughput-summary", "throughput-table"):
        expect(dashboard.page.locator(f"#{name}")).to_be_empty()


def test_sign_out_ends_the_session_of_the_issuer(operator):
    with operator.page.expect_response(LOGOUT) as answer:
        operator.page.get_by_role("button", name="Sign out").click()
    assert answer.value.status == 302
    back = f"{operator.address}/index.html"
    assert parameters(answer.value.url) == {"client_id": ["dashboard"], "post_logout_redirect_uri": [back]}
    # The page is a new one: it does not say that the user has signed out.
    expect(operator.page.locator("#sign-in-reason")).to_have_text("Sign in to see orders and metrics.")
    expect(operator.page).to_have_url(back)
    operator.page.get_by_role("button", name="Sign in").click()
    expect(operator.page.get_by_role("heading", name="Who are you?")).to_be_visible()


def test_sign_out_of_a_user_pool_names_the_page_as_cognito_does(visit):
    """The issuer of this machine acts for Cognito, which the page's policy does not know here."""
    dashboard = visit(bypass_csp=True)
    pool = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_pool"
    issuer = dashboard.stack["OIDC_ISSUER"]
    endpoints = {"authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token"}
    sign_in = {"issuer": pool, "client_id": "dashboard", "scope": "openid orders/read orders/admin", "audience": None}
    settings = {"sign_in": sign_in, "admin_group": None}
    dashboard.page.route(SETTINGS, lambda route: route.fulfill(json=settings))
    dashboard.page.route(CONFIGURATION, lambda route: route.fulfill(json=endpoints))
    dashboard.page.route(LOGOUT, lambda route: route.fulfill(body="Signed out"))
    dashboard.sign_in().sees("live")
    with dashboard.page.expect_response(LOGOUT) as answer:
        dashboard.page.get_by_role("button", name="Sign out").click()
    assert answer.value.url.startswith(f"{issuer}/logout?")
    back = f"{dashboard.address}/index.html"
    assert parameters(answer.value.url) == {"client_id": ["dashboard"], "logout_uri": [back]}


def test_page_says_that_the_session_of_the_issuer_may_remain(operator):
    def forget_logout(route: Route) -> None:
        answer = route.fetch()
        named = {name: value for name, value in answer.json().items() if name != "end_session_endpoint"}
        route.fulfill(response=answer, json=named)

    operator.page.route(CONFIGURATION, forget_logout, times=1)
    assert_sign_out_stays_here(operator, "it has no address for that. Sign out there too.")
    operator.page.get_by_role("button", name="Sign in").click()
    operator.page.get_by_role("link", name="admin").click()
    operator.sees("live")
    operator.page.route(CONFIGURATION, lambda route: route.fulfill(status=503), times=1)
    assert_sign_out_stays_here(operator, "The issuer answered 503. Sign out there too.")


def assert_sign_out_stays_here(dashboard: Dashboard, cause: str) -> None:
    dashboard.page.get_by_role("button", name="Sign out").click()
    dashboard.sees("signed-out")
    expect(dashboard.page.locator("#sign-in-reason")).to_contain_text(f"perhaps not at the issuer: {cause}")


def parameters(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


def test_refused_token_signs_out_with_a_reason(operator):
    operator.page.route(METRICS, lambda route: route.fulfill(status=401, json={"message": "Unauthorized"}))
    operator.sees("signed-out")
    expect(operator.page.locator("#sign-in-reason")).to_contain_text("does not accept this token")
    asked: list[str] = []
    operator.page.on("request", lambda request: asked.append(request.url))
    operator.page.wait_for_timeout(6000)
    assert asked == []
