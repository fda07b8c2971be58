"""Videos and references of different frame rates: paired by time, warned of, never truncated."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pfp.cli.eval import main
from pfp.eval.measure.engine import Outcome, measure_all
from pfp.eval.measure.pairing import by_time, frame_by_frame, rates_differ
from pfp.eval.measure.protocol import Protocol
from pfp.eval.metrics import MetricValue
from pfp.eval.metrics.magbench import AlignedPsnr
from pfp.eval.metrics.psnr import Psnr, psnr_of, squared_error
from pfp.eval.scores.runs import read_run
from pfp.io import media
from pfp.io.media import Times
from pfp.schema import EvalSample, Shot

Frames = npt.NDArray[np.uint8]
BY_TIME = Protocol(align="time")
HEIGHT, WIDTH = 48, 80


def moving(num_frames: int, fps: float, noise: float = 0.0) -> Frames:
    """A wave that runs to the right, so that every moment looks different."""
    rng = np.random.default_rng(4)
    x = np.arange(WIDTH)
    frames = []
    for number in range(num_frames):
        row = 128 + 90 * np.sin(x / 6 - 9 * number / fps)
        image = np.broadcast_to(row[None, :, None], (HEIGHT, WIDTH, 3))
        frames.append(image + noise * rng.normal(size=(HEIGHT, WIDTH, 3)))
    return np.clip(np.round(frames), 0, 255).astype(np.uint8)


def numbered(num_frames: int) -> Frames:
    """Frames whose every pixel is four times their number."""
    code_values_T = 4 * np.arange(num_frames, dtype=np.uint8)
    return np.broadcast_to(
        code_values_T[:, None, None, None], (num_frames, HEIGHT, WIDTH, 3)
    ).copy()


def written(path: Path, frames: Frames, fps: float) -> str:
    """A lossless video of them."""
    media.write_video(path, frames, fps, lossless=True)
    return str(path)


def timed(path: Path, frames: Frames, ticks: list[int]) -> str:
    """A lossless video whose frames begin at these 24ths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=24)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "rgb24"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 24)
        stream.codec_context.options = {"qp": "0"}
        for frame_HWC, tick in zip(frames, ticks, strict=True):
            frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def psnr(video: str, reference: str, protocol: Protocol = BY_TIME, **given: Any) -> Outcome:
    """The metric of one pair."""
    return measure_all(
        EvalSample.of_video(video, reference_uri=reference, **given), {"psnr": Psnr()}, protocol
    )["psnr"]


def value_of(outcome: Outcome) -> MetricValue:
    """The value, which must be there."""
    assert isinstance(outcome, MetricValue), outcome
    return outcome


def mean_psnr(video: Frames, reference: Frames) -> float:
    """By the definition, of frames that belong together."""
    pairs = zip(video, reference, strict=True)
    return float(np.mean([float(psnr_of(squared_error(*pair))) for pair in pairs]))


