"""What the stage works on: captioned clips, and the distinct prompts of their storyboards."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import NothingUsable
from pfp.io.prompts import prompt_sha256
from pfp.io.tables import read_records, read_table
from pfp.latents.conditions import prompts_of
from pfp.models.text import identify_text_encoder
from pfp.schema import ClipRecord, StoryboardRecord
from pfp.schema.run_directory import RunDirectory
from pipelines.latents.clips import CLIP_COLUMNS
from pipelines.latents.config import LatentsConfig

PROMPT_SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("prompt_sha256", "prompt", "encoder_id", "encoder_sha256")]
)


def read_inputs(config: LatentsConfig, input_directory: str) -> tuple[pa.Table, list[pa.Table]]:
    """The clips to encode, and for each text encoder the prompts to embed.

    Raises NothingUsable when there is no such clip.
    """
    run = RunDirectory(input_directory)
    storyboards = read_records(*run.storyboards, verdict="kept")
    clips = captioned_clips(run.clips.path, storyboards)
    wanted = set(clips["clip_id"].to_pylist())
    prompts = prompts_of(story for story in storyboards if story.clip_id in wanted)
    if config.with_empty_prompt:
        prompts = sorted({"", *prompts})
    encoders = [config.text_encoder]
    if config.pooled_text_encoder is not None:
        encoders.append(config.pooled_text_encoder)
    return clips, [prompt_table(prompts, encoder) for encoder in encoders]


def captioned_clips(directory: str, storyboards: list[StoryboardRecord]) -> pa.Table:
    """The kept clips that have one of these storyboards."""
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
