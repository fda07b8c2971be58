"""How a video gets to the Gemini API: inside the request when small, else through the Files API."""

from __future__ import annotations

import io
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import httpx
from google.genai import errors, types

from pfp.errors import PermanentError, RetryableError
from pfp.io.media.source import open_binary, shown_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google import genai

    from pfp.vlm.providers.gemini.connection import GeminiConnection
    from pfp.vlm.retry import RetryPolicy

# (offset, magic bytes, MIME type as the Gemini API names it); MP4 stands for its whole family.
_MIME_TYPES: Final = (
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp3g", "video/3gpp"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (8, b"AVI ", "video/avi"),
    (0, b"FLV", "video/x-flv"),
    (0, b"\x30\x26\xb2\x75", "video/wmv"),
    (0, b"\x00\x00\x01\xba", "video/mpeg"),
    (0, b"\x00\x00\x01\xb3", "video/mpeg"),
    (0, b"\x47", "video/mpeg"),
)


@contextmanager
def video_part(
    connection: GeminiConnection,
    path: str,
    metadata: types.VideoMetadata,
    *,
    policy: RetryPolicy,
    inline_limit_bytes: int,
    upload_timeout_seconds: float,
    poll_seconds: float,
    notes: list[str],
) -> Iterator[types.Part]:
    """The video as a part of a prompt; an uploaded file is deleted when the block ends.

    ``metadata`` goes on the part: on the data inside it the server would not see it.
    """
    with open_binary(path) as file:
        size_bytes = file.seek(0, io.SEEK_END)
        file.seek(0)
        mime_type = mime_type_of(file.read(16), path)
        file.seek(0)
        if size_bytes <= inline_limit_bytes:
            blob = types.Blob(data=file.read(), mime_type=mime_type)
            yield types.Part(inline_data=blob, video_metadata=metadata)
            return
        uploaded = _upload(connection, policy, file, mime_type)
    try:
        active = _wait_until_active(
            connection, policy, uploaded, upload_timeout_seconds, poll_seconds
        )
        data = types.FileData(file_uri=active.uri, mime_type=active.mime_type or mime_type)
        yield types.Part(file_data=data, video_metadata=metadata)
    finally:
        _delete(connection.client(), uploaded, notes)


def mime_type_of(head: bytes, path: str) -> str:
    """MIME type told from a file's first 16 bytes; its name plays no part.

    Raises PermanentError for a container that the Gemini API does not take.
    """
    for offset, magic, mime_type in _MIME_TYPES:
        if head.startswith(magic, offset):
            return mime_type
    message = f"{shown_name(path)} is in no container that Gemini reads; convert it to MP4"
    raise PermanentError(message)


def _upload(
    connection: GeminiConnection, policy: RetryPolicy, file: BinaryIO, mime_type: str
) -> types.File:
    # As an open file, not as a path: the SDK would put the name into a header, which is ASCII.
    stream = file if isinstance(file, io.IOBase) else io.BufferedReader(cast("io.RawIOBase", file))
    config = types.UploadFileConfig(mime_type=mime_type)

    def send(client: genai.Client) -> types.File:
        stream.seek(0)
        return client.files.upload(file=stream, config=config)

    uploaded = policy.call(lambda: connection.send(send))
    if uploaded.name is None:
        message = "Gemini took an upload but gave it no name; run again"
        raise RetryableError(message)
    return uploaded


def _wait_until_active(
    connection: GeminiConnection,
    policy: RetryPolicy,
    file: types.File,
    timeout_seconds: float,
    poll_seconds: float,
) -> types.File:
    """The file once the server has taken it in; asking about it earlier is an error there."""
    name = file.name or ""
    deadline = time.monotonic() + timeout_seconds
    while file.state != types.FileState.ACTIVE:
        if file.state == types.FileState.FAILED:
            reason = file.error.message if file.error is not None else None
            message = f"Gemini could not take in the video ({reason or 'no reason given'})"
            raise PermanentError(message)
        if time.monotonic() > deadline:
            message = f"Gemini did not take in the video within {timeout_seconds:g} s; run again"
            raise RetryableError(message)
        time.sleep(poll_seconds)
        file = policy.call(lambda: connection.send(lambda client: client.files.get(name=name)))
    return file


def _delete(client: genai.Client, file: types.File, notes: list[str]) -> None:
    """Remove an uploaded file; one that stays behind expires after two days."""
    try:
        client.files.delete(name=file.name or "")
    except (errors.APIError, httpx.TransportError, ValueError) as error:
        notes.append(f"{file.name} could not be deleted ({type(error).__name__}); it expires")
