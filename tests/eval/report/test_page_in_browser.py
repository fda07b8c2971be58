"""The page in a real browser: nothing sticks out, everything decodes, nothing complains."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pfp.eval.measure.score import ScoreSettings, run_score
from pfp.eval.report import write_report

MakeRun = Callable[..., Any]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here to look at the page with"),
    pytest.mark.slow,
]

WATCH = """<script>
window.complaints = [];
window.addEventListener("error", (e) => complaints.push(String(e.message || e.target.src)), true);
console.error = (...words) => complaints.push(words.join(" "));
</script>"""

# A window is never narrower than 500 pixels, a frame in it can be; it tells what the page tells it.
FRAME = """<!doctype html><title></title><style>body {{ margin: 0 }}</style>
<script>addEventListener("message", (event) => {{ document.title = event.data; }});</script>
<iframe src="{address}" style="width: {width}px; height: 900px; border: 0"></iframe>"""

# Measures the page once it has settled, clicks two columns, and tells the frame around it.
ASK = """<script>
const order = () => [...document.querySelectorAll("tbody[data-role=ranked] tr[data-method]")]
  .map((row) => row.dataset.method);
window.addEventListener("load", async () => {
  document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
  const images = [...document.images];
  const decoded = await Promise.allSettled(images.map((image) => image.decode()));
  const seen = {
    innerWidth,
    scrollWidth: document.documentElement.scrollWidth,
    images: images.length,
    decoded: decoded.filter((one) => one.status === "fulfilled").length,
    background: getComputedStyle(document.body).backgroundColor,
    sorted: order(),
    sortedBy: [...document.querySelectorAll("th[aria-sort]")].map((head) => head.textContent),
  };
  document.querySelector("table.results th:nth-child(2) button").click();
  seen.reversed = order();
  document.querySelector("table.results th:nth-child(3) button").click();
  seen.bySsim = order();
  seen.json = JSON.parse(document.getElementById("leaderboard").textContent).schema_version;
  seen.complaints = complaints;
  parent.postMessage(JSON.stringify(seen), "*");
});
</script>"""

METHODS = ["proposed 4x4x2", "only_lr 4x4x2", "large_patchifier 4x4x2", "no_memory"]


@pytest.fixture(scope="module")
def page(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written page with the questions added to a copy of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PFP_WEIGHTS_DIR", str(tmp_path_factory.mktemp("no-weights")))
        run = make_run(num_clips=2)
        run_score(str(run.directory), ScoreSettings(), engine="local")
    write_report(run.directory)
    written = (run.directory / "leaderboard.html").read_text()
    asked = written.replace("<head>", f"<head>{WATCH}").replace("</body>", f"{ASK}</body>")
    path = Path(run.directory) / "asked.html"
    path.write_text(asked)
    return path


def look_at(page: Path, folder: Path, *, width: int, dark: bool) -> dict[str, Any]:
    """What the page measures of itself in a frame of that width, for a reader of those colours."""
    assert BROWSER is not None
    frame = page.with_name(f"frame{width}.html")
    frame.write_text(FRAME.format(address=page.name, width=width))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += ["--disable-background-networking", "--disable-extensions", "--no-first-run"]
    command += ["--window-size=1400,1000", "--virtual-time-budget=20000"]
    command += [f"--user-data-dir={folder}", f"--blink-settings=preferredColorScheme={1 - dark}"]
    until = time.monotonic() + 200
    while time.monotonic() < until:  # a busy browser's clock runs out before the page answers
        done = subprocess.run(
            [*command, "--dump-dom", frame.as_uri()],
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
        )
        title = re.search(r"<title>(.+?)</title>", done.stdout, re.DOTALL)
        if title is not None:
            seen: dict[str, Any] = json.loads(html.unescape(title[1]))
            return seen
    pytest.fail("the page did not answer")


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_the_page_fits_the_window_and_works(
    page: Path, tmp_path: Path, width: int, *, dark: bool
) -> None:
    """On a phone in the dark and on a desk by day nothing overflows, all decodes, sorting sorts."""
    seen = look_at(page, tmp_path, width=width, dark=dark)
    brightness = sum(int(level) for level in re.findall(r"\d+", seen["background"])[:3]) / 3

    assert seen["complaints"] == []
    assert seen["innerWidth"] == width
    assert seen["scrollWidth"] <= width
    assert seen["decoded"] == seen["images"] > 30
    assert seen["sorted"] == METHODS
    assert len(seen["sortedBy"]) == 1
    assert seen["sortedBy"][0].startswith("PSNR")
    assert seen["reversed"] == METHODS[::-1]
    assert seen["bySsim"] == METHODS
    assert seen["json"] == 2
    assert brightness < 60 if dark else brightness > 200
