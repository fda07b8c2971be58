"""What the stage works on: captioned clips, and the distinct prompts of their storyboards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import NothingUsable
from pfp.io.prompts import prompt_sha256
from pfp.io.tables import read_records, read_table
from pfp.latents.conditions import prompts_of
from pfp.models.text import identify_text_encoder
from pfp.schema import KEPT, ClipRecord, StoryboardRecord
from pfp.schema.run_directory import RunDirectory

# What is read of a clip. Where the video lies is not part of its content.
CLIP_COLUMNS: Final = (
    *("clip_id", "video_uri", "video_sha256", "size_bytes", "changed_ns"),
    *("start_seconds", "end_seconds", "width", "height"),
)
CONTENT_COLUMNS: Final = (
    *("clip_id", "video_sha256", "start_seconds", "end_seconds", "width", "height"),
)
PROMPT_SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("prompt_sha256", "prompt", "encoder_id", "encoder_sha256")]
)


def read_inputs(run: RunDirectory, *, with_empty_prompt: bool) -> tuple[pa.Table, list[str]]:
    """The clips to encode, with ``CLIP_COLUMNS``, and the distinct prompts of their storyboards.

    Raises NothingUsable when there is no such clip.
    """
    storyboards = read_records(*run.storyboards, verdict="kept")
    clips = captioned_clips(run.clips.path, storyboards)
    wanted = set(clips["clip_id"].to_pylist())
    prompts = prompts_of(story for story in storyboards if story.clip_id in wanted)
    return clips, sorted({"", *prompts}) if with_empty_prompt else prompts


def captioned_clips(directory: str, storyboards: list[StoryboardRecord]) -> pa.Table:
    """The kept clips of a table that have one of these storyboards, with ``CLIP_COLUMNS``.

    Raises NothingUsable when there is none.
    """
    kept = pc.field("verdict", "kind") == "kept"
    clips = read_table(directory, ClipRecord, columns=list(CLIP_COLUMNS), filter=kept)
    names = pa.array([storyboard.clip_id for storyboard in storyboards], pa.string())
    captioned = clips.filter(pc.is_in(clips["clip_id"], value_set=names))
    if not captioned.num_rows:
        raise NothingUsable(
            f"{directory} holds {clips.num_rows} kept clips, none with a kept storyboard; look at "
            "why ingest and caption dropped them"
        )
    return captioned


def clip_of(row: Mapping[str, Any]) -> ClipRecord:
    """The clip that a row of ``CLIP_COLUMNS`` describes."""
    return ClipRecord(**{name: row[name] for name in CLIP_COLUMNS}, verdict=KEPT)


def prompt_table(prompts: list[str], text_encoder: str) -> pa.Table:
    """The prompts as inputs of the conditions stage."""
    encoder_id, encoder_sha256 = identify_text_encoder(text_encoder)
    rows = [
        {
            "prompt_sha256": prompt_sha256(prompt),
            "prompt": prompt,
            "encoder_id": encoder_id,
            "encoder_sha256": encoder_sha256,
        }
        for prompt in prompts
    ]
    return pa.Table.from_pylist(rows, schema=PROMPT_SCHEMA)
