"""The explorer in a browser, and what it refuses."""

from __future__ import annotations

import http.client
from urllib.parse import quote


def ask(explorer, path="/", **headers):
    """One request with headers of choice: status, headers and text."""
    connection = http.client.HTTPConnection("127.0.0.1", explorer.port, timeout=20)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", headers.pop("Host", f"127.0.0.1:{explorer.port}"))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    reply = connection.getresponse()
    return reply.status, dict(reply.getheaders()), reply.read().decode("utf-8", "replace")


def test_foreign_pages_and_names_are_refused(explorer):
    for path in ("/", "/file?run=good&path=report.html", "/_nicegui_ws/socket.io/?EIO=4"):
        assert ask(explorer, path, Origin="http://evil.example")[0] == 403
        assert ask(explorer, path, Host="evil.example")[0] == 403


def test_reports_are_shown_and_no_other_file_is(explorer):
    status, headers, text = ask(explorer, "/file?run=good&path=report.html")
    assert (status, "<h1>good</h1>" in text) == (200, True)
    assert "sandbox; default-src 'none'" in headers["content-security-policy"]
    assert ask(explorer, "/file?run=good&path=figures/kernels.svg")[0] == 200
    for run, path in (
        ("good", "results.json"),
        ("good", "../better/report.html"),
        ("..", "report.html"),
        ("good/../better", "report.html"),
        ("holiday", "report.html"),
        ("", "report.html"),
    ):
        address = f"/file?run={quote(run, safe='')}&path={quote(path, safe='')}"
        assert ask(explorer, address)[0] == 404


def test_a_design_is_drawn_by_keys_priced_and_written(open_tab):
    tab = open_tab()
    handle = tab.get_by_role("slider", name="Optical kernels").locator("[tabindex='0']")
    handle.press("ArrowLeft")
    tab.locator("svg.layout[aria-label*='7 of 8 signed kernels']").wait_for()
    field = tab.get_by_role("spinbutton", name="Site of a sub-optic")
    field.fill("5")
    tab.get_by_role("alert").filter(has_text="does not fit").wait_for()
    field.fill("0.4")
    tab.locator("svg.layout[aria-label*='9 × 9 sites']").wait_for()
    assert not tab.get_by_role("alert").is_visible()
    tab.get_by_role("button", name="Write this spec").click()
    spec = tab.get_by_label("The spec").inner_text()
    assert "kernel_site_mm: 0.4" in spec
    assert "kernels: 7" in spec
    tab.get_by_text("95 %:").wait_for()  # the estimate
    assert "mm²" in tab.inner_text(".tiles")
    names = tab.get_by_role("slider").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert len(names) == 7
    assert all(names)
    tab.get_by_role("tab", name="Live").click()
    tab.get_by_role("alert").filter(has_text="No run here is deployed").wait_for()
    assert not tab.said


def test_the_design_is_as_wide_as_its_window(open_tab):
    for width in (1400, 400):
        tab = open_tab(width)
        tab.locator("svg.layout").wait_for()
        inner = tab.locator(".design").evaluate(
            "one => [one.clientWidth, parseFloat(getComputedStyle(one.parentElement).width) - 2 * "
            "parseFloat(getComputedStyle(one.parentElement).paddingLeft)]"
        )
        assert inner[0] == inner[1]
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def choose(tab, *names):
    for name in names:
        tab.get_by_role("checkbox", name=f"choose {name}", exact=True).click()


def test_runs_are_filtered_compared_and_a_fault_is_a_sentence(open_tab, explorer):
    tab, other = open_tab(), open_tab(400)
    for one in (tab, other):
        one.get_by_role("tab", name="Runs").click()
    tab.get_by_role("button", name="Compare").click()
    tab.get_by_role("alert").filter(has_text="0 runs are chosen; choose 2 to 6").wait_for()
    choose(tab, "good", "better")
    tab.get_by_role("button", name="Compare").click()
    tab.get_by_text("Where the specs differ").wait_for()
    assert not tab.get_by_role("alert").is_visible()
    assert "points" in tab.inner_text("table:has(caption:text('Students against'))")
    assert tab.locator("svg.chart polyline").count() == 2
    choose(tab, "good", "better", "holiday")
    tab.get_by_role("button", name="Follow").click()
    tab.get_by_text("Nothing is finished yet").wait_for()
    tab.get_by_label("Filter").fill("bett")
    tab.locator("td", has_text="holiday").wait_for(state="detached")

    # Another browser, as narrow as a telephone, sees nothing of this.
    other.locator("td", has_text="holiday").wait_for()
    assert "Nothing is finished" not in other.content()
    assert other.evaluate("document.documentElement.scrollWidth") <= 400
    for one in (tab, other):
        assert not one.said
        assert all(
            address.startswith((explorer.url, "data:", "ws://127.0.0.1:")) for address in one.asked
        )
