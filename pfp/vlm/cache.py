"""Answers that were given, one JSON line each: a cache, a recording, and what is replayed."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from pfp.errors import ConfigError, SchemaError
from pfp.io.files import open_file
from pfp.vlm.answer import Answer, Finish, parse_object_or_none
from pfp.vlm.client import Client
from pfp.vlm.request import Request, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One answer, the request it was given to, and who gave it.

    ``request_sha256`` is ``Request.sha256``; ``fingerprint`` is that of the client for the
    request's sampling, and ``model_id`` its name for people.
    """

    request_sha256: str
    prompt_id: str
    fingerprint: str
    model_id: str
    answer: Answer

    def to_line(self) -> bytes:
        """The record as a line of JSON."""
        answer = asdict(self.answer)
        del answer["cached"]  # which is about this run
        row = {stored: getattr(self, name) for stored, name in _STORED_NAMES.items()}
        return json.dumps({**row, "answer": answer}, sort_keys=True).encode() + b"\n"


# By their names in the file, which are older than the code's: files of all versions are read.
_STORED_NAMES: Final = {
    "question_sha256": "request_sha256",
    "prompt_id": "prompt_id",
    "judge": "fingerprint",
    "model_id": "model_id",
}
_LINE_START: Final = b'{"answer": '  # of every line, as keys are sorted
# What the same model would answer again. That it saw nothing, or had nothing, may change.
FINAL: Final = frozenset({Finish.ANSWERED, Finish.TRUNCATED, Finish.BLOCKED})


