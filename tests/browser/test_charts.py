"""The charts of the dashboard, by the texts that they draw."""

import pytest
from dashboard import METRICS
from playwright.sync_api import Route

# Notes each text that a canvas draws.
NOTE_TEXTS = """
    window.drawn = [];
    const draw = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
        window.drawn.push(text);
        draw.call(this, text, ...place);
    };
"""
BACKLOGS = {44: "20", 4_400: "2K", 44_000: "20K", 440_000: "200K", 4_400_000: "2M"}


@pytest.mark.parametrize("active", BACKLOGS)
def test_backlog_of_any_size_has_a_scale(visit, active):
    def with_backlog(route: Route) -> None:
        answer = route.fetch()
        metrics = answer.json()
        metrics["status_counts"]["pending"] = active
        route.fulfill(response=answer, json=metrics)

    dashboard = visit()
    dashboard.page.add_init_script(NOTE_TEXTS)
    dashboard.page.route(METRICS, with_backlog)
    dashboard.sign_in()
    dashboard.page.wait_for_function("(label) => drawn.includes(label)", arg=BACKLOGS[active], timeout=10_000)
