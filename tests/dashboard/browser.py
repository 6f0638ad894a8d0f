"""A real browser, driven by Playwright: what the page looks like there, and what the browser complains of."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn

ABORTED = "net::ERR_ABORTED"
WIDTHS = (400, 1200)
SCHEMES = ("light", "dark")

OVERFLOWING = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const each of document.querySelectorAll("main *, header *")) {
    if (each.closest("svg, option, .skip")) continue;
    const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !each.getClientRects().length) continue;
    const a = light(parse(getComputedStyle(each).color)), b = light(behind(each));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([each.tagName, each.className, each.textContent.slice(0, 30), ratio]);
  }
  return poor;
}"""
"""Returns the texts that are hard to read: those below the ratio that WCAG's level AA asks for."""
UNNAMED = """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea")]
  .filter((each) => !(each.textContent.trim() || (each.labels && each.labels.length)))
  .map((each) => each.outerHTML)"""


class Seen(NamedTuple):
    """A browser's window, and what its console and the network had to say."""

    page: Any
    complaints: list[str]


@contextmanager
def served(page: Any) -> Iterator[str]:
    """Serve a page as long as the block lasts; yield its address without the last slash."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(page, log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join(20)


@contextmanager
def window(started: Any, width: int, scheme: str, **given: Any) -> Iterator[Seen]:
    """Open a window of a browser."""
    context = started.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **given)
    try:
        page = context.new_page()
        seen = Seen(page, [])
        page.on("console", lambda line: seen.complaints.append(line.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        # What was being loaded when the window went elsewhere has not failed.
        page.on(
            "requestfailed",
            lambda request: request.failure == ABORTED or seen.complaints.append(request.url),
        )
        yield seen
    finally:
        context.close()


def look(seen: Seen, address: str, picture: Path | None = None) -> None:
    """Go to an address, hold the page to what holds for all, and keep a picture of it."""
    answer = seen.page.goto(address)
    assert answer.status == 200, address
    if picture is not None:
        seen.page.screenshot(path=picture, full_page=True)
    hold(seen, address)


def hold(seen: Seen, address: str) -> None:
    """Hold the page that is shown to what holds for all."""
    seen.page.wait_for_load_state()  # its style, too: a text may be there before
    assert not seen.page.evaluate(OVERFLOWING), address
    assert seen.page.evaluate(CONTRAST) == [], address
    assert seen.page.evaluate(UNNAMED) == [], address
    assert seen.complaints == [], address
