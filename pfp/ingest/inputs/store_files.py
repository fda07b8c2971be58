"""The files of a folder in an object store, asked for in pages that the store chooses.

pyarrow gives a listing as a list, at about 300 bytes a file while it is one. So a folder is listed
by its subfolders, some at a time, and each listing becomes an Arrow block where it arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote

import pyarrow as pa
from pyarrow import fs as pafs

from pfp.errors import InputError
from pfp.ingest.inputs.blocks import blocks_of
from pfp.ingest.inputs.patterns import Pattern, is_listed
from pfp.io.filesystems import explain_store_errors, resolve

_THREADS: Final = 8
# A subfolder costs a request, and a request brings up to a thousand files. Beyond so many
# subfolders the whole folder is asked for at once, rather than every video's folder by itself.
_MAX_FOLDERS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlace:
    """A folder or a file in a store, and how URIs of what lies beside and below it are written."""

    filesystem: pafs.FileSystem
    path: str  # with the bucket, not percent-encoded
    before: str  # scheme://, and anonymous@ where the URI says so
    after: str  # ?region=... where the URI says so

    @classmethod
    def of(cls, uri: str) -> Self:
        """The place of an ``s3://`` or ``gs://`` URI; raises as ``resolve`` does."""
        filesystem, path = resolve(uri)
        scheme, _, rest = uri.partition("://")
        address, mark, query = rest.partition("?")
        anonymous = "anonymous@" if address.startswith("anonymous@") else ""
        return cls(
            filesystem=filesystem,
            path=path.rstrip("/"),
            before=f"{scheme}://{anonymous}",
            after=mark + query,
        )

    def uri_of(self, path: str) -> str:
        """The URI of a path on the same store, opened in the same way."""
        return f"{self.before}{quote(path)}{self.after}"


def store_files(
    uri: str, place: StorePlace, *, skip: Iterable[str], pattern: Pattern
) -> Iterator[pa.Table]:
    """The files below a folder of a store that the pattern matches, as blocks, in no order.

    ``uri`` names the folder in messages. Left out are names and folders that begin with a dot,
    sidecars, and the folders whose URIs are in ``skip``. A listing that breaks off raises, and what
    came before is not all there is.

    Raises:
        InputError: there is no such folder.
        PermanentError: the store refuses it.
        RetryableError: the store does not answer.
    """
    listing = _Listing(uri, place, _paths_of(skip, place), pattern)
    top = listing.infos(place.path, is_recursive=False)
    yield from listing.blocks(top)
    folders = [info.path for info in top if info.type == pafs.FileType.Directory]
    if pattern.max_depth == 1:
        return
    if len(folders) > _MAX_FOLDERS:
        yield from listing.blocks(listing.infos(place.path, is_recursive=True), min_depth=2)
    else:
        yield from _ahead(listing, filter(listing.counts, folders))


@dataclass(frozen=True, slots=True)
class _Listing:
    uri: str
    place: StorePlace
    skip: tuple[str, ...]
    pattern: Pattern

    def infos(self, path: str, *, is_recursive: bool) -> list[pafs.FileInfo]:
        """What the store says lies in a folder."""
        selector = pafs.FileSelector(path, recursive=is_recursive)
        try:
            with explain_store_errors(self.place.filesystem, f"the listing of {self.uri}"):
                found: list[pafs.FileInfo] = self.place.filesystem.get_file_info(selector)
        except (FileNotFoundError, NotADirectoryError) as error:
            message = f"there is no folder {self.uri}; check the bucket and the path"
            raise InputError(message) from error
        return found

    def blocks(self, infos: Iterable[pafs.FileInfo], min_depth: int = 1) -> Iterator[pa.Table]:
        """The files among them that count."""
        return blocks_of(
            (self.place.uri_of(info.path), info.size, info.mtime_ns)
            for info in infos
            if info.type == pafs.FileType.File
            and self._relative(info.path).count("/") >= min_depth - 1
            and self.counts(info.path)
            and self.pattern.matches(self._relative(info.path))
        )

    def folder_blocks(self, path: str) -> list[pa.Table]:
        """All files below a subfolder, as Arrow, a third of what pyarrow's list takes."""
        return list(self.blocks(self.infos(path, is_recursive=True)))

    def counts(self, path: str) -> bool:
        """Whether neither it nor a folder above it is left out by its name."""
        is_skipped = any(path == folder or path.startswith(f"{folder}/") for folder in self.skip)
        return not is_skipped and all(map(is_listed, self._relative(path).split("/")))

    def _relative(self, path: str) -> str:
        return path[len(self.place.path) + 1 :]


def _ahead(listing: _Listing, folders: Iterable[str]) -> Iterator[pa.Table]:
    """The blocks of folders in turn, while a few of the next ones are being listed."""
    pending: deque[Future[list[pa.Table]]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for folder in folders:
                pending.append(pool.submit(listing.folder_blocks, folder))
                if len(pending) > _THREADS:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _paths_of(uris: Iterable[str], place: StorePlace) -> tuple[str, ...]:
    """The paths of the URIs that lie in a store of the same kind."""
    scheme = place.before.partition("://")[0]
    return tuple(resolve(uri)[1].rstrip("/") for uri in uris if uri.startswith(f"{scheme}://"))
