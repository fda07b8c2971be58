"""The clip renderer: scripts, frames, files, and pans over photographs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from experiments.synthetic_clips import (
    ClipScript,
    ground_truth,
    make_clips,
    pan_frames,
    plan_clip,
    render_frames,
    storyboard,
    write_clip,
)
from experiments.synthetic_clips import write as _write
from pfp.errors import InputError

SMALL = {"height": 48, "width": 80}


def first_seconds(script: ClipScript, seconds: float) -> ClipScript:
    """The script cut off within its first shot."""
    shot = dataclasses.replace(script.shots[0], end_seconds=seconds)
    return dataclasses.replace(script, seconds=seconds, shots=(shot,))


def digest(frames: Iterator[NDArray[np.uint8]]) -> str:
    """One digest of all frames."""
    seen = hashlib.sha256()
    for frame in frames:
        seen.update(frame.tobytes())
    return seen.hexdigest()


@pytest.mark.parametrize("index", range(12))
def test_plan_has_the_promised_shape(index: int) -> None:
    """Clips last 20 to 30 s in whole frames, alternate their shape, and have 4 to 7 shots."""
    script = plan_clip(3, index)
    assert ("landscape", "portrait")[index % 2] == script.orientation
    assert 20 <= script.seconds <= 30
    assert script.num_frames / 24 == script.seconds
    assert 4 <= len(script.shots) <= 7
    edges = [0.0, *(shot.end_seconds for shot in script.shots)]
    assert edges[:-1] == [shot.start_seconds for shot in script.shots]
    assert edges[-1] == script.seconds
    assert min(np.diff(edges)) > 1.0


@pytest.mark.parametrize("index", range(12))
def test_the_last_shot_returns_to_where_the_clip_began(index: int) -> None:
    """After another place, the first place comes back with the same people."""
    script = plan_clip(11, index)
    first, last = script.shots[0], script.shots[-1]
    assert first.place_id == last.place_id
    assert {shot.place_id for shot in script.shots[1:-1]} - {first.place_id}
    assert {track.character_id for track in first.people} == {
        track.character_id for track in last.people
    }


def test_plans_differ_by_seed_and_index_and_repeat_otherwise() -> None:
    """The script is a function of (seed, index)."""
    assert plan_clip(1, 2) == plan_clip(1, 2)
    assert plan_clip(1, 2) != plan_clip(1, 4)
    assert plan_clip(1, 2) != plan_clip(2, 2)


def test_people_of_a_clip_do_not_look_alike() -> None:
    """No two people share noun and hair style, nor the colour of their top."""
    for index in range(12):
        cast = plan_clip(5, index).cast
        assert len({(one.noun, one.hair_style) for one in cast}) == len(cast)
        assert len({one.top.first for one in cast}) == len(cast)


def test_frames_repeat() -> None:
    """Rendering the same script twice gives the same bytes."""
    script = plan_clip(2, 1)
    spans = [digest(render_frames(script, **SMALL, fps=4, end_seconds=8.0)) for _ in range(2)]
    assert spans[0] == spans[1]


def test_a_frame_does_not_depend_on_the_span_that_was_asked_for() -> None:
    """Frames of a span equal the same frames of the whole clip, dissolves included."""
    script = next(
        script
        for script in (plan_clip(0, index) for index in range(20))
        if any(shot.transition == "dissolve" for shot in script.shots)
    )
    shot = next(shot for shot in script.shots if shot.transition == "dissolve")
    start, end = round(shot.start_seconds - 1), round(shot.start_seconds + 1)
    whole = list(render_frames(script, **SMALL, fps=6))
    part = list(render_frames(script, **SMALL, fps=6, start_seconds=start, end_seconds=end))
    assert round(script.seconds * 6 + 0.49) == len(whole)
    assert (end - start) * 6 == len(part)
    np.testing.assert_array_equal(whole[start * 6 : end * 6], part)


def test_a_frame_rate_only_chooses_the_times() -> None:
    """Every second frame at 12 fps is a frame at 6 fps."""
    script = plan_clip(2, 0)
    fine = list(render_frames(script, **SMALL, fps=12, end_seconds=3))
    coarse = list(render_frames(script, **SMALL, fps=6, end_seconds=3))
    np.testing.assert_array_equal(fine[::2], coarse)


def test_frames_have_the_asked_size() -> None:
    """Frames are uint8 RGB of the size that was asked for."""
    frame = next(render_frames(plan_clip(0, 1), height=96, width=57))
    assert (frame.dtype, frame.shape) == (np.uint8, (96, 57, 3))


def test_frames_that_cannot_be_drawn_are_refused() -> None:
    """A span outside the clip, a rate of 0 and a tiny frame are input errors."""
    script = plan_clip(0, 0)
    for wrong in ({"end_seconds": 31.0}, {"fps": 0.0}, {"height": 8}, {"start_seconds": -1.0}):
        with pytest.raises(InputError):
            render_frames(script, **{**SMALL, **wrong})
    with pytest.raises(InputError, match="seed -1"):
        plan_clip(-1, 0)


@pytest.mark.parametrize("index", [0, 1])
def test_true_cuts_are_the_largest_frame_differences(index: int) -> None:
    """Where the truth says cut, neighbouring frames differ more than anywhere else."""
    script = plan_clip(8, index)
    frames = np.stack(list(render_frames(script, height=48, width=48, fps=24))).astype(np.float32)
    difference = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    cuts = ground_truth(script)["cuts"]
    assert isinstance(cuts, list)
    assert cuts
    largest = np.sort(np.argsort(difference)[-len(cuts) :]) + 1
    assert [round(cut * 24) for cut in cuts] == largest.tolist()


def test_a_return_shows_the_same_frame_of_the_same_people() -> None:
    """A person's clothes have the same colours in the first and in the last shot."""
    script = plan_clip(11, 0)
    truth = ground_truth(script)
    shots = truth["shots"]
    assert isinstance(shots, list)
    colours = []
    for shot in (shots[0], shots[-1]):
        moment, box = next(
            (moment, box)
            for moment, box in zip(shot["moments_seconds"], shot["people"][0]["boxes"], strict=True)
            if box is not None and box[0] > 0.05 and box[2] < 0.95
        )
        start = round(moment * 24) / 24
        frame = next(render_frames(script, height=192, width=320, start_seconds=start))
        left, top, right, bottom = box
        middle, half = (left + right) / 2, (right - left) * 0.12
        chest = frame[
            round(192 * (top + 0.36 * (bottom - top))) : round(192 * (top + 0.52 * (bottom - top))),
            round(320 * (middle - half)) : round(320 * (middle + half)),
        ]
        colours.append(chest.reshape(-1, 3).mean(axis=0))
    assert np.abs(colours[0] - colours[1]).max() < 40


