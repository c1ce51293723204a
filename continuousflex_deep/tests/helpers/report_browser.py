"""A report in headless Chromium, used as a person would: with a mouse, and without a network."""

import importlib.util
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# rendering by the CPU, which is all that test machines have; a browser run by root has no sandbox
_ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]
WAIT_MS = 180_000  # for a page of a million particles on a busy machine
# selects and shows nothing but what the page had at first
_START_OVER = """async () => {
    for (const control of document.querySelectorAll("#landscape-section .controls :is(input, select)")) {
        const at_first = window.atFirst.controls.get(control);
        if (control.type === "checkbox") control.checked = at_first;
        else control.value = at_first;
    }
    const { groups, landscape, panel } = report;
    groups.all.splice(0, Infinity, ...window.atFirst.groups.map((group) => ({ ...group })));
    groups.list();
    await landscape.draw(true);
    if (panel) {
        panel.viewer.showRest(true);
        await panel.showRest();
    }
    scrollTo(0, 0);
}"""
_AT_FIRST = """() => {
    const controls = document.querySelectorAll("#landscape-section .controls :is(input, select)");
    const values = [...controls].map((c) => [c, c.type === "checkbox" ? c.checked : c.value]);
    window.atFirst = { controls: new Map(values), groups: report.groups.all.map((group) => ({ ...group })) };
}"""


def chromium() -> str | None:
    """The program that CFD_CHROMIUM names, or one on the search path."""
    return os.environ.get("CFD_CHROMIUM") or next((p for name in _NAMES if (p := shutil.which(name))), None)


def browser_missing() -> str:
    """Why reports cannot be tried here; empty where they can."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed; install this package with its extra 'test'"
    return "" if chromium() else "Chromium is not installed; install it (Debian: chromium), or name one in CFD_CHROMIUM"


class OpenReport:
    """A page with all that it complained of and asked the network for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def load(self, path: Path) -> None:
        self.page.goto(path.absolute().as_uri())
        self.page.wait_for_selector("body[data-state]", timeout=WAIT_MS)

    def remember(self) -> None:
        """Note what is shown and selected, so that others can start over from it."""
        self.value(_AT_FIRST)

    def start_over(self) -> None:
        """Go back to what was noted: a loaded page serves several tests."""
        self.value(_START_OVER)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def value(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)

    def wait(self, script: str) -> None:
        self.page.wait_for_function(script, timeout=WAIT_MS)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the landscape is on the screen."""
        script = """([x, y]) => {
            const plot = document.getElementById("landscape"), { left, top } = plot.getBoundingClientRect();
            const { xaxis, yaxis } = plot._fullLayout;
            return [left + xaxis._offset + xaxis.d2p(x), top + yaxis._offset + yaxis.d2p(y)];
        }"""
        left, top = self.value(script, [x, y])
        return left, top

    def drag(self, places: Sequence[tuple[float, float]], tool: str) -> None:
        """Press at the first place of the landscape, move along the others, release; with its box or lasso tool."""
        self.page.click(f'#landscape .modebar-btn[data-val="{tool}"]')
        first, *others = [self.at(*place) for place in places]
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for place in others:
            self.page.mouse.move(*place, steps=8)
        self.page.mouse.up()
        self.wait("report.groups.selection !== null")

    def selections(self) -> list[dict[str, Any]]:
        """What was drawn, in data coordinates, as Plotly keeps it."""
        return list(self.value('document.getElementById("landscape").layout.selections'))

    def download(self, selector: str, folder: Path) -> Path:
        with self.page.expect_download() as caught:
            self.page.click(selector)
        path = folder / caught.value.suggested_filename
        caught.value.save_as(path)
        return path


@contextmanager
def chromium_browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def open_report(browser: Any, path: Path, width: int = 1440, height: int = 1000) -> Iterator[OpenReport]:
    context = browser.new_context(offline=True, viewport={"width": width, "height": height}, accept_downloads=True)
    opened = OpenReport(context.new_page())
    opened.load(path)
    yield opened
    context.close()