class AnswerFile:
    """An append-only JSONL file of answers; several processes of one machine may share it.

    Only whole lines count. A line that a killed process left half written is passed over: it costs
    its request once more. Every method raises ConfigError for a path that cannot be used, and
    SchemaError for a file of something else.
    """

    def __init__(self, path: str | Path) -> None:
        """path: a local file, made by the first ``add``."""
        if "://" in str(path):
            raise ConfigError(f"{path} is no local path; answers are kept in a local file")
        self.path: Final = Path(path)
        self._lock = threading.Lock()
        self._num_bytes_read = 0
        self._num_lines_read = 0
        self._by_request: dict[str, dict[str, Recorded]] = {}

    def check(self) -> None:
        """Try whether answers can be found and added; its folder is made, the file is not."""
        with self._lock:
            with self._explained("written"):
                self._try_to_write()
            self._read_on()
            if not self._by_request:
                self._check_start()

    def find(self, request_sha256: str, fingerprint: str | None = None) -> Recorded | None:
        """The answer to a request, of one client or of whoever gave the first one."""
        with self._lock:
            found = self._look_up(request_sha256, fingerprint)
            if found is None:
                self._read_on()
                found = self._look_up(request_sha256, fingerprint)
            return found

    def model_ids(self) -> Mapping[str, str]:
        """Whose answers there are: model ids by fingerprint, in order of appearance."""
        with self._lock:
            self._read_on()
            rows = [row for rows in self._by_request.values() for row in rows.values()]
            return {row.fingerprint: row.model_id for row in rows}

    def add(self, recorded: Recorded) -> None:
        """Append an answer unless the client's answer to the request is there already."""
        if self.find(recorded.request_sha256, recorded.fingerprint) is not None:
            return
        with self._lock, self._explained("written"):
            self._append(recorded.to_line())

    def _look_up(self, request_sha256: str, fingerprint: str | None) -> Recorded | None:
        answers = self._by_request.get(request_sha256, {})
        if fingerprint is None:
            return next(iter(answers.values()), None)
        return answers.get(fingerprint)

    @contextmanager
    def _explained(self, participle: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            is_folder_a_file = isinstance(error, FileExistsError)  # says mkdir
            why = "its folder is a file" if is_folder_a_file else error.strerror
            raise ConfigError(
                f"{self.path} cannot be {participle} ({why}); give another path for "
                "answers, or mend what is wrong with this one"
            ) from error

    def _try_to_write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            open_file(self.path).close()
            self.path.open("ab").close()
        else:
            tempfile.TemporaryFile(dir=self.path.parent).close()

    def _check_start(self) -> None:
        """Raise SchemaError for a file whose first line was not the beginning of an answer."""
        with self._explained("read"), suppress(FileNotFoundError), open_file(self.path) as file:
            start = file.read(len(_LINE_START))
            if not _LINE_START.startswith(start):
                raise self._foreign(1)

    def _foreign(self, line_number: int) -> SchemaError:
        return SchemaError(
            f"line {line_number} of {self.path} is no recorded answer; give a file that a "
            "client's cache or record option has written"
        )

    def _append(self, line: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            open_file(self.path).close()  # no pipe, which would wait for a reader
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                # Nobody else is writing now, so a line without an end will never get one.
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)

    def _read_on(self) -> None:
        """Take in the whole lines that were appended since the last look."""
        with self._explained("read"), suppress(FileNotFoundError), open_file(self.path) as file:
            file.seek(self._num_bytes_read)
            while (line := file.readline()).endswith(b"\n"):
                row = parse_object_or_none(line.decode("utf-8", "replace"))
                if row is not None:
                    self._take(row)
                self._num_bytes_read += len(line)
                self._num_lines_read += 1

    def _take(self, row: dict[str, Any]) -> None:
        try:
            recorded = _recorded_of(row)
        except (KeyError, TypeError, ValueError) as error:
            raise self._foreign(self._num_lines_read + 1) from error
        answers = self._by_request.setdefault(recorded.request_sha256, {})
        answers[recorded.fingerprint] = recorded


def _recorded_of(row: dict[str, Any]) -> Recorded:
    """The record in a line's object; fields that came after it was written have their defaults.

    Raises KeyError, TypeError or ValueError for another object.
    """
    told = row["answer"]
    read = {"finish": Finish(told["finish"]), "notes": tuple(told["notes"])}
    answer = Answer(**{**told, **read})
    given = {_STORED_NAMES[stored]: value for stored, value in row.items() if stored != "answer"}
    return Recorded(**given, answer=answer)


class CachedClient:
    """Asks another client, and keeps what it answers by the content of request and client.

    Answers are looked up in ``cache`` (as long as the object lives when there is none) and added to
    it. ``record`` gets every answer that is used, old or new: the file to hand on with the results.
    What an answer means is read from the kept text, so a stricter parser needs no new answers.
    """

    def __init__(
        self, client: Client, *, cache: AnswerFile | None = None, record: AnswerFile | None = None
    ) -> None:
        self._client = client
        self._cache = cache
        self._record = record
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str], Answer] = {}

    @property
    def kind(self) -> str:
        """That of the client."""
        return self._client.kind

    @property
    def model(self) -> str | None:
        """That of the client."""
        return self._client.model

    @property
    def model_id(self) -> str:
        """Who answers."""
        return self._client.model_id

    @property
    def sampling(self) -> Sampling:
        """That of the client."""
        return self._client.sampling

    def fingerprint(self, sampling: Sampling) -> str:
        """That of the client: keeping changes no answer."""
        return self._client.fingerprint(sampling)

    def check_ready(self) -> None:
        """Raise what the client raises, and ConfigError or SchemaError for a file of no use."""
        self._client.check_ready()
        for file in (self._cache, self._record):
            if file is not None:
                file.check()

    def ask(self, request: Request) -> Answer:
        """The kept answer (``cached``), or a new one."""
        fingerprint = self.fingerprint(request.sampling)
        kept = self._find(request.sha256, fingerprint)
        answer = self._client.ask(request) if kept is None else replace(kept, cached=True)
        if answer.finish in FINAL:
            recorded = Recorded(
                request_sha256=request.sha256,
                prompt_id=request.prompt_id,
                fingerprint=fingerprint,
                model_id=self.model_id,
                answer=answer,
            )
            self._keep(recorded, is_new=kept is None)
        return answer

    def close(self) -> None:
        """Let go of what the client holds; what was answered stays known."""
        self._client.close()

    def _find(self, request_sha256: str, fingerprint: str) -> Answer | None:
        if self._cache is not None:
            found = self._cache.find(request_sha256, fingerprint)
            return None if found is None else found.answer
        with self._lock:
            return self._answers.get((request_sha256, fingerprint))

    def _keep(self, recorded: Recorded, *, is_new: bool) -> None:
        if self._cache is None:
            with self._lock:
                self._answers[recorded.request_sha256, recorded.fingerprint] = recorded.answer
        elif is_new:
            self._cache.add(recorded)
        if self._record is not None:
            self._record.add(recorded)
