"""The caption stage: which rows go in, and what its rows depend on."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pfp.caption import NOTICE
from pfp.caption.backends.sidecar import sidecar_digests
from pfp.errors import NothingUsable
from pfp.io.digests import sha256_json
from pfp.io.tables import read_table
from pfp.runtime import Resources, Stage
from pfp.schema import ClipRecord, StoryboardRecord
from pipelines.caption.config import CaptionConfig
from pipelines.caption.worker import CaptionWorker, build_captioner, failed_storyboard

# What is read of a clip. Where the video lies is not part of its content.
CLIP_COLUMNS: Final = (
    *("clip_id", "video_uri", "video_sha256", "size_bytes", "changed_ns"),
    *("start_seconds", "end_seconds", "video_seconds", "shots"),
)
CONTENT_COLUMNS: Final = (
    *("clip_id", "video_sha256", "start_seconds", "end_seconds", "shots", "sidecar_sha256"),
)


def caption_stage(config: CaptionConfig) -> Stage:
    """The stage; its fingerprint is that of the captioner and of how shots are cut."""
    captioner = build_captioner(config)
    return Stage(
        name="caption",
        record=StoryboardRecord,
        worker=CaptionWorker,
        worker_args={"config": config},
        input_key="clip_id",
        content_columns=CONTENT_COLUMNS,
        fingerprint=sha256_json([captioner.fingerprint, config.max_span_seconds]),
        resources=Resources(
            batch_size=config.batch_size,
            num_workers=config.num_workers,
            num_gpus=int(config.device.startswith("cuda")),
        ),
        on_error=failed_storyboard,
        config=config,
        count_noticed=count_noticed,
    )


def caption_inputs(directory: str, config: CaptionConfig) -> pa.Table:
    """The kept clips, with the digest of each one's own storyboard where the route looks at it.

    That column is what makes a storyboard that was edited, added or removed recompute its row.
    """
    kept = pc.field("verdict", "kind") == "kept"
    clips = read_table(directory, ClipRecord, columns=list(CLIP_COLUMNS), filter=kept)
    if not clips.num_rows:
        raise NothingUsable(f"{directory} holds no kept clip; look at why ingest dropped them")
    digests: list[str | None] = [None] * clips.num_rows
    if "sidecar" in config.backends:
        digests = sidecar_digests(clips["video_uri"].to_pylist())
    return clips.append_column("sidecar_sha256", pa.array(digests, pa.string()))


def count_noticed(directory: str) -> int:
    """The kept rows of a storyboards table that have a notice among their ``repair_ops``."""
    kept = pc.field("verdict", "kind") == "kept"
    table = read_table(directory, StoryboardRecord, columns=["repair_ops"], filter=kept)
    ops = table["repair_ops"]
    has_notice = pc.match_substring(pc.list_flatten(ops), NOTICE)
    return len(pc.unique(pc.list_parent_indices(ops).filter(has_notice)))
