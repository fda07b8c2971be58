"""The study's server over real connections: ranges, refusals, durable and single ballots."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.errors import InputError
from pfp.eval.study.ballots import Ballot, read_ballots
from pfp.eval.study.build import StudySettings
from pfp.eval.study.log import BallotLog
from pfp.eval.study.plan import Plan, read_plan
from pfp.eval.study.server import StudyServer, open_server, part_of
from tests.eval.study.study_by_hand import MODELS, ballot, build, write_manifest


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study to copy from."""
    folder = tmp_path_factory.mktemp("built")
    build(write_manifest(folder / "videos"), folder / "study", StudySettings(pairs_per_rater=6))
    return folder / "study"


@pytest.fixture
def study(built: Path, tmp_path: Path) -> Path:
    """A study without votes."""
    subprocess.run(["cp", "-r", str(built), str(tmp_path / "study")], check=True)
    return tmp_path / "study"


@pytest.fixture
def server(study: Path) -> Iterator[StudyServer]:
    """A running server of it."""
    with serving(study) as running:
        yield running


@contextlib.contextmanager
def serving(study: Path) -> Iterator[StudyServer]:
    """A server in a thread."""
    with open_server(study, port=0) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


class Answer:
    """Status, headers and body of one request."""

    def __init__(self, port: int, method: str, path: str, **options: Any) -> None:
        """options: body and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request(method, path, **options)
            found = connection.getresponse()
            self.status, self.headers, self.body = found.status, found.headers, found.read()
        finally:
            connection.close()


def ask(server: StudyServer, method: str, path: str, **options: Any) -> Answer:
    """One request on a connection of its own."""
    return Answer(server.server_address[1], method, path, **options)


def post(port: int, content: object, kind: str = "application/json") -> Answer:
    """Send JSON, or bytes as they are."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Answer(port, "POST", "/votes", body=body, headers={"Content-Type": kind})


def video_of(study: Path) -> tuple[str, bytes]:
    """Where a video is served, and its bytes."""
    name = read_plan(study).videos[0]
    return f"/videos/{name}", (study / "public" / "videos" / name).read_bytes()


def test_the_study_is_served_and_nothing_else(server: StudyServer, study: Path) -> None:
    """Page, plan and videos come whole with their types; the key, votes and other paths never."""
    path, content = video_of(study)
    page = ask(server, "GET", "/?rater=r01")
    video = ask(server, "GET", path)
    (study / "public" / "secret.txt").write_text("not in the plan")

    assert page.status == 200
    assert page.body == (study / "public" / "index.html").read_bytes()
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert (video.status, video.body) == (200, content)
    assert video.headers["Content-Type"] == "video/mp4"
    assert video.headers["Accept-Ranges"] == "bytes"
    assert video.headers["Last-Modified"] is None
    assert json.loads(ask(server, "GET", "/study.json").body)["study"] == server.plan.study
    for hidden in (
        *("/key.json", "/../key.json", "/%2e%2e/key.json", "/videos/../../key.json"),
        *("/ballots.jsonl", "/videos/", "/videos", "/secret.txt", "//etc/passwd"),
    ):
        answer = ask(server, "GET", hidden)
        assert (hidden, answer.status) == (hidden, 404)
        assert not any(model.encode() in answer.body for model in MODELS)


def test_head_says_what_get_sends(server: StudyServer, study: Path) -> None:
    """The same headers without the bytes."""
    path, content = video_of(study)
    answer = ask(server, "HEAD", path)

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-", 0, None),
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=5-99999999", 5, None),
        ("bytes=-99999999", 0, None),
    ],
)
def test_a_range_is_a_part(
    server: StudyServer, study: Path, header: str, start: int, end: int | None
) -> None:
    """Exactly the asked bytes come, with where they stand."""
    path, content = video_of(study)
    wanted = content[start:end]
    first = content.index(wanted)
    answer = ask(server, "GET", path, headers={"Range": header})

    assert (answer.status, answer.body) == (206, wanted)
    assert answer.headers["Content-Length"] == str(len(wanted))
    expected = f"bytes {first}-{first + len(wanted) - 1}/{len(content)}"
    assert answer.headers["Content-Range"] == expected


