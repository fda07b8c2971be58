"""The story of a clip across tables that do not name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pfp import __version__
from pfp.ingest.why import why
from pfp.io.tables import write_table
from pfp.runtime.stage_config import StageConfig
from pfp.schema import KEPT, ClipRecord, EvalSample, ScoreRecord, VideoRecord


def made_from(clip: str) -> EvalSample:
    """A sample of a clip."""
    return EvalSample(
        sample_id=f"sample-of-{clip}",
        task="retrieve",
        group=clip,
        clip_id=clip,
        memory_clip_id=clip,
        method="proposed",
        model_id="tiny",
        checkpoint_sha256=None,
        seed=0,
        rate=None,
        verdict=KEPT,
    )


def psnr_of(clip: str, value: float) -> ScoreRecord:
    """The score of a clip's sample."""
    return ScoreRecord(
        score_id=f"sample-of-{clip}/psnr@1",
        sample_id=f"sample-of-{clip}",
        metric="psnr@1",
        value=value,
        unscored_reason=None,
        num_frames=4,
        params="{}",
        protocol="whole",
        decoder="pyav 1",
        verdict=KEPT,
    )


def test_scores_are_told_by_their_samples(tmp_path: Path) -> None:
    """Those of the clip and no others."""
    known: list[dict[str, Any]] = [
        {"video_uri": f"file:///{name}", "video_sha256": None, "size_bytes": 1, "verdict": KEPT}
        for name in ("aa", "bb", "cc")
    ]
    clips = [
        ClipRecord(clip_id=each["video_uri"][-2:], start_seconds=0.0, end_seconds=1.0, **each)
        for each in known
    ]
    write_table(tmp_path / "clips", ClipRecord.table(clips), ClipRecord)
    videos = [VideoRecord(**each) for each in known]
    write_table(tmp_path / "videos", VideoRecord.table(videos), VideoRecord)
    made = EvalSample.table([made_from("aa"), made_from("bb")])
    write_table(tmp_path / "generations", made, EvalSample)
    scores = ScoreRecord.table([psnr_of("aa", 31.5), psnr_of("bb", 17.25)])
    write_table(tmp_path / "scores", scores, ScoreRecord)

    StageConfig.of("score", {"metrics": ["psnr"]}).write(str(tmp_path / "scores"))
    StageConfig.of("caption", {}).write(str(tmp_path / "storyboards"))

    story = why("aa", str(tmp_path))

    # Of the tables that the story is from, no others.
    assert story.endswith(f"settings\n  score (pfp {__version__}): {tmp_path}/scores/_config.json")
    assert "sample-of-aa/psnr@1" in story
    assert [True, False] == [number in story for number in ("31.5", "17.25")]
    assert "psnr" not in why("cc", str(tmp_path)), "a clip that was trained on has no sample"
