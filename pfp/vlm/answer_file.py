"""Answers that were given, one JSON line each: a cache, a recording, and what is replayed."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from pfp.errors import ConfigError, InputError, SchemaError
from pfp.io.files import open_file
from pfp.vlm.answer import Answer, Finish, parse_object_or_none


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One answer, the question it was given to, and who gave it.

    ``question_sha256`` is ``FramesQuestion.sha256``; ``judge`` is the fingerprint of the judge and
    ``model_id`` its name for people.
    """

    question_sha256: str
    prompt_id: str
    judge: str
    model_id: str
    answer: Answer

    def to_line(self) -> bytes:
        """The record as a line of JSON."""
        answer = {key: value for key, value in asdict(self.answer).items() if key != "parsed"}
        row = {name: getattr(self, name) for name in _RECORD_FIELDS} | {"answer": answer}
        return json.dumps(row, sort_keys=True).encode() + b"\n"


_RECORD_FIELDS: Final = frozenset(field.name for field in fields(Recorded))


class AnswerFile:
    """An append-only JSONL file of answers; several processes of one machine may share it.

    Only whole lines count. A line that a killed process left half written is passed over: it costs
    its question once more.
    """

    def __init__(self, path: str | Path) -> None:
        """path: a local file, made (with its folder) by the first ``add``."""
        if "://" in str(path):
            raise ConfigError(f"{path} is no local path; answers are kept in a local file")
        self.path: Final = Path(path)
        self._lock = threading.Lock()
        self._num_bytes_read = 0
        self._num_lines_read = 0
        self._by_question: dict[str, dict[str, Recorded]] = {}

    def find(self, question_sha256: str, judge: str | None = None) -> Recorded | None:
        """The answer to a question, of one judge or of whoever gave the first one.

        Raises SchemaError for a file of something else.
        """
        with self._lock:
            found = self._look_up(question_sha256, judge)
            if found is None:
                self._read_on()
                found = self._look_up(question_sha256, judge)
            return found

    def judges(self) -> Mapping[str, str]:
        """Whose answers there are: model ids by fingerprint, in order of appearance."""
        with self._lock:
            self._read_on()
            rows = [row for rows in self._by_question.values() for row in rows.values()]
            return {row.judge: row.model_id for row in rows}

    def add(self, recorded: Recorded) -> None:
        """Append an answer unless the judge's answer to the question is there already."""
        if self.find(recorded.question_sha256, recorded.judge) is not None:
            return
        with self._lock:
            try:
                self._append(recorded.to_line())
            except OSError as error:
                raise InputError(
                    f"{self.path} cannot be written ({error.strerror}); give another path"
                ) from error

    def _look_up(self, question_sha256: str, judge: str | None) -> Recorded | None:
        answers = self._by_question.get(question_sha256, {})
        return next(iter(answers.values()), None) if judge is None else answers.get(judge)

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
        try:
            with open_file(self.path) as file:
                file.seek(self._num_bytes_read)
                while (line := file.readline()).endswith(b"\n"):
                    self._num_bytes_read += len(line)
                    self._num_lines_read += 1
                    row = parse_object_or_none(line.decode("utf-8", "replace"))
                    if row is not None:
                        self._take(row)
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be read ({error.strerror}); check the path"
            ) from error

    def _take(self, row: dict[str, Any]) -> None:
        try:
            recorded = _recorded_of(row)
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError(
                f"line {self._num_lines_read} of {self.path} is no recorded answer; give a file "
                "that a judge's cache or record option has written"
            ) from error
        self._by_question.setdefault(recorded.question_sha256, {})[recorded.judge] = recorded


def _recorded_of(row: dict[str, Any]) -> Recorded:
    """The record in a line's object; fields that came after it was written have their defaults.

    Raises KeyError, TypeError or ValueError for another object.
    """
    told = row["answer"]
    answer = Answer(
        **{
            **told,
            "finish": Finish(told["finish"]),
            "notes": tuple(told["notes"]),
            "parsed": parse_object_or_none(told["raw_text"]),
        }
    )
    return Recorded(**{**row, "answer": answer})