@pytest.mark.parametrize("header", ["bytes=1-2,5-6", "bytes=9-3", "lines=1-2", "bytes=-", "x"])
def test_ranges_that_are_none_get_the_whole(server: StudyServer, study: Path, header: str) -> None:
    """As the standard allows."""
    path, content = video_of(study)
    answer = ask(server, "GET", path, headers={"Range": header})

    assert (answer.status, answer.body) == (200, content)


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=-0"])
def test_ranges_beyond_the_end_are_refused(server: StudyServer, study: Path, header: str) -> None:
    """With the size, so that the browser can ask again."""
    path, content = video_of(study)
    answer = ask(server, "GET", path, headers={"Range": header})

    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(content)}"


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 25))
def test_parts_are_slices(start: int, last: int, size: int) -> None:
    """A range is what Python's slice of the bytes would be, and None where that is empty."""
    content = bytes(range(size))
    part = part_of(f"bytes={start}-{last}", size)
    wanted = content[start : last + 1] if last >= start else content

    assert (b"" if part is None else content[part.start : part.end]) == wanted


def test_ballots_are_stored_once(server: StudyServer, study: Path) -> None:
    """One ballot, a list, and the same again: each is one line of the log, whole and readable."""
    plan, port = server.plan, server.server_address[1]
    cast = [ballot(plan, "r01", i, "a") for i in range(4)]
    answers = [
        post(port, asdict(cast[0])),
        post(port, [asdict(one) for one in cast[:3]]),
        post(port, [asdict(one) for one in [*cast, cast[3]]]),
    ]

    assert [(one.status, json.loads(one.body)) for one in answers] == [
        (200, {"stored": 1}),
        (200, {"stored": 2}),
        (200, {"stored": 1}),
    ]
    assert read_ballots(study / "ballots.jsonl", plan, is_log=True) == cast
    assert json.loads(ask(server, "GET", "/votes").body) == {"study": plan.study, "ballots": 4}


def wrong_ballots(plan: Plan) -> list[tuple[str, object]]:
    """What is no ballot, by a word of the answer."""
    good = asdict(ballot(plan, "r01", 0, "a"))
    few = {name: good[name] for name in ("study", "rater")}
    return [
        ("not JSON", b"{"),
        ("not JSON", b"[" * 100_000),
        ("not JSON", b"\xff\xfe"),
        ("no ballot", [1]),
        ("no ballot", "a"),
        ("no ballot", few),
        ("no ballot", {**good, "admin": True}),
        ("0 ballots", []),
        ("501 ballots", [good] * 501),
        ("open this study's own page", {**good, "study": "0" * 16}),
        ("16 lower-case hex digits", {**good, "session": "../../etc/passwd"}),
        ("printable letters", {**good, "rater": ""}),
        ("printable letters", {**good, "rater": " r01"}),
        ("printable letters", {**good, "rater": "r" * 65}),
        ("printable letters", {**good, "rater": "a\nb"}),
        ("printable letters", {**good, "rater": "\ud800"}),
        ("position is 6", {**good, "position": 6}),
        ("position is -1", {**good, "position": -1}),
        ("position is True", {**good, "position": True}),
        ("revision is 1.5", {**good, "revision": 1.5}),
        ("answer is 'left'", {**good, "answer": "left"}),
        ("answer is ['a']", {**good, "answer": ["a"]}),
        ("answer is None in revision 0", {**good, "answer": None}),
        ("seconds is nan", {**good, "seconds": float("nan")}),
        ("seconds is -1", {**good, "seconds": -1}),
        ("seconds is 1000", {**good, "seconds": 10**400}),
        ("voted_at is 'now'", {**good, "voted_at": "now"}),
        ("voted_at is '2026", {**good, "voted_at": "2026-01-31T12:00:00"}),
        ("voted_at is '2026", {**good, "voted_at": "2026-01-31\ud80012:00:00Z"}),
    ]


