"""Inputs of any length for ``benchmarks.scaling``: texts, files, and run directories."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pfp.eval.metrics import resolve
from pfp.eval.study.ballots import Ballot
from pfp.eval.study.design import Showing
from pfp.eval.study.plan import BALLOTS_NAME, KEY_NAME, PLAN_NAME, PUBLIC, Key, Plan, Prompt, Source
from pfp.io import tables
from pfp.io.media import write_video
from pfp.schema import KEPT, ClipRecord, EvalSample, ScoreRecord, VideoRecord
from pfp.schema.record import Record
from pfp.schema.run_directory import RunDirectory
from pfp.vlm.answer import Answer
from pfp.vlm.cache import Recorded

SHOWINGS: Final = 100  # of one rater


def long_object(num_keys: int) -> str:
    """A JSON object with so many keys."""
    return json.dumps({f"key {number}": number for number in range(num_keys)})


def repeated_key(num_keys: int) -> str:
    """The same with its last key there twice, which a search from the front finds last."""
    last = f'"key {num_keys - 1}"'
    return f"{long_object(num_keys)[:-1]}, {last}: 0}}"


def numbered_shots(num_shots: int) -> str:
    """A storyboard whose captions share their words, so that each is nearly like many."""
    rng = random.Random(0)  # noqa: S311 - words, not secrets
    words = [f"word{number}" for number in range(200)]
    shots = [
        {
            "start_seconds": float(number),
            "end_seconds": number + 1.0,
            "caption": " ".join(rng.choices(words, k=10)),
        }
        for number in range(num_shots)
    ]
    return json.dumps({"schema_version": 1, "global_caption": None, "shots": shots})


def long_caption(num_phrases: int) -> str:
    """One shot whose caption begins so many times with what is taken off."""
    caption = "In the video, " * num_phrases + "a dog runs."
    shot = {"start_seconds": 0.0, "end_seconds": 1e6, "caption": caption}
    return json.dumps({"schema_version": 1, "global_caption": None, "shots": [shot]})


def _write_lines(path: Path, rows: Iterable[Any]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)
    return path


def manifest(folder: Path, num_lines: int, *, num_fields: int = 0) -> Path:
    """Samples of one small video, or one sample with so many fields that nobody knows."""
    write_video(folder / "v.mp4", np.zeros((4, 32, 32, 3), np.uint8), 24)
    more = {f"field {number}": number for number in range(num_fields)}
    rows = (
        {
            "video": "v.mp4",
            "reference": "v.mp4",
            "sample_id": f"sample {number}",
            "prompt": f"prompt {number // 2}",
            "model": "ab"[number % 2],
            **more,
        }
        for number in range(num_lines)
    )
    return _write_lines(folder / "manifest.jsonl", rows)


def votes(folder: Path, num_votes: int, *, num_models: int = 8) -> Path:
    """Votes of a hundred raters on a few models."""
    rng = random.Random(0)  # noqa: S311 - votes, not secrets

    def vote() -> dict[str, str]:
        first, second = rng.sample([f"model {number}" for number in range(num_models)], 2)
        return {
            "model_a": first,
            "model_b": second,
            "winner": rng.choice(("a", "b", "tie")),
            "rater": f"rater {rng.randrange(100)}",
            "prompt": f"prompt {rng.randrange(1000)}",
            "left": rng.choice("ab"),
        }

    return _write_lines(folder / "votes.jsonl", (vote() for _ in range(num_votes)))


def ballots(folder: Path, num_ballots: int) -> Path:
    """A study folder whose log has so many ballots, ``SHOWINGS`` of each rater."""
    names = tuple(f"{number:024x}.mp4" for number in range(2 * SHOWINGS))
    showings = tuple(
        Showing(prompt=number, left=2 * number, right=2 * number + 1) for number in range(SHOWINGS)
    )
    plan = Plan(
        question="Which?",
        answers=("a", "b", "tie"),
        prompts=tuple(Prompt(text=f"prompt {number}") for number in range(SHOWINGS)),
        videos=names,
        slots=(showings,),
    )
    sources = {
        name: Source(model="ab"[number % 2], sample_id=f"sample {number}", sha256="0" * 64)
        for number, name in enumerate(names)
    }
    groups = tuple(f"prompt {number}" for number in range(SHOWINGS))
    key = Key(study=plan.study, seed=0, groups=groups, excluded={}, videos=sources)
    (folder / PUBLIC).mkdir()
    (folder / PUBLIC / PLAN_NAME).write_text(json.dumps(plan.to_json()))
    (folder / KEY_NAME).write_text(json.dumps(key.to_json()))
    with (folder / BALLOTS_NAME).open("wb") as file:
        file.writelines(_ballot(plan, number).line() for number in range(num_ballots))
    return folder


def _ballot(plan: Plan, number: int) -> Ballot:
    rater, position = divmod(number, SHOWINGS)
    return Ballot(
        study=plan.study,
        session=f"{rater:016x}",
        rater=f"rater {rater}",
        position=position,
        revision=0,
        answer="a",
        seconds=1.0,
        voted_at="2026-01-31T12:00:00Z",
    )


def answer_file(folder: Path, num_answers: int) -> Path:
    """What one judge has answered."""
    answer = Answer(backend="b", model="m", raw_text='{"answer": "yes"}')
    path = folder / "answers.jsonl"
    with path.open("wb") as file:
        file.writelines(
            Recorded(
                request_sha256=f"{number:064x}",
                prompt_id="p@1/q",
                fingerprint="j",
                model_id="m",
                answer=answer,
            ).to_line()
            for number in range(num_answers)
        )
    return path


def recipe(folder: Path, num_lines: int) -> Path:
    """A recipe of filters that nobody knows."""
    path = folder / "recipe.yaml"
    lines = [f"  filter{number}: {number}\n" for number in range(num_lines)]
    path.write_text(f"name: x\nfilters:\n{''.join(lines)}")
    return path


def run_of_scores(
    directory: Path, num_samples: int, models: Sequence[str], *, metric: str = "psnr"
) -> Path:
    """A run directory with one score a sample, the models in turn."""
    rng = random.Random(0)  # noqa: S311 - scores, not secrets
    card = resolve(metric).card
    evidence = json.dumps({"fps": 24.0, "per_frame": [20.0] * 8})
    names = [
        (models[number % len(models)], f"clip {number // len(models):07d}")
        for number in range(num_samples)
    ]
    sample_ids = [f"{model}/{clip}" for model, clip in names]
    sample = EvalSample(
        sample_id="",
        task="given",
        group="",
        method="",
        model_id="",
        checkpoint_sha256=None,
        seed=0,
        rate=None,
        prompt="a prompt",
        video_uri="file:///v.mp4",
        reference_uri=None,
        history_uri=None,
        fps=None,
        verdict=KEPT,
    )
    score = ScoreRecord(
        score_id="",
        sample_id="",
        metric=card.metric_id,
        value=0.0,
        unscored_reason=None,
        num_frames=8,
        params=json.dumps(dict(card.params)),
        protocol="whole",
        decoder="pyav 15",
        evidence=evidence,
        verdict=KEPT,
    )
    made = _repeated(
        sample,
        num_samples,
        sample_id=sample_ids,
        group=[clip for _, clip in names],
        method=[model for model, _ in names],
        model_id=[model for model, _ in names],
    )
    scores = _repeated(
        score,
        num_samples,
        score_id=[f"{each}/{card.metric_id}" for each in sample_ids],
        sample_id=sample_ids,
        value=[rng.gauss(20.0, 3.0) for _ in sample_ids],
    )
    run = RunDirectory(directory)
    tables.write_table(run.generations.path, made, EvalSample)
    tables.write_table(run.scores.path, scores, ScoreRecord)
    return directory


def _repeated(record: Record, num_rows: int, **columns: list[Any]) -> pa.Table:
    """So many rows of a record, with some columns of their own."""
    table = type(record).table([record]).take(pa.array(np.zeros(num_rows, np.int64)))
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        table = table.set_column(place, field, pa.array(values, field.type))
    return table


def video_run(folder: Path, num_clips: int) -> Path:
    """A run directory with so many clips."""
    clips = [
        ClipRecord(
            clip_id=f"{number:024x}",
            video_uri=f"file:///v/video-{number:07d}.mp4",
            video_sha256=f"{number:064x}",
            size_bytes=1,
            start_seconds=0.0,
            end_seconds=10.0,
            recipe="demo",
            verdict=KEPT,
        )
        for number in range(num_clips)
    ]
    videos = [
        VideoRecord(
            video_uri=clip.video_uri,
            video_sha256=clip.video_sha256,
            size_bytes=1,
            num_clips=1,
            recipe="demo",
            verdict=KEPT,
        )
        for clip in clips
    ]
    run = RunDirectory(f"{folder}/run")
    tables.write_table(run.videos.path, VideoRecord.table(videos), VideoRecord)
    tables.write_table(run.clips.path, ClipRecord.table(clips), ClipRecord)
    return folder / "run"