@pytest.mark.parametrize("index", range(6))
def test_storyboard_covers_the_clip_with_sentences(index: int) -> None:
    """Shots come in order, touch, cover the clip, and each has one sentence of its own."""
    script = plan_clip(21, index)
    board = storyboard(script)
    shots = board["shots"]
    assert isinstance(shots, list)
    assert list(board) == ["schema_version", "global_caption", "shots"]
    assert board["schema_version"] == 1
    assert [0.0, *(shot["end_seconds"] for shot in shots)] == [
        *(shot["start_seconds"] for shot in shots),
        script.seconds,
    ]
    captions = [board["global_caption"], *(shot["caption"] for shot in shots)]
    for caption in captions:
        assert caption[0].isupper()
        assert caption.endswith(".")
        assert not {"  ", " ,", " a a", " a e", " a i", " a o", "None", "{"} & {
            caption[k : k + n] for n in (1, 2, 4) for k in range(len(caption))
        }


def test_ground_truth_is_json_and_places_people_in_the_frame() -> None:
    """The truth survives JSON, and every shot shows somebody whose box lies in the frame."""
    for index in range(6):
        truth = ground_truth(plan_clip(4, index))
        assert truth == json.loads(json.dumps(truth))
        known = {one["character_id"] for one in truth["cast"]}  # type: ignore[attr-defined]
        for shot in truth["shots"]:  # type: ignore[attr-defined]
            boxes = [box for one in shot["people"] for box in one["boxes"] if box is not None]
            assert boxes
            assert all(0 <= x <= 1 for box in boxes for x in box)
            assert {one["character_id"] for one in shot["people"]} <= known