@pytest.mark.parametrize(("rate", "other"), [(12, 24), (24, 12), (10, 25), (16, 24), (24, 16)])
def test_frames_of_one_time_are_compared(tmp_path: Path, rate: int, other: int) -> None:
    """As often as the slower one has a frame: with the one that the other shows at that time."""
    video, true = moving(5 * rate // 2, rate, noise=8.0), moving(5 * other // 2, other)
    places = [written(tmp_path / "a.mp4", video, rate), written(tmp_path / "b.mp4", true, other)]
    slower = min(rate, other)
    times = [Fraction(k, slower) for k in range(5 * slower // 2)]
    expected = mean_psnr(
        video[[int(time * rate) for time in times]], true[[int(time * other) for time in times]]
    )

    found = value_of(psnr(*places))

    assert pytest.approx(expected, abs=1e-9) == found.value
    assert (len(times), float(other)) == (found.num_frames, found.evidence["reference_fps"])
    assert pytest.approx(slower) == found.evidence["fps"]


def test_truncation_compares_other_times(tmp_path: Path) -> None:
    """15 frames at 12 fps and 30 at 24 of one content: far off by number, close by time."""
    video = written(tmp_path / "a.mp4", moving(15, 12, noise=10.0), 12)
    true = written(tmp_path / "b.mp4", moving(30, 24), 24)

    by_number = value_of(psnr(video, true, Protocol(align="truncate"))).value
    in_step = value_of(psnr(video, true)).value

    assert by_number is not None
    assert in_step is not None
    assert (True, pytest.approx(28.2, abs=0.3)) == (by_number < 12, in_step)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_containers_that_round_times_change_nothing(tmp_path: Path, suffix: str) -> None:
    """Matroska knows milliseconds, and no number of frames."""
    video = written(tmp_path / "a.mp4", moving(15, 12), 12)
    true = tmp_path / f"b{suffix}"
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264rgb"
    with av.open(str(true), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.height, stream.width = HEIGHT, WIDTH
        stream.pix_fmt = "gbrp" if suffix == ".webm" else "rgb24"
        stream.codec_context.options = {"lossless": "1"} if suffix == ".webm" else {"qp": "0"}
        for frame_HWC in moving(30, 24):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")))
        container.mux(stream.encode(None))

    found = value_of(psnr(video, str(true)))

    assert (15, 100.0) == (found.num_frames, found.value)


def test_timestamps_count_and_not_the_mean_rate(tmp_path: Path) -> None:
    """A reference whose repeated frames were dropped is held until its next one."""
    ticks = [0, 1, 2, 9, 10, 11]
    true = timed(tmp_path / "b.mp4", numbered(6), ticks)
    code_values_T = numbered(6)[[0, 1, 2, 2, 2, 2, 2, 2, 2, 3, 4, 5]]
    video = written(tmp_path / "a.mp4", code_values_T, 24)

    found = value_of(psnr(video, true))

    assert 100.0 == found.value
    reference_first = value_of(psnr(true, video))
    assert (100.0, 6) == (reference_first.value, reference_first.num_frames)


def test_of_one_rate_the_longer_one_s_rest_is_left_out(tmp_path: Path) -> None:
    """As by truncation, whichever is longer."""
    short, long = moving(20, 24, noise=5.0), moving(31, 24)
    places = [written(tmp_path / "a.mp4", short, 24), written(tmp_path / "b.mp4", long, 24)]
    for order in (places, places[::-1]):
        truncated = value_of(psnr(*order, protocol=Protocol(align="truncate")))
        assert truncated == value_of(psnr(*order))


def test_folders_have_the_rate_of_the_manifest(tmp_path: Path) -> None:
    """A folder of images at 8 fps against a video at 24."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, frame in enumerate(numbered(8)):
        Image.fromarray(frame).save(folder / f"{number}.png")
    true = written(tmp_path / "b.mp4", numbered(8).repeat(3, axis=0), 24)

    found = value_of(psnr(str(folder), true, fps=8.0))

    assert (100.0, 8) == (found.value, found.num_frames)


def test_clips_and_shots_keep_their_seconds(tmp_path: Path) -> None:
    """A video at 24 fps, compared 12 times a second, in clips of 2 s and by its storyboard."""
    video = written(tmp_path / "a.mp4", moving(72, 24), 24)
    true = written(tmp_path / "b.mp4", moving(36, 12), 12)
    clips = value_of(psnr(video, true, Protocol(name="vbench-long", align="time")))
    shots = (
        Shot(start_seconds=0, end_seconds=1, caption="a"),
        Shot(start_seconds=1, end_seconds=3, caption="b"),
    )
    told = value_of(psnr(video, true, Protocol(align="time", cuts="storyboard"), shots=shots))

    def spans(found: MetricValue) -> list[tuple[int, int]]:
        return [(clip["start_frame"], clip["end_frame"]) for clip in found.evidence["clips"]]

    assert ([(0, 24), (12, 36)], [(0, 12), (12, 36)]) == (spans(clips), spans(told))
    assert (12.0, 100.0) == (told.evidence["fps"], told.value)


def test_metrics_that_resample_still_do(tmp_path: Path) -> None:
    """MAG-Bench looks at sixteenths of a second, of pairs as of frames."""
    video = written(tmp_path / "a.mp4", moving(16 * 8, 16, noise=6.0), 16)
    true = written(tmp_path / "b.mp4", moving(32 * 8, 32), 32)
    metrics = {"aligned": AlignedPsnr()}

    found = measure_all(EvalSample.of_video(video, reference_uri=true), metrics, BY_TIME)["aligned"]
    same = AlignedPsnr().measure(moving(16 * 8, 16, noise=6.0), moving(32 * 8, 32)[::2], fps=16.0)

    assert (same.value, same.num_frames) == (
        pytest.approx(value_of(found).value),
        value_of(found).num_frames,
    )


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((12, 24), "15 frames at 12 fps and its reference 30 at 24; pass --align time"),
        ((24, 24), "15 frames and its reference 30; generate it again, frame for frame, or pass"),
    ],
)
def test_the_error_of_lengths_tells_what_mends_it(
    tmp_path: Path, rates: tuple[int, int], expected: str
) -> None:
    """Truncation is advised where numbers are times, and nowhere else."""
    video = written(tmp_path / "a.mp4", moving(15, rates[0]), rates[0])
    true = written(tmp_path / "b.mp4", moving(30, rates[1]), rates[1])

    refused = str(psnr(video, true, Protocol()))

    assert expected in refused
    assert ("truncate" in refused) == (rates[0] == rates[1])


@pytest.mark.parametrize(
    ("rates", "align", "num_warned"),
    [
        ((12, 24), "error", 1),
        ((12, 24), "truncate", 1),
        ((12, 24), "time", 0),
        ((24, 24), "time", 0),
    ],
)
def test_reports_warn_of_other_rates(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rates: tuple[int, int],
    align: str,
    num_warned: int,
) -> None:
    """In the table that `run` prints, and in every form of the page."""
    written(tmp_path / "a.mp4", moving(24, rates[0]), rates[0])
    written(tmp_path / "b.mp4", moving(24, rates[1]), rates[1])
    (tmp_path / "m.jsonl").write_text('{"video": "a.mp4", "reference": "b.mp4"}\n')
    run = ["run", str(tmp_path / "m.jsonl"), "--out", str(tmp_path / "out"), "--metrics", "psnr"]

    assert main([*run, "--align", align]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert main(["report", str(tmp_path / "out")]) == 0

    sentence = "reference of another frame rate"
    assert num_warned == printed.count(sentence)
    page = (tmp_path / "out" / "leaderboard.md").read_text()
    assert num_warned == page.count(sentence)
    board = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert num_warned == board["num_other_rates"]
    (score,) = read_run(tmp_path / "out").scores
    assert ("align by time" in score.protocol) == (align == "time")


def test_pairs_are_found_by_either_side() -> None:
    """Two frames of a fast video belong to no pair, and a held one to several."""
    slow = Times(begin_T=np.arange(3) / 12, end=0.25)
    fast = Times(begin_T=np.arange(6) / 24, end=0.25)

    pairs = by_time(fast, slow)

    assert ([0, 2, 4], [0, 1, 2]) == (list(pairs.video), list(pairs.reference))
    assert [[0], [], [1]] == [list(pairs.of_frame(index)) for index in (0, 1, 2)]
    assert [1, 2] == list(pairs.within(range(1, 5)))
    plain = frame_by_frame(4, 24.0)
    assert [[3], []] == [list(plain.of_frame(index)) for index in (3, 4)]
    held = by_time(Times(begin_T=np.array([0, 0.5]), end=1.0), fast)
    assert [0] == list(held.reference)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [((24, 24), False), ((23.976, 24), False), ((29.97, 30), False), ((24, 25), True)],
)
def test_rates_that_differ(
    rates: tuple[float, float],
    expected: bool,  # noqa: FBT001
) -> None:
    """NTSC's thousandth is none: over 20 s it is half a frame."""
    assert expected == rates_differ(*rates)
