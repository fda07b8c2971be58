"""HTTP whose answers end: within a time as a whole, and within a number of bytes.

httpx bounds the wait for each piece alone, so that a server which sends a byte a second, or one
that never stops sending, would hold its caller for ever.
"""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

import httpx

from pfp.errors import RetryableError
from pfp.io.remote import in_time
from pfp.limits import MAX_RESPONSE_BYTES

UPLOAD_BYTES_PER_SECOND: Final = 32 << 10  # at least, for the time that a request may take
PLAIN: Final = "identity"


def bounded_client(**options: Any) -> httpx.Client:
    """An ``httpx.Client`` that keeps each request within its read timeout as a whole.

    On top comes the time that sending a large body takes. Answers come uncompressed, since a few
    bytes could stand for any number of them.

    Its requests raise ``httpx.ReadTimeout`` and ``httpx.RemoteProtocolError`` at the bounds.
    """
    return httpx.Client(
        transport=_BoundedTransport(), headers={"Accept-Encoding": PLAIN}, **options
    )


class _BoundedTransport(httpx.BaseTransport):
    """Direct, or through the proxies that the environment names, as ``httpx`` does by itself."""

    def __init__(self) -> None:
        self._proxies = urllib.request.getproxies()
        self._transports: dict[str | None, httpx.HTTPTransport] = {}
        self._lock = threading.Lock()  # or threads would each make one, and all but the last leak

    def _transport_for(self, url: httpx.URL) -> httpx.HTTPTransport:
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if proxy and urllib.request.proxy_bypass(url.host):
            proxy = None
        with self._lock:
            if proxy not in self._transports:
                self._transports[proxy] = httpx.HTTPTransport(proxy=proxy)
            return self._transports[proxy]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The response, its headers read and its body bounded."""
        limit = request.extensions.get("timeout", {}).get("read")
        transport = self._transport_for(request.url)
        if limit is None:
            return transport.handle_request(request)
        limit += int(request.headers.get("Content-Length", 0)) / UPLOAD_BYTES_PER_SECOND
        end = time.monotonic() + limit
        try:
            response = in_time(
                lambda: transport.handle_request(request), request.url.host, seconds=limit
            )
        except RetryableError as error:
            raise httpx.ReadTimeout(str(error), request=request) from error
        if response.headers.get("Content-Encoding", PLAIN) != PLAIN:
            response.close()
            raise httpx.RemoteProtocolError(
                f"the answer is compressed ({response.headers['Content-Encoding'][:20]}), which "
                "was not asked for",
                request=request,
            )
        assert isinstance(response.stream, httpx.SyncByteStream)
        return httpx.Response(
            status_code=response.status_code,
            headers=response.headers,
            stream=_BoundedStream(response.stream, request, end),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close the connections."""
        for transport in self._transports.values():
            transport.close()


class _BoundedStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, request: httpx.Request, end: float) -> None:
        self._stream, self._request, self._end = stream, request, end

    def __iter__(self) -> Iterator[bytes]:
        left = MAX_RESPONSE_BYTES
        for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise httpx.RemoteProtocolError(
                    f"the answer has more than {MAX_RESPONSE_BYTES} bytes", request=self._request
                )
            if time.monotonic() > self._end:
                raise httpx.ReadTimeout("the answer did not end in time", request=self._request)
            yield piece

    def close(self) -> None:
        """Give the connection back."""
        self._stream.close()
