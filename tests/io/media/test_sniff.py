"""What is no video is called by its name, with a cure, whatever its extension says."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import random
import sqlite3
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyarrow import feather, orc

from pfp.errors import PermanentError
from pfp.io.media import RejectedVideo, iter_stored, probe, read_frames
from pfp.io.media.sniff import SNIFF_BYTES, sniff
from tests.hostile_files import KINDS, HostileFile

FRENCH = "Un \u0153uf \xe0 la coque, tr\xe8s chaud ; d\xe9j\xe0 vu. \u00c7a va ?\n"
CHINESE = "\u4e00\u53ea\u732b\u5750\u5728\u7a97\u8fb9\u3002\u5916\u9762\u4e0b\u7740\u96e8\u3002\n"


def tar(form: int, *, old: bool = False) -> bytes:
    """A tar archive of one small file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        member = tarfile.TarInfo("00000.mp4")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"video"))
    content = bytearray(file.getvalue())
    if old:  # Unix V7: no signature, and the sum of the header's bytes is another
        content[257:265] = bytes(8)
        content[148:156] = b" " * 8
        content[148:156] = b"%06o\0 " % sum(content[:512])
    return bytes(content)


def zipped(name: str, content: bytes = b"x", compression: int = zipfile.ZIP_STORED) -> bytes:
    """A ZIP file whose first member has this name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    """What a library writes into a file."""
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def npz(file: io.BytesIO) -> None:
    """Two arrays in one file."""
    np.savez(file, frames=np.zeros((2, 3)), other=np.ones(2))


def image(form: str, mode: str = "RGB") -> bytes:
    """A small image as PIL writes it."""
    return saved(lambda file: Image.new(mode, (32, 24)).save(file, form))


def sqlite(tmp_path: Path) -> bytes:
    """A database with one table."""
    path = tmp_path / "db"
    with sqlite3.connect(path) as base:
        base.execute("create table videos (name text)")
    return path.read_bytes()


def windows_program() -> bytes:
    """The headers of a program: MZ, and where PE stands."""
    return b"MZ" + bytes(58) + struct.pack("<I", 128) + bytes(64) + b"PE\0\0" + bytes(300)


TABLE = pa.table({"name": ["a", "b"], "seconds": [1.0, 2.0]})
RANDOM = random.Random(7).randbytes(100_000)

TEXTS = {
    "ascii": b"hello there\n",
    "utf-8 with accents": FRENCH.encode(),
    "utf-8 in Chinese": CHINESE.encode(),
    "utf-8 with a mark": FRENCH.encode("utf-8-sig"),
    "utf-8 that ends inside a letter": (CHINESE * 400).encode()[: SNIFF_BYTES + 1],
    "utf-16": FRENCH.encode("utf-16"),
    "utf-16, big end first, with a mark": b"\xfe\xff" + FRENCH.encode("utf-16-be"),
    "utf-16-le": FRENCH.encode("utf-16-le"),
    "utf-16-be": FRENCH.encode("utf-16-be"),
    "utf-16-le in Chinese": (CHINESE * 300).encode("utf-16-le"),
    "utf-32": FRENCH.encode("utf-32"),
    "latin-1": FRENCH.replace("\u0153", "oe").encode("latin-1"),
    "cp1251": ("\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!\n" * 30).encode("cp1251"),
    "shift_jis": (
        "\u732b\u304c\u7a93\u306e\u305d\u3070\u306b\u5ea7\u3063\u3066\u3044\u308b\n" * 20
    ).encode("shift_jis"),
    "gb18030": (CHINESE * 20).encode("gb18030"),
    "csv": "name;gr\xf6\u00dfe\n\xe4.mp4;12\n".encode(),
    "yaml": "clips:\n - \xe4\n".encode(),
    "coloured by a terminal": b"\x1b[31merror\x1b[0m: 404\n",
}
OTHERS: dict[str, tuple[bytes, str]] = {
    "a JSON object": (
        json.dumps({"caption": "n\xe9"}, ensure_ascii=False).encode(),
        "text file (JSON",
    ),
    "a JSON list": (b"[1, 2]", "a text file (JSON"),
    "JSON in UTF-16": (json.dumps({"a": 1}).encode("utf-16"), "a text file (JSON"),
    "tar, ustar": (tar(tarfile.USTAR_FORMAT), "a tar archive: unpack it"),
    "tar, GNU": (tar(tarfile.GNU_FORMAT), "a tar archive: unpack it"),
    "tar, PAX": (tar(tarfile.PAX_FORMAT), "a tar archive: unpack it"),
    "tar, Unix V7": (tar(tarfile.USTAR_FORMAT, old=True), "a tar archive: unpack it"),
    "npy": (saved(lambda file: np.save(file, np.zeros((3, 4)))), "a NumPy array"),
    "npz": (saved(npz), "a NumPy archive (npz)"),
    "zip": (zipped("a.mp4"), "a ZIP archive: unpack it"),
    "zip, deflated": (zipped("a.mp4", b"x" * 99, zipfile.ZIP_DEFLATED), "a ZIP archive: unpack it"),
    "zip, empty": (saved(lambda file: zipfile.ZipFile(file, "w").close()), "an empty ZIP archive"),
    "docx": (zipped("[Content_Types].xml"), "an Office document"),
    "odt": (zipped("mimetype", b"application/vnd.oasis.opendocument.text"), "an Office document"),
    "epub": (zipped("mimetype", b"application/epub+zip"), "an e-book"),
    "torch": (zipped("archive/data.pkl"), "a PyTorch file"),
    "gzip": (gzip.compress(b"video"), "a gzip archive: unpack it"),
    "bzip2": (bz2.compress(b"video"), "a bzip2 archive: unpack it"),
    "xz": (lzma.compress(b"video"), "an xz archive: unpack it"),
    "lzma": (lzma.compress(b"video", lzma.FORMAT_ALONE), "an LZMA archive: unpack it"),
    "zstd": (pa.compress(b"video", "zstd", asbytes=True), "a Zstandard archive: unpack it"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04" + RANDOM[:200], "a 7z archive: unpack it"),
    "rar 4": (b"Rar!\x1a\x07\x00" + RANDOM[:200], "a RAR archive: unpack it"),
    "rar 5": (b"Rar!\x1a\x07\x01\x00" + RANDOM[:200], "a RAR archive: unpack it"),
    "hdf5": (b"\x89HDF\r\n\x1a\n\x00\x00\x00\x00" + bytes(200), "an HDF5 file"),
    "lmdb": (bytes(16) + b"\xde\xc0\xef\xbe\x01\x00\x00\x00" + bytes(200), "an LMDB database"),
    "parquet": (saved(lambda file: pq.write_table(TABLE, file)), "a Parquet table"),
    "feather": (saved(lambda file: feather.write_feather(TABLE, file)), "an Arrow table"),
    "orc": (saved(lambda file: orc.write_table(TABLE, file)), "an ORC table"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
    "doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(200), "an Office document"),
    "html": (b"<!DOCTYPE html><p>404", "an HTML page"),
    "html in UTF-16": ("<html><body>404".encode("utf-16"), "an HTML page"),
    "xhtml": (b"<?xml version='1.0'?>\n<html xmlns='x'>", "an HTML page"),
    "xml": ("<?xml version='1.0'?><\xe9/>".encode(), "an XML document"),
    "torrent": (b"d8:announce35:http://tracker/announce4:infod6:lengthi5ee", "a torrent file"),
    "torrent without a tracker": (b"d10:created by5:maker4:infod6:lengthi5ee", "a torrent file"),
    "WebVTT": ("WEBVTT\n\n00:01.000 --> 00:04.000\n\xc0 bient\xf4t\n".encode(), "a subtitle file"),
    "SubRip": ("\ufeff1\r\n00:00:01,000 --> 00:00:04,000\r\n\xc4h\r\n".encode(), "a subtitle file"),
    "ASS": (b"[Script Info]\nTitle: x\n", "a subtitle file"),
    "MicroDVD": (b"{10}{50}Hello\n", "a subtitle file"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "git lfs pull",
    ),
    "git-annex": (b"/annex/objects/SHA256E-s123--abc.mp4\n", "git annex get"),
    "git-annex link as a file": (
        b"../.git/annex/objects/k/v/SHA256E-s1--a/SHA256E-s1--a",
        "annex get",
    ),
    "DVC": (b"outs:\n- md5: 1f\n  size: 12\n  path: a.mp4\n", "a DVC pointer: run dvc pull"),
    "DVC with a digest first": (b"md5: 1f\nframe: 1\nouts:\n- path: a.mp4\n", "run dvc pull"),
    "zeros": (bytes(20_000), "a file of zeros"),
    "a few zeros": (bytes(7), "a file of zeros"),
    "a program": (b"\x7fELF\x02\x01\x01" + bytes(99), "a program"),
    "a Windows program": (windows_program(), "a program"),
    "a playlist": (b"#EXTM3U\n#EXT-X-VERSION:3\n", "a playlist"),
    "random bytes": (RANDOM, "no format that pfp knows"),
    "a few random bytes": (RANDOM[:50], "no format that pfp knows"),
}
for number in range(2, 6):
    for kind, value in (
        ("dict", {"a": 1}),
        ("list", [1, 2]),
        ("array", np.zeros(3)),
        ("text", "x"),
    ):
        OTHERS[f"pickle {number} of a {kind}"] = (pickle.dumps(value, number), "a Python pickle")
IMAGES = {
    **{form: image(form) for form in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO")},
    "PBM": image("PPM", "1"),
    "JPEG2000": image("JPEG2000"),
    "HEIF": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100),
    "AVIF": image("AVIF") if "AVIF" in Image.SAVE else b"\x00\x00\x00\x18ftypavif" + bytes(100),
    "PSD": b"8BPS\x00\x01" + bytes(100),
}


def rejection(path: Path) -> tuple[str, str]:
    """The reason and the words with which a file is refused."""
    with pytest.raises(RejectedVideo) as error:
        probe(path)
    assert str(path) in error.value.message
    return error.value.reason, error.value.message.replace(str(path), "")


@pytest.mark.parametrize("suffix", [".mp4", ".txt", ""])
@pytest.mark.parametrize("kind", TEXTS)
def test_text_is_text(tmp_path: Path, kind: str, suffix: str) -> None:
    """In any usual code, under any name."""
    path = tmp_path / f"x{suffix}"
    path.write_bytes(TEXTS[kind])

    assert ("not_a_video", " is a text file, not a video") == rejection(path)


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_video_is_called_by_its_name(tmp_path: Path, kind: str) -> None:
    """With the cure, and never as damaged."""
    content, expected = OTHERS[kind]
    path = tmp_path / "x.mp4"
    path.write_bytes(content)

    reason, words = rejection(path)

    assert "not_a_video" == reason
    assert expected in words
    assert "damaged" not in words


def test_a_database_is_called_by_its_name(tmp_path: Path) -> None:
    """As SQLite itself writes it."""
    path = tmp_path / "x.mkv"
    path.write_bytes(sqlite(tmp_path))

    assert "an SQLite database: export the videos" in rejection(path)[1]


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_is_told_from_a_video(tmp_path: Path, kind: str) -> None:
    """Whatever writes it."""
    path = tmp_path / "x.mp4"
    path.write_bytes(IMAGES[kind])

    assert "still_image" == rejection(path)[0]


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    """It has a reason of its own."""
    (tmp_path / "x.mp4").touch()

    assert ("empty_file", " is an empty file, not a video") == rejection(tmp_path / "x.mp4")


@pytest.mark.parametrize(
    "name", ["a.mp4.part", "a.crdownload", "a.mp4.part-Frag3", "A.PARTIAL", "a.!qB", "a.download"]
)
def test_a_part_of_a_download_is_called_so(tmp_path: Path, name: str) -> None:
    """Where nothing else can be told from the bytes; a part that plays is judged as a video."""
    path = tmp_path / name
    path.write_bytes(b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + RANDOM[:500])

    assert ("not_a_video", " is a part of a download: let it finish, or fetch the file again") == (
        rejection(path)
    )


def test_a_damaged_video_is_still_damaged(tmp_path: Path) -> None:
    """Its first bytes are those of a video."""
    path = tmp_path / "x.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + RANDOM[:500])

    with pytest.raises(PermanentError, match="the file is damaged") as error:
        probe(path)
    assert not isinstance(error.value, RejectedVideo)


def test_every_reader_says_the_same(tmp_path: Path) -> None:
    """Frames by time and frames as they are stored."""
    path = tmp_path / "x.mp4"
    path.write_bytes(tar(tarfile.PAX_FORMAT))

    for read in (
        lambda: read_frames(path, fps=1, height=8, width=8),
        lambda: list(iter_stored(path)),
    ):
        with pytest.raises(RejectedVideo, match="is no video but a tar archive: unpack it"):
            read()


def test_random_bytes_are_no_known_format() -> None:
    """Of 2,000 files none is taken for something that it is not."""
    rng = random.Random(0)
    found = [sniff(rng.randbytes(rng.choice((64, 512, SNIFF_BYTES)))) for _ in range(2000)]

    assert [None] * 2000 == found


def test_no_drawn_video_is_taken_for_something_else(
    hostile_file: HostileFile,
) -> None:
    """Of any container that is drawn for other tests."""
    names = [name for name, kind in KINDS.items() if "kept" in kind.outcomes]
    heads = {name: hostile_file(name).read_bytes()[:SNIFF_BYTES] for name in names}

    assert dict.fromkeys(names) == {name: sniff(head) for name, head in heads.items()}


def test_no_real_video_is_taken_for_something_else(shared_clips: Path) -> None:
    """Nor one whose beginning is cut off, as streams that are recorded begin anywhere."""
    clips = [path for path in (shared_clips / "dev").iterdir() if path.is_file()]
    for path in clips:
        content = path.read_bytes()
        assert sniff(content[:SNIFF_BYTES]) is None
        for at in range(0, len(content) - SNIFF_BYTES, len(content) // 40):
            found = sniff(content[at : at + SNIFF_BYTES])
            assert found is None or "zeros" in found[1]


def test_a_bright_raw_video_is_no_text(tmp_path: Path) -> None:
    """YUV4MPEG2 begins with words, and the bytes of bright frames are letters."""
    path = tmp_path / "x.y4m"
    frame = b"FRAME\n" + bytes([200]) * 64 + bytes([100]) * 32
    path.write_bytes(b"YUV4MPEG2 W8 H8 F25:1 C420jpeg\n" + frame * 60)

    assert (8, 8) == (probe(path).width, probe(path).height)


def test_the_neighbours_of_videos_are_told(hostile_file: HostileFile) -> None:
    """What webdataset and video2dataset put beside videos."""
    expected = {
        "shard.tar": "no video but a tar archive: unpack it",
        "metadata.json": "a text file (JSON), not a video",
        "embedding.npy": "no video but a NumPy array: write its frames as a video",
        "accents.txt": "a text file, not a video",
        "chinese.txt": "a text file, not a video",
    }
    for name, words in expected.items():
        assert ("not_a_video", f" is {words}") == rejection(hostile_file(name))
