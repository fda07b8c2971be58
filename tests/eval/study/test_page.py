"""The study's page in a real browser: real clicks and keys, and the votes are those clicked."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pfp.eval.study.ballots import read_ballots
from pfp.eval.study.build import Built, StudySettings
from pfp.eval.study.export import collect, gather
from pfp.eval.study.server import StudyServer, open_server
from tests.eval.report.browser_by_pipe import BROWSER, Browser
from tests.eval.study.study_by_hand import build, write_manifest

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here to look at the page with"),
    pytest.mark.slow,
]

FITS = "document.documentElement.scrollWidth <= innerWidth"
SEEDS = itertools.count()
SHOWN = "(shown === null ? -1 : shown)"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of two models on three prompts."""
    folder = tmp_path_factory.mktemp("videos")
    return write_manifest(folder, models=("Aardvark-XL", "Basilisk-2"), num_prompts=3)


@pytest.fixture
def study(manifest: Path, tmp_path: Path) -> tuple[Path, Built]:
    """A study of three pairs and a repeat; each has a seed of its own, so no test knows another."""
    settings = StudySettings(num_raters=2, repeats_per_rater=1, seed=next(SEEDS))
    return tmp_path / "study", build(manifest, tmp_path / "study", settings)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser."""
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def browser(running: Browser) -> Browser:
    """The browser on an empty page, in a window of a desk's size by day."""
    running.call("Page.navigate", url="about:blank")
    running.resize(1280, 800)
    running.complaints.clear()
    return running