def test_what_is_no_ballot_is_refused_and_leaves_nothing(server: StudyServer, study: Path) -> None:
    """Each wrong post is a 400 that says why, even beside a right one; the log stays empty."""
    plan, port = server.plan, server.server_address[1]
    good = asdict(ballot(plan, "r01", 1, "b"))
    for word, content in wrong_ballots(plan):
        body = json.dumps([good, content]).encode() if isinstance(content, dict) else content
        answer = post(port, body)
        assert (answer.status, word in answer.body.decode()) == (400, True), (word, answer.body)

    assert (study / "ballots.jsonl").read_bytes() == b""


def test_other_requests_are_refused(server: StudyServer, study: Path) -> None:
    """Other pages' forms, bodies without length or too long, other paths and other methods."""
    port = server.server_address[1]
    good = asdict(ballot(server.plan, "r01", 0, "a"))
    kind = {"Content-Type": "application/json"}
    long = {**kind, "Content-Length": "300000"}
    chunked = Answer(port, "POST", "/votes", body=iter([b"{}"]), headers=kind)

    assert post(port, good, kind="text/plain").status == 415
    assert chunked.status == 411
    assert Answer(port, "POST", "/votes", headers=long).status == 413
    assert Answer(port, "POST", "/study.json", body=b"{}", headers=kind).status == 404
    assert Answer(port, "DELETE", "/votes").status == 501
    for method in ("GET", "HEAD", "POST"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            request = f"{method} http://[ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            raw.sendall(request.encode())
            assert b" 404 " in raw.recv(64), method
    assert (study / "ballots.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Transfer-Encoding": "chunked"}, b"411"),
        ({"Content-Length": "4000000"}, b"413"),
        ({"Content-Length": "4000000", "Content-Type": "text/plain"}, b"415"),
    ],
)
def test_a_refused_client_that_is_still_sending_gets_its_answer(
    server: StudyServer, headers: dict[str, str], status: bytes
) -> None:
    """The refusal comes before the body, which the client sends all the same."""
    fields = {"Host": "localhost", "Content-Type": "application/json", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        connection.sendall(f"POST /votes HTTP/1.1\r\n{head}\r\n".encode())
        time.sleep(0.1)
        for _ in range(4):
            connection.sendall(b"x" * 1_000_000)
            time.sleep(0.01)
        connection.shutdown(socket.SHUT_WR)

        assert connection.recv(64).split()[1] == status


def test_a_changed_ballot_needs_a_revision(server: StudyServer, study: Path) -> None:
    """The same id with another answer is a conflict; the next revision is stored."""
    plan, port = server.plan, server.server_address[1]
    first = ballot(plan, "r01", 0, "a")
    changed = replace(first, answer="b")

    assert post(port, asdict(first)).status == 200
    assert post(port, asdict(changed)).status == 409
    assert post(port, [asdict(replace(first, position=1)), asdict(changed)]).status == 409
    assert post(port, asdict(replace(changed, revision=1))).status == 200
    assert [one.answer for one in read_ballots(study / "ballots.jsonl", plan)] == ["a", "b"]


def test_many_raters_at_once_lose_nothing(server: StudyServer, study: Path) -> None:
    """Twelve connections that send everything thrice leave each ballot on exactly one line."""
    plan, port = server.plan, server.server_address[1]
    cast = [
        ballot(plan, f"rater {r}", position, "tie", session=f"{r:016x}")
        for r in range(12)
        for position in range(6)
    ]
    thrice = [one for one in cast for _ in range(3)]  # and so at the same moment
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda one: post(port, asdict(one)), thrice))
    stored = read_ballots(study / "ballots.jsonl", plan, is_log=True)

    assert {answer.status for answer in answers} == {200}
    assert sum(json.loads(answer.body)["stored"] for answer in answers) == len(cast)
    assert sorted(one.id for one in stored) == sorted(one.id for one in cast)


