"""The charts of the dashboard, by the texts that they draw."""

import pytest

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
    dashboard = visit()
    dashboard.page.add_init_script(NOTE_TEXTS)
    dashboard.change_metrics(lambda metrics: metrics["status_counts"].update(pending=active))
    dashboard.sign_in()
    dashboard.page.wait_for_function("(label) => drawn.includes(label)", arg=BACKLOGS[active], timeout=10_000)