def test_written_clip_is_a_real_video(tmp_path: Path) -> None:
    """PyAV finds H.264 at 24 fps, of the right size, length and colour tags."""
    script = first_seconds(plan_clip(0, 1), 0.5)
    path = tmp_path / "clip.mp4"
    write_clip(script, path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = (stream.codec_context.name, stream.average_rate, stream.width, stream.height)
        assert found == ("h264", 24, 384, 640)
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert int(stream.codec_context.colorspace) == 1
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    drawn = list(render_frames(script, height=640, width=384))
    assert len(drawn) == len(decoded) == 12
    error = np.abs(np.stack(drawn).astype(int) - np.stack(decoded))
    assert error.mean() < 4


def test_written_files_are_byte_equal(tmp_path: Path) -> None:
    """Two runs write the same three files, byte for byte, and leave nothing else."""
    script = first_seconds(plan_clip(6, 0), 0.25)
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        write_clip(script, folder / "clip_000.mp4")
    names = ["clip_000.mp4", "clip_000.storyboard.json", "clip_000.truth.json"]
    assert names == sorted(path.name for path in (tmp_path / "a").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_make_clips_skips_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run draws only the clip whose video was damaged; another seed draws all."""
    monkeypatch.setattr(
        _write, "plan_clip", lambda seed, index: first_seconds(plan_clip(seed, index), 0.125)
    )
    calls: list[tuple[int, int]] = []

    def run(seed: int) -> list[tuple[int, int]]:
        calls.clear()
        paths = make_clips(
            tmp_path, num_clips=2, seed=seed, workers=1, progress=lambda *call: calls.append(call)
        )
        assert [tmp_path / "clip_000.mp4", tmp_path / "clip_001.mp4"] == paths
        return list(calls)

    assert run(0) == [(0, 2), (1, 2), (2, 2)]
    whole = (tmp_path / "clip_001.mp4").read_bytes()
    assert run(0) == [(2, 2)]
    (tmp_path / "clip_001.mp4").write_bytes(whole[:-1])
    assert run(0) == [(1, 2), (2, 2)]
    assert whole == (tmp_path / "clip_001.mp4").read_bytes()
    assert run(1) == [(0, 2), (1, 2), (2, 2)]


def test_drawing_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    """``kill -9`` of a demo that draws leaves nobody behind to hold memory for ever."""
    code = (
        "import sys; from experiments.synthetic_clips import make_clips\n"
        "if __name__ == '__main__': make_clips(sys.argv[1], num_clips=4, seed=0, workers=2)\n"
    )
    script = tmp_path / "draw.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = psutil.Popen([sys.executable, str(script), str(tmp_path)], env=environment)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".clip_001*")) and time.monotonic() < deadline:
        time.sleep(0.1)  # both are at work
    children = parent.children(recursive=True)
    parent.kill()
    parent.wait()

    _, alive = psutil.wait_procs(children, timeout=20)

    assert len(children) >= 2
    assert [] == [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def test_make_clips_says_when_it_cannot_write(tmp_path: Path) -> None:
    """A folder that is a file, and impossible counts, are input errors that name them."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(InputError, match="file"):
        make_clips(blocked / "clips", num_clips=1, seed=0)
    with pytest.raises(InputError, match="num_clips 0"):
        make_clips(tmp_path, num_clips=0, seed=0)
    with pytest.raises(InputError, match="missing"):
        write_clip(first_seconds(plan_clip(0, 0), 0.25), tmp_path / "missing" / "clip.mp4")
    with pytest.raises(InputError, match=r"must end in \.mp4"):
        write_clip(plan_clip(0, 0), tmp_path / "clip.avi")


def photograph() -> NDArray[np.uint8]:
    """A gradient with a pattern: every part of it looks different."""
    y, x = np.mgrid[0:240, 0:320]
    return np.stack([x * 255 // 319, y * 255 // 239, (x + y) % 256], -1).astype(np.uint8)


def test_pans_repeat_and_move() -> None:
    """A pan is a function of its generator; most pans move, and some come back."""
    image = photograph()
    moves = returns = 0
    for seed in range(40):
        frames = pan_frames(image, np.random.default_rng(seed), num_frames=9, height=24, width=40)
        again = pan_frames(image, np.random.default_rng(seed), num_frames=9, height=24, width=40)
        np.testing.assert_array_equal(frames, again)
        assert (frames.dtype, frames.shape) == (np.uint8, (9, 24, 40, 3))
        to_first = np.abs(frames.astype(int) - frames[0]).mean(axis=(1, 2, 3))
        moves += to_first.max() > 8
        returns += to_first.max() > 20 and to_first[-1] < to_first.max() / 3
    assert moves > 25
    assert returns > 5


def test_pans_do_not_alias() -> None:
    """A checkerboard of single pixels, seen from afar, is an even grey."""
    board = np.indices((600, 1000)).sum(axis=0) % 2 * 255
    image = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    for seed in range(6):
        frames = pan_frames(image, np.random.default_rng(seed), num_frames=4, height=48, width=80)
        assert frames.astype(float).std(axis=(1, 2, 3)).max() < 12


def test_pans_stay_inside_the_photograph() -> None:
    """A white photograph never shows a dark border, unless it fades as a whole."""
    white = np.full((90, 200, 3), 255, np.uint8)
    for seed in range(20):
        frames = pan_frames(white, np.random.default_rng(seed), num_frames=5, height=64, width=33)
        assert int(np.ptp(frames, axis=(1, 2, 3)).max()) <= 1


def test_pans_refuse_what_is_no_photograph() -> None:
    """Floats, greys and empty sizes are input errors."""
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="float64"):
        pan_frames(np.zeros((9, 9, 3)), rng, num_frames=1, height=8, width=8)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 1"):
        pan_frames(photograph(), rng, num_frames=0, height=8, width=8)