@contextlib.contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[StudyServer]:
    """A server in a thread."""
    with open_server(folder, port=port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def until_open(browser: Browser, position: int) -> None:
    """Wait for that showing and for its buttons."""
    browser.wait(f"{SHOWN} === {position}")
    browser.wait("!document.querySelector('#answers button').disabled")


def test_a_study_by_mouse_and_keys_on_a_file(browser: Browser, study: tuple[Path, Built]) -> None:
    """Opened as a file: votes open after both played, undo and reload work, the download is it."""
    folder, built = study
    browser.open((folder / "public" / "index.html").as_uri())
    assert browser.ask("document.activeElement.id") == "rater"
    browser.type("  R2 ")
    browser.click("#enter button")
    browser.wait(f"{SHOWN} === 0")
    assert browser.ask("[...document.querySelectorAll('#answers button')].every(b => b.disabled)")
    browser.press("1")
    browser.ask("vote('a')")
    assert browser.ask("state.ballots.length") == 0
    until_open(browser, 0)
    for video in range(2):
        played = f"videos[{video}].played.end(0) / videos[{video}].duration"
        assert browser.ask(f"document.querySelectorAll('video')[{video}].muted")
        assert browser.ask(played) > 0.85

    browser.click("[data-answer=b]")
    until_open(browser, 1)
    browser.press("3")
    until_open(browser, 2)
    browser.press("u")
    browser.wait(f"{SHOWN} === 1")
    browser.press("4")
    until_open(browser, 2)
    browser.open((folder / "public" / "index.html").as_uri() + "?rater=r02")
    browser.wait(f"{SHOWN} === 2")
    assert browser.ask("document.getElementById('count').textContent") == "Pair 3 of 4"
    assert browser.ask("document.activeElement.id") == "count"
    until_open(browser, 2)
    browser.click("[data-answer=a]")
    until_open(browser, 3)
    browser.click("[data-answer=tie]")
    browser.wait("!document.getElementById('end').hidden")
    assert "download your votes" in browser.ask("document.getElementById('done').textContent")
    browser.click("#undo-end")
    until_open(browser, 3)
    browser.press("2")
    browser.wait("!document.getElementById('end').hidden")
    browser.click("#download")
    saved = browser.downloaded("ballots-r02.jsonl")

    found = read_ballots(saved, built.plan)
    assert [(one.position, one.revision, one.answer) for one in found] == [
        *[(0, 0, "b"), (1, 0, "tie"), (1, 1, None), (1, 2, "bothbad")],
        *[(2, 0, "a"), (3, 0, "tie"), (3, 1, None), (3, 2, "b")],
    ]
    assert {one.rater for one in found} == {"r02"}
    assert all(0.3 < one.seconds < 60 for one in found if one.answer and one.revision == 0)
    collected = collect(gather(folder, [saved], built.plan), built.plan, built.key)
    assert [vote.winner for vote in collected.votes if vote.winner == "bothbad"] == ["bothbad"]
    assert collected.raters[0].num_votes == 3
    assert browser.complaints == []


def test_votes_arrive_at_the_server(browser: Browser, study: tuple[Path, Built]) -> None:
    """Served, each vote is on the disk as it was clicked, and the last page says so."""
    folder, built = study
    answers = ["a", "bothbad", "b", "tie"]
    with serving(folder) as server:
        browser.open(f"{server.address}?rater=J%C3%BCrgen%20K.")
        assert browser.ask("document.getElementById('rater').value") == "J\u00fcrgen K."
        browser.click("#enter button")
        for position, answer in enumerate(answers):
            until_open(browser, position)
            browser.click(f"[data-answer={answer}]")
        browser.wait("document.getElementById('done').textContent.includes('have arrived')")
    found = gather(folder, [], built.plan)

    assert [one.answer for one in found] == answers
    assert [one.position for one in found] == [0, 1, 2, 3]
    assert {one.rater for one in found} == {"J\u00fcrgen K."}
    assert built.plan.study == found[0].study
    assert browser.complaints == []


def test_votes_wait_for_a_server_that_is_away(browser: Browser, study: tuple[Path, Built]) -> None:
    """What could not be sent is kept, told, and sent when the server is back."""
    folder, built = study
    with serving(folder) as server:
        port = server.server_address[1]
        browser.open(f"{server.address}?rater=r01")
        browser.click("#enter button")
        until_open(browser, 0)
    browser.press("1")
    browser.wait("document.getElementById('trouble').textContent.includes('sent later')")
    with serving(folder, port=port):
        browser.wait("state.sent === 1")
        assert browser.ask("document.getElementById('trouble').hidden")

    assert [one.answer for one in gather(folder, [], built.plan)] == ["a"]


def test_a_video_that_cannot_be_played_can_be_skipped(
    browser: Browser, study: tuple[Path, Built]
) -> None:
    """The page says so, offers another try, and gives no vote for it."""
    folder, built = study
    first = built.plan.slots[0][0]
    (folder / "public" / "videos" / built.plan.videos[first.left]).write_bytes(b"broken")
    browser.open((folder / "public" / "index.html").as_uri())
    browser.type("r01")
    browser.click("#enter button")
    browser.wait("!document.getElementById('broken').hidden")
    browser.press("1")
    browser.click("#again")
    browser.wait("!document.getElementById('broken').hidden")
    browser.click("#skip")
    browser.wait(f"{SHOWN} === 1")

    assert browser.ask("state.ballots.length") == 0


@pytest.mark.parametrize(("width", "height", "dark"), [(1280, 800, False), (390, 844, True)])
def test_it_fits_the_window(
    browser: Browser, study: tuple[Path, Built], width: int, height: int, *, dark: bool
) -> None:
    """Nothing sticks out, all that is pressed is visible at once, colours follow the wish."""
    folder, _ = study
    browser.resize(width, height, dark=dark)
    browser.open((folder / "public" / "index.html").as_uri())
    assert browser.ask(FITS)
    browser.type("r01")
    browser.click("#enter button")
    until_open(browser, 0)
    boxes = browser.ask(
        "[...document.querySelectorAll('video, #vote button:not([hidden] button)')]"
        ".map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.top, b.right, b.bottom])"
    )
    sizes = browser.ask("videos.map((v) => [v.clientWidth, v.clientHeight])")
    places = browser.ask("videos.map((v) => v.getBoundingClientRect().top)")
    shade = browser.ask(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )

    assert browser.ask(FITS)
    assert all(0 <= left and right <= width for left, _, right, _ in boxes)
    assert all(0 <= top and bottom <= height for _, top, _, bottom in boxes)
    assert sizes[0] == sizes[1]
    assert sizes[0][0] > 300
    assert (places[0] == places[1]) == (width == 1280)
    assert (sum(shade[:3]) / 3 < 60) == dark


def test_who_wants_no_motion_presses_play(browser: Browser, study: tuple[Path, Built]) -> None:
    """With reduced motion nothing moves before Play, which the hint says; the space bar plays."""
    folder, _ = study
    browser.resize(1280, 800, calm=True)
    browser.open((folder / "public" / "index.html").as_uri())
    browser.type("r01")
    browser.click("#enter button")
    browser.wait("videos.every((v) => v.readyState === 4)")
    assert browser.ask("videos.map((v) => v.currentTime)") == [0, 0]
    assert "Press Play" in browser.ask("document.getElementById('hint').textContent")
    browser.press(" ")
    until_open(browser, 0)

    assert browser.ask("videos.every((v) => v.played.length > 0)")


def test_page_and_python_agree_on_slots(browser: Browser, study: tuple[Path, Built]) -> None:
    """Whatever the id, both give it the same order."""
    folder, built = study
    browser.open((folder / "public" / "index.html").as_uri())
    names = [
        "r01",
        "r02",
        "r03",
        "r1",
        "R2",
        "a",
        "foobar",
        "J\u00fcrgen",
        "\u4e2d\u6587",
        "\U0001f600",
    ]
    names += [f"5f3c{i:020x}" for i in range(40)]
    typed = json.dumps(names)
    slots = browser.ask(f"{typed}.map((t) => [codeOf(t) || t, slotOf(codeOf(t) || t)])")

    assert [slot for _, slot in slots] == [built.plan.slot_of(rater) for rater, _ in slots]
    assert [rater for rater, _ in slots[:5]] == ["r01", "r02", "r03", "r01", "r02"]
    assert {slot for _, slot in slots} == {0, 1}
