"""The weights lock, its downloads and its refusals, against a server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from pfp.errors import ConfigError, WeightsError
from pfp.io import weights
from pfp.io.weights import Weights
from pfp.io.weights_lock import read_repositories
from pfp.models.backbones.loading import ARCHITECTURES
from pfp.models.memory.checkpoint import load_base
from pfp.models.text import TEXT_ENCODERS
from pfp.models.vae import VAES, load_vae

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What the little server sends, and the Range headers that it saw."""

    url: str
    content: bytes = CONTENT
    cut_after: int | None = None  # the first answer breaks off after so many bytes
    knows_ranges: bool = True
    ends_ranges: bool = False  # asked for what comes after the end it answers 416
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    """A real HTTP server on a free port of the loopback interface."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.ranges.append(wanted)
            start = 0
            if wanted == f"bytes={len(state.content)}-" and state.ends_ranges:
                self.send_error(416)
                return
            if wanted and state.knows_ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206)
            else:
                self.send_response(404 if self.path.endswith("missing.bin") else 200)
            body = state.content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if state.cut_after is not None:
                body, state.cut_after = body[: state.cut_after], None
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Server(url=f"http://127.0.0.1:{httpd.server_address[1]}/w/net.bin")
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def entry(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """One entry of a lock, served by the server, with an empty weights folder."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "weights"))
    return Weights(
        name="net",
        urls=(server.url,),
        sha256=SHA256,
        bytes=len(CONTENT),
        licence="MIT",
        non_commercial=False,
        cite="nobody",
    )


def test_fetched_weights_are_found_where_the_folder_says(entry: Weights, tmp_path: Path) -> None:
    """A fetched file lies at folder/name/file and is handed out by ``find``."""
    path = weights.fetch("net", lock={"net": entry})

    assert tmp_path / "weights" / "net" / "net.bin" == path
    assert path == weights.find("net", lock={"net": entry})
    assert path.read_bytes() == CONTENT
    assert [path] == list(path.parent.iterdir())


def test_a_second_fetch_opens_no_connection(entry: Weights, server: Server) -> None:
    """Weights that are there are not downloaded again."""
    weights.fetch("net", lock={"net": entry})
    weights.fetch("net", lock={"net": entry})

    assert server.ranges == [None]


def test_a_cut_download_goes_on_where_it_stopped(entry: Weights, server: Server) -> None:
    """When the connection breaks, only the missing bytes are asked for."""
    server.cut_after = 300_000

    path = weights.fetch("net", lock={"net": entry})

    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]


def test_an_earlier_process_s_part_is_used(entry: Weights, server: Server) -> None:
    """A ``.part`` file of a killed run is completed, not begun anew."""
    path = weights.path_of("net", lock={"net": entry})
    path.parent.mkdir(parents=True)
    path.with_name("net.bin.part").write_bytes(CONTENT[:1000])

    weights.fetch("net", lock={"net": entry})

    assert server.ranges == ["bytes=1000-"]
    assert path.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(entry: Weights, server: Server) -> None:
    """A server that answers 200 to a Range request does not end up with doubled bytes."""
    server.knows_ranges = False
    server.cut_after = 5000

    assert weights.fetch("net", lock={"net": entry}).read_bytes() == CONTENT


def test_a_wrong_digest_is_refused(entry: Weights, server: Server) -> None:
    """A file of the right size and other bytes never gets its name, nor is it kept for resuming."""
    server.content = CONTENT[:-1] + b"\x00"

    with pytest.raises(WeightsError, match=f"sha256 .*, not the {SHA256} of net"):
        weights.fetch("net", lock={"net": entry})

    assert not list(weights.path_of("net", lock={"net": entry}).parent.iterdir())


@pytest.mark.parametrize("content", [CONTENT + b"x", CONTENT * 3], ids=["one more", "thrice"])
def test_a_longer_file_is_refused(entry: Weights, server: Server, content: bytes) -> None:
    """A file that is too long is refused, and not read to its end."""
    server.content = content

    with pytest.raises(WeightsError, match=rf"not the {len(CONTENT)} of net"):
        weights.fetch("net", lock={"net": entry})