def test_a_killed_server_keeps_what_it_acknowledged(study: Path) -> None:
    """Killed while votes pour in and started again, it has every acknowledged ballot once."""
    plan = read_plan(study)
    start = (
        "import sys; from pfp.eval.study.server import open_server\n"
        "with open_server(sys.argv[1], port=0) as server:\n"
        "    print(server.server_address[1], flush=True)\n"
        "    server.serve_forever()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", start, str(study)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    acknowledged: list[str] = []

    def pour(rater: int) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            for revision in range(2000):
                one = ballot(plan, f"p{rater}", 0, "a", session=f"{rater:016x}", revision=revision)
                if post(port, asdict(one)).status == 200:
                    acknowledged.append(one.id)

    with ThreadPoolExecutor(6) as pool:
        for rater in range(6):
            pool.submit(pour, rater)
        while len(acknowledged) < 60:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    before = read_ballots(study / "ballots.jsonl", plan, is_log=True)
    with serving(study) as again:
        assert len(again.log) == len(before)
        last = ballot(plan, "r01", 0, "b", session="f" * 16)
        assert post(again.server_address[1], asdict(last)).status == 200
    content = (study / "ballots.jsonl").read_bytes()
    ids = [one.id for one in read_ballots(study / "ballots.jsonl", plan, is_log=True)]

    assert set(acknowledged) <= set(ids)
    assert len(ids) == len(set(ids)) == len(before) + 1
    assert content.endswith(b"\n")


def test_half_a_line_is_cut_off(study: Path) -> None:
    """What a crash left in the middle of a line is gone when the log is opened, and sent again."""
    plan = read_plan(study)
    cast = [ballot(plan, "r01", i, "a") for i in range(3)]
    path = study / "ballots.jsonl"
    path.write_bytes(cast[0].line() + cast[1].line() + cast[2].line()[:40])

    assert read_ballots(path, plan, is_log=True) == cast[:2]
    with BallotLog(path, plan) as log:
        assert log.append(cast) == 1
    assert read_ballots(path, plan) == cast


def test_a_full_disk_acknowledges_nothing(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails halfway is taken back, told as 507, and works when there is room."""
    plan = read_plan(study)
    one = ballot(plan, "r01", 0, "a")
    write = os.write

    def full(file: int, content: Any) -> int:
        if len(content) > 20:
            return write(file, bytes(content[:20]))
        raise OSError(28, "No space left on device")

    with serving(study) as server:
        port = server.server_address[1]
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            answer = post(port, asdict(one))
        assert answer.status == 507
        assert b"free some space" in answer.body
        assert (study / "ballots.jsonl").read_bytes() == b""
        assert post(port, asdict(one)).status == 200
    assert read_ballots(study / "ballots.jsonl", plan) == [one]


def test_a_request_that_outlives_its_server_writes_nowhere(study: Path, tmp_path: Path) -> None:
    """The number of a closed file is given to the next one that is opened, which stays empty."""
    plan = read_plan(study)
    with BallotLog(tmp_path / "ballots.jsonl", plan) as log:
        pass
    other = tmp_path / "other"
    with other.open("wb", buffering=0), pytest.raises(OSError, match="Bad file descriptor"):
        log.append([ballot(plan, "r01", 0, "a")])

    assert (b"", b"") == (other.read_bytes(), (tmp_path / "ballots.jsonl").read_bytes())
    assert len(log) == 0


def test_one_folder_has_one_server(study: Path) -> None:
    """A second server of the same folder is refused; so is an address that is taken."""
    with serving(study) as running:
        with pytest.raises(InputError, match="is being written by process"), open_server(study):
            pass
        subprocess.run(["cp", "-r", str(study), str(study.with_name("other"))], check=True)
        (study.with_name("other") / "_lock").unlink()
        taken = open_server(study.with_name("other"), port=running.server_address[1])
        with pytest.raises(InputError, match="choose another --host or --port"), taken:
            pass


def test_a_missing_video_is_noticed_at_the_start(study: Path) -> None:
    """Not when a rater comes to it."""
    (study / "public" / "videos" / read_plan(study).videos[3]).unlink()
    with pytest.raises(InputError, match="lacks the video"), open_server(study, port=0):
        pass


def test_only_this_machine_is_listened_to(server: StudyServer) -> None:
    """The default address is loopback."""
    assert server.server_address[0] == "127.0.0.1"
    assert server.socket.family == socket.AF_INET


def test_a_browser_that_leaves_is_no_noise(
    server: StudyServer, study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A connection that breaks in the middle of a video or a post leaves no traceback."""
    path, _ = video_of(study)
    for text in (
        f"GET {path} HTTP/1.1\r\n\r\n",
        "POST /votes HTTP/1.1\r\nContent-Length: 9\r\nContent-Type: application/json\r\n\r\n{",
    ):
        with socket.create_connection(server.server_address[:2]) as connection:
            connection.sendall(text.encode())
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    time.sleep(0.2)

    assert ask(server, "GET", "/votes").status == 200
    assert "Traceback" not in capfd.readouterr().err


def test_ballots_keep_their_type(built: Path) -> None:
    """A line read back is the ballot that was written."""
    plan = read_plan(built)
    one = ballot(plan, "J\u00fcrgen", 2, "bothbad", seconds=0.25)

    assert isinstance(one, Ballot)
    assert json.loads(one.line()) == asdict(one)
    assert one.line().count(b"\n") == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("127.0.0.1:8765", 200), ("localhost:9000", 200), ("[::1]:8765", 200), ("10.1.2.3", 200)),
        *(("study.example.org", 200), ("STUDY.example.org:443", 200)),
        *(("evil.example", 421), ("127.0.0.1.evil.example:8765", 421), ("user@localhost", 421)),
        *(("localhost:port", 421), ("", 421)),
    ],
)
def test_a_foreign_name_that_leads_here_is_not_answered(
    study: Path, host: str, status: int
) -> None:
    """A page whose own name is made to lead to this port (DNS rebinding) learns nothing."""
    with open_server(study, port=0, host_names=["study.example.org"]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        named = {"Host": host}
        found = [ask(server, "GET", path, headers=named).status for path in ("/", "/votes")]
        voted = ask(server, "POST", "/votes", body=b"[]", headers=named).status
        server.shutdown()
        thread.join()

    assert found == [status, status]
    assert voted == (421 if status == 421 else 415)


def test_no_host_and_two_hosts_are_refused(server: StudyServer) -> None:
    """HTTP/1.1 asks for one; two could be read differently by a proxy in front."""
    port = server.server_address[1]
    statuses = []
    for hosts in ("", "Host: localhost\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
            statuses.append(connection.recv(64).split()[1])

    assert statuses == [b"421", b"421"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        *(("http://127.0.0.1:{port}", 200), ("https://127.0.0.1:{port}", 200)),
        *(("http://evil.example", 403), ("null", 403), ("http://127.0.0.1:1", 403)),
    ],
)
def test_votes_come_from_the_study_s_own_page(
    server: StudyServer, study: Path, origin: str, status: int
) -> None:
    """Scripts of other pages cannot vote, whatever type they send; the page's own can."""
    port = server.server_address[1]
    headers = {"Content-Type": "application/json", "Origin": origin.format(port=port)}
    body = json.dumps(asdict(ballot(read_plan(study), "r01", 0, "a"))).encode()

    assert ask(server, "POST", "/votes", body=body, headers=headers).status == status