def test_a_shorter_file_is_refused(
    entry: Weights, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that ends too early is refused with both sizes."""
    monkeypatch.setattr("pfp.io.download.FIRST_WAIT_SECONDS", 0.001)
    server.content, server.knows_ranges = CONTENT[:-5], False

    with pytest.raises(WeightsError, match=f"sent {len(CONTENT) - 5} of {len(CONTENT)} bytes"):
        weights.fetch("net", lock={"net": entry})


def test_the_next_url_is_tried(entry: Weights, server: Server) -> None:
    """A mirror is asked when the first address does not have the file."""
    gone = server.url.replace("net.bin", "missing.bin")
    lock = {"net": replace(entry, urls=(gone, server.url))}

    assert weights.fetch("net", lock=lock).read_bytes() == CONTENT


def test_every_failed_url_is_named(entry: Weights, server: Server) -> None:
    """When no address has the file, the message tells what each said and how to do it by hand."""
    gone = server.url.replace("net.bin", "missing.bin")

    with pytest.raises(
        WeightsError, match=rf"{gone}: HTTP 404 .* put the file with sha256 {SHA256}"
    ):
        weights.fetch("net", lock={"net": replace(entry, urls=(gone,))})


def test_offline_names_the_path_and_the_digest(entry: Weights, server: Server) -> None:
    """Without network the message holds the exact path and digest wanted, and nothing is asked."""
    path = weights.path_of("net", lock={"net": entry})

    with pytest.raises(WeightsError, match=rf"downloads are off: .* {SHA256} .* at {path}"):
        weights.fetch("net", offline=True, lock={"net": entry})
    assert server.ranges == []


def test_missing_weights_name_their_cure(entry: Weights) -> None:
    """``find`` says which command brings what is missing."""
    with pytest.raises(WeightsError, match="`pfp weights fetch net`"):
        weights.find("net", lock={"net": entry})


def test_weights_damaged_on_disk_are_not_handed_out(entry: Weights) -> None:
    """A file that was changed after it had been fetched is refused."""
    path = weights.fetch("net", lock={"net": entry})
    path.write_bytes(CONTENT[::-1])

    with pytest.raises(WeightsError, match=f"not the {SHA256} of net"):
        weights.find("net", lock={"net": entry})


def test_verify_reads_the_file_again(entry: Weights) -> None:
    """``verify`` sees damage that kept the file's size and time."""
    path = weights.fetch("net", lock={"net": entry})
    weights.find("net", lock={"net": entry})
    stat = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    with pytest.raises(WeightsError, match="sha256"):
        weights.verify("net", lock={"net": entry})


def test_noncommercial_weights_need_a_yes(entry: Weights, tmp_path: Path) -> None:
    """Non-commercial weights are neither fetched nor imported without an explicit yes."""
    lock = {"net": replace(entry, non_commercial=True, licence="CC-BY-NC-4.0")}
    (tmp_path / "mine.bin").write_bytes(CONTENT)

    with pytest.raises(WeightsError, match=r"CC-BY-NC-4\.0"):
        weights.fetch("net", lock=lock)
    with pytest.raises(WeightsError, match="--accept-noncommercial"):
        weights.import_file("net", tmp_path / "mine.bin", lock=lock)
    assert weights.fetch("net", accept_noncommercial=True, lock=lock).is_file()


def test_an_imported_file_is_found(entry: Weights, tmp_path: Path) -> None:
    """A file that came by another way is copied to where ``find`` looks."""
    (tmp_path / "mine.bin").write_bytes(CONTENT)

    path = weights.import_file("net", tmp_path / "mine.bin", lock={"net": entry})

    assert path == weights.find("net", lock={"net": entry})
    assert [path] == list(path.parent.iterdir())


def test_a_foreign_file_is_not_imported(entry: Weights, tmp_path: Path) -> None:
    """Importing another file is refused with both sizes and leaves nothing behind."""
    (tmp_path / "mine.bin").write_bytes(b"something else")

    with pytest.raises(WeightsError, match=f"has 14 bytes, not the {len(CONTENT)} of net"):
        weights.import_file("net", tmp_path / "mine.bin", lock={"net": entry})
    assert not weights.path_of("net", lock={"net": entry}).exists()


def test_ls_tells_what_is_there(entry: Weights) -> None:
    """``ls`` tells present from missing from wrong."""
    lock = {"net": entry}
    before = weights.ls(lock=lock)[0].state
    path = weights.fetch("net", lock=lock)
    after = weights.ls(lock=lock)[0].state
    path.write_bytes(b"short")

    assert [before, after, weights.ls(lock=lock)[0].state] == ["missing", "present", "wrong size"]


def test_an_unknown_name_lists_the_known(entry: Weights) -> None:
    """A name that is not in the lock is answered with those that are."""
    with pytest.raises(WeightsError, match="'nett'; known are net"):
        weights.find("nett", lock={"net": entry})


def test_the_shipped_lock_is_well_formed() -> None:
    """Every shipped entry has a licence, a source and HTTPS addresses; a full digest has a size."""
    for name, entry in weights.read_lock().items():
        assert name == entry.name
        assert not entry.is_exact or (entry.bytes or 0) > 0
        assert entry.file_name
        assert entry.licence
        assert entry.cite
        assert all(url.startswith("https://") for url in entry.urls)


def test_every_base_vae_and_text_encoder_says_where_it_is_published() -> None:
    """By the names that the loaders know; tiny ships with pfp. No digest is known to pfp."""
    known = {("base", name) for name in ARCHITECTURES if name != "tiny"} | {
        ("vae", name) for name in VAES if name != "tiny"
    }
    known |= {("text_encoder", name) for name in TEXT_ENCODERS if name != "tiny"}

    found = read_repositories()

    assert known == found.keys()
    assert all(entry.sha256 is None and entry.revision is None for entry in found.values())


def test_loaders_name_what_is_missing(tmp_path: Path) -> None:
    """The repository, its folder and files, for a base and for a VAE."""
    with pytest.raises(
        WeightsError,
        match=r"transformer/diffusion_pytorch_model\*\.safetensors of Wan-AI/Wan2\.2-TI",
    ):
        load_base("wan22_5b", None, {}, dtype=torch.float32, device="cpu")
    with pytest.raises(WeightsError, match=r"vae/.* of hunyuanvideo-community/HunyuanVideo"):
        load_vae(f"hunyuan:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("name", ["lpips-alex", "lpips-vgg", "raft-large-c-t-v1", "musiq-spaq"])
def test_file_names_that_carry_the_digest_s_head_agree(name: str) -> None:
    """The locked digest begins as the official file's name says."""
    entry = weights.entry_of(name)

    assert entry.sha256 is not None
    assert entry.file_name.endswith(f"-{entry.sha256[:8]}.pth")


def test_a_lock_with_an_unknown_field_is_an_error(tmp_path: Path) -> None:
    """A misspelt field in a lock is refused, not ignored."""
    document = json.loads(weights.LOCK_PATH.read_text())
    document["weights"][0]["license"] = "MIT"
    (tmp_path / "weights.lock").write_text(json.dumps(document))

    with pytest.raises(ConfigError, match="'lpips-alex' must have exactly the fields"):
        weights.read_lock(tmp_path / "weights.lock")


def test_the_folder_is_read_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is looked at on each call, not at import."""
    monkeypatch.delenv("PFP_WEIGHTS_DIR", raising=False)
    default = weights.directory()
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))

    assert Path.home() / ".cache" / "pfp" / "weights" == default
    assert tmp_path == weights.directory()


@pytest.fixture(params=[SHA256[:8], None], ids=["prefix", "unknown"])
def vague(entry: Weights, request: pytest.FixtureRequest) -> Weights:
    """The entry as a lock has it that does not know the whole digest, nor the size."""
    return replace(entry, sha256=request.param, bytes=None)


def test_the_first_fetch_pins_the_whole_digest(vague: Weights, server: Server) -> None:
    """A digest that the lock does not know is taken from the first fetch and then holds."""
    server.cut_after = 300_000  # the length that the server announces says that more must come
    path = weights.fetch("net", lock={"net": vague})

    assert path.read_bytes() == CONTENT
    assert path == weights.find("net", lock={"net": vague})
    assert weights.sha256_of("net", lock={"net": vague}) == SHA256
    assert json.loads(weights.pin_path("net", lock={"net": vague}).read_text()) == {
        "sha256": SHA256,
        "bytes": len(CONTENT),
        "from": server.url,
    }


def test_a_pinned_file_that_changed_is_refused(vague: Weights) -> None:
    """Once pinned, other bytes of the same size are as foreign as under a full digest."""
    path = weights.fetch("net", lock={"net": vague})
    path.write_bytes(CONTENT[::-1])

    with pytest.raises(WeightsError, match=f"not the {SHA256} of net"):
        weights.find("net", lock={"net": vague})


def test_another_file_than_the_pinned_is_not_fetched_again(vague: Weights, server: Server) -> None:
    """When the server's file changes after the first fetch, the new one does not get the name."""
    weights.fetch("net", lock={"net": vague}).unlink()
    server.content = CONTENT[::-1]

    with pytest.raises(WeightsError, match=f"not the {SHA256} of net"):
        weights.fetch("net", lock={"net": vague})


def test_an_import_pins_and_a_second_other_one_is_refused(vague: Weights, tmp_path: Path) -> None:
    """The first import is taken on trust, a later one must be the same file."""
    (tmp_path / "mine.bin").write_bytes(CONTENT)
    (tmp_path / "other.bin").write_bytes(CONTENT[::-1])
    lock = {"net": vague}

    weights.import_file("net", tmp_path / "mine.bin", lock=lock)
    with pytest.raises(WeightsError, match="it was not imported"):
        weights.import_file("net", tmp_path / "other.bin", lock=lock)
    assert weights.sha256_of("net", lock=lock) == SHA256


def test_a_prefix_refuses_what_begins_otherwise(entry: Weights, server: Server) -> None:
    """A file whose digest begins otherwise is neither kept nor pinned."""
    server.content = CONTENT[::-1]
    lock = {"net": replace(entry, sha256=SHA256[:8], bytes=None)}

    with pytest.raises(WeightsError, match=f"not the {SHA256[:8]} of net"):
        weights.fetch("net", lock=lock)
    assert not list(weights.path_of("net", lock=lock).parent.iterdir())


def test_a_file_put_there_by_hand_is_not_trusted(vague: Weights) -> None:
    """Without a pin nothing says what the file should be, and the message says who may pin it."""
    path = weights.path_of("net", lock={"net": vague})
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)

    assert weights.ls(lock={"net": vague})[0].state == "not pinned"
    with pytest.raises(WeightsError, match=f"`pfp weights import net {path}`"):
        weights.find("net", lock={"net": vague})
    weights.import_file("net", path, lock={"net": vague})
    assert path == weights.find("net", lock={"net": vague})
    assert weights.ls(lock={"net": vague})[0].state == "present"


def test_a_whole_part_of_a_killed_run_is_recognised(entry: Weights, server: Server) -> None:
    """A server that has nothing after what is there ends the download, and the digest decides."""
    server.ends_ranges = True
    lock = {"net": replace(entry, sha256=SHA256[:8], bytes=None)}
    path = weights.path_of("net", lock=lock)
    path.parent.mkdir(parents=True)
    path.with_name("net.bin.part").write_bytes(CONTENT)

    assert weights.fetch("net", lock=lock).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_weights_without_an_address_are_imported(entry: Weights) -> None:
    """Where no URL is known every message names ``pfp weights import``."""
    lock = {"net": replace(entry, urls=(), file="net.pth", sha256=None, bytes=None)}

    with pytest.raises(WeightsError, match=r"no address .* `pfp weights import net FILE`"):
        weights.fetch("net", lock=lock)
    with pytest.raises(WeightsError, match=r"are missing: get net\.pth another way"):
        weights.find("net", lock=lock)


@pytest.mark.parametrize("text", ["no JSON", "{}", '{"sha256": "abc", "bytes": 1}'])
def test_a_damaged_pin_is_an_error(vague: Weights, text: str) -> None:
    """A pin that cannot be read is never taken for no pin."""
    weights.fetch("net", lock={"net": vague})
    weights.pin_path("net", lock={"net": vague}).write_text(text)

    with pytest.raises(WeightsError, match="is no pin of pfp's"):
        weights.find("net", lock={"net": vague})


@pytest.mark.parametrize("digits", ["abc", "g" * 8, "A" * 64, "a" * 65])
def test_what_is_no_digest_is_refused(entry: Weights, digits: str) -> None:
    """A lock must not hold what can never match, nor a prefix that matches by chance."""
    with pytest.raises(ConfigError, match="hex digits; give null"):
        replace(entry, sha256=digits)


def test_a_pin_that_the_lock_contradicts_is_an_error(entry: Weights) -> None:
    """A lock that learns the digest's beginning later refuses what was pinned before it."""
    weights.fetch("net", lock={"net": replace(entry, sha256=None, bytes=None)})

    with pytest.raises(WeightsError, match=f"pins {SHA256}, which is not the 00000000 of net"):
        weights.find("net", lock={"net": replace(entry, sha256="0" * 8, bytes=None)})
