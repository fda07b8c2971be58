"""Sound: what is measured of it against a second implementation, and what it costs a video.

Axes: N samples, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter

from pfp.ingest.audio import _Walk, measure_audio
from pfp.ingest.why import why
from pfp.io.tables import read_records
from pfp.runtime.stage_config import read_config
from pfp.schema import AudioRecord, Failed, Kept, RunDirectory, VideoRecord
from pipelines.ingest.config import IngestConfig, debug
from pipelines.ingest.select import main as select
from tests.ingest.test_run import ingest, verdicts
from tests.media_files import numbered, video_packets

Samples = npt.NDArray[np.float64]
RATE = 48_000
RECIPE = "name: heard\nfilters:\n  loudness: {min_lufs: -30, max_lufs: -10}\n"


def sine(decibels: float, seconds: float, hertz: float = 997.0) -> Samples:
    """Two channels of a sine with that peak."""
    phase_N = 2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE
    return np.repeat(10 ** (decibels / 20) * np.sin(phase_N)[:, None], 2, axis=1)


def noise(decibels: float, seconds: float) -> Samples:
    """Two channels of white noise of that RMS."""
    rng = np.random.default_rng(0)
    return rng.normal(0, 10 ** (decibels / 20), (round(seconds * RATE), 2))


def frames_of(sound_NC: Samples, layout: str = "stereo") -> Iterator[av.AudioFrame]:
    """16-bit frames of 4,096 samples."""
    levels_NC = np.clip(np.rint(sound_NC * 32768), -32768, 32767).astype(np.int16)
    for start in range(0, len(levels_NC), 4096):
        block_NC = levels_NC[start : start + 4096]
        frame = av.AudioFrame.from_ndarray(block_NC.reshape(1, -1), "s16", layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        yield frame


def with_sound(path: Path, sound_NC: Samples, *, is_broken: bool = False) -> Path:
    """A video of four seconds with that sound, lossless, or in packets of bytes of no meaning."""
    with av.open(str(path), "w", format="matroska") as to:
        packets = video_packets(to, map(numbered, range(96)))
        stream = to.add_stream("flac", rate=RATE, layout="stereo", format="s16")
        for frame in (*frames_of(sound_NC), None):
            packets += stream.encode(frame)
        for packet in packets:
            to.mux(_broken(packet) if is_broken and packet.stream is stream else packet)
    return path


def _broken(packet: av.Packet[Any]) -> av.Packet[Any]:
    broken = av.Packet(b"\x5a" * packet.size)
    broken.stream, broken.time_base = packet.stream, packet.time_base
    broken.pts, broken.dts = packet.pts, packet.dts
    return broken


def loudness_of(sound_NC: Samples) -> float:
    """Integrated loudness by the text of ITU-R BS.1770-4, at 48 kHz, of left and right."""
    shelf = (
        [1.53512485958697, -2.69169618940638, 1.19839281085285],
        [1, -1.69065929318241, 0.73248077421585],
    )
    high_pass = ([1.0, -2.0, 1.0], [1, -1.99004745483398, 0.99007225036621])
    weighted_NC = lfilter(*high_pass, lfilter(*shelf, sound_NC, axis=0), axis=0)
    starts = range(0, len(sound_NC) - RATE * 4 // 10 + 1, RATE // 10)
    power = np.array(
        [np.square(weighted_NC[at : at + RATE * 4 // 10]).mean(0).sum() for at in starts]
    )
    power = power[-0.691 + 10 * np.log10(power) > -70]
    gate = -0.691 + 10 * np.log10(power.mean()) - 10
    return float(-0.691 + 10 * np.log10(power[-0.691 + 10 * np.log10(power) > gate].mean()))


@pytest.mark.parametrize(
    "sound_NC",
    [
        np.concatenate([noise(-40, 3), noise(-20, 3), noise(-26, 2)]),
        np.concatenate([sine(-36, 2), sine(-12, 4), sine(-50, 2)]),
    ],
)
def test_loudness_is_that_of_the_standard(tmp_path: Path, sound_NC: Samples) -> None:
    """With passages that the relative gate takes out."""
    found = measure_audio(str(with_sound(tmp_path / "a.mkv", sound_NC)))

    assert found["loudness_lufs"] == pytest.approx(loudness_of(sound_NC), abs=0.05)


def test_a_tone_of_tech_3341_has_its_loudness(tmp_path: Path) -> None:
    """A sine of -23 dBFS in both channels is -23 LUFS, its true peak -23 dBFS, its range 0."""
    found = measure_audio(str(with_sound(tmp_path / "a.mkv", sine(-23, 8))))

    assert found["loudness_lufs"] == pytest.approx(-23, abs=0.1)
    assert found["true_peak_dbfs"] == pytest.approx(-23, abs=0.2)
    assert found["loudness_range_lu"] == pytest.approx(0, abs=0.1)
    assert found["audio_seconds"] == 8
    assert ("flac", RATE, 2) == (
        found["audio_codec"],
        found["sample_rate"],
        found["num_channels"],
    )


def test_silence_has_a_share_and_no_loudness(tmp_path: Path) -> None:
    """Below the gate of the standard there is no number, and none is made up."""
    half = np.concatenate([sine(-20, 2.5), 0 * sine(0, 2.5)])
    silent, found = (
        measure_audio(str(with_sound(tmp_path / f"{name}.mkv", sound_NC)))
        for name, sound_NC in (("silent", 0 * half), ("half", half))
    )

    assert found["silent_fraction"] == pytest.approx(0.5, abs=0.01)
    assert 1.0 == silent["silent_fraction"]
    for name in ("loudness_lufs", "loudness_range_lu", "true_peak_dbfs", "speech_like_fraction"):
        assert silent[name] is None


def test_clipped_samples_are_counted(tmp_path: Path) -> None:
    """Of a sine of twice the full scale two thirds lie beyond it."""
    loud, good = (
        measure_audio(str(with_sound(tmp_path / f"{name}.mkv", sine(decibels, 2))))
        for name, decibels in (("loud", 20 * np.log10(2)), ("good", -0.1))
    )

    assert loud["clipped_fraction"] == pytest.approx(2 / 3, abs=0.001)
    assert 0.0 == good["clipped_fraction"]


def test_syllables_are_speech_like_and_steady_sound_is_not(tmp_path: Path) -> None:
    """Noise four times a second, with pauses, against noise and a tone without."""
    is_on_N = (np.arange(4 * RATE) * 4 / RATE) % 1 < 0.6
    sounds = {"syllables": noise(-20, 4) * is_on_N[:, None], "noise": noise(-20, 4)}
    sounds["tone"] = sine(-20, 4)
    found = {
        name: measure_audio(str(with_sound(tmp_path / f"{name}.mkv", sound_NC)))
        for name, sound_NC in sounds.items()
    }

    assert {"syllables": 1.0, "noise": 0.0, "tone": 0.0} == {
        name: one["speech_like_fraction"] for name, one in found.items()
    }


def test_sound_that_changes_its_channels_is_one_sound() -> None:
    """As transport streams do between a film and its advertisements."""
    walk = _Walk()
    for frame in frames_of(sine(-23, 2)):
        walk.push(frame)
    for frame in frames_of(sine(-23, 2)[:, :1], "mono"):
        walk.push(frame)

    found = walk.result()

    assert (2, 4.0) == (found["num_channels"], found["audio_seconds"])


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good sound, quiet sound, broken sound, none, and what is no video."""
    folder = tmp_path_factory.mktemp("videos")
    with_sound(folder / "good.mkv", sine(-20, 4))
    with_sound(folder / "quiet.mkv", sine(-40, 4))
    with_sound(folder / "broken.mkv", sine(-20, 4), is_broken=True)
    with av.open(str(folder / "mute.mkv"), "w", format="matroska") as to:
        to.mux(video_packets(to, map(numbered, range(100, 196))))
    (folder / "text.mkv").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> IngestConfig:
    """With a recipe that asks about loudness."""
    recipe = tmp_path_factory.mktemp("recipe") / "heard.yaml"
    recipe.write_text(RECIPE)
    return replace(debug(), recipe=str(recipe))


@pytest.fixture(scope="module")
def heard(
    videos: Path, config: IngestConfig, tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    """The run of those videos by that recipe."""
    out = tmp_path_factory.mktemp("run")
    ingest(config, videos, out)
    return RunDirectory(out)


def test_broken_sound_costs_its_own_row(heard: RunDirectory) -> None:
    """What is no video has no row; the one whose sound is unknown cannot pass a filter of it."""
    audio = {row.video_uri.rsplit("/", 1)[1]: row for row in read_records(*heard.audio)}

    assert {
        "broken.mkv": Failed,
        "good.mkv": Kept,
        "mute.mkv": Kept,
        "quiet.mkv": Kept,
    } == {name: type(row.verdict) for name, row in audio.items()}
    assert (None, False) == (audio["broken.mkv"].has_audio, audio["mute.mkv"].has_audio)
    assert {
        "broken.mkv": "loudness_below_min_unknown",
        "good.mkv": "Kept",
        "mute.mkv": "Kept",
        "quiet.mkv": "loudness_below_min",
        "text.mkv": "not_a_video",
    } == verdicts(Path(heard.uri))


def test_the_table_of_videos_has_what_was_heard(heard: RunDirectory) -> None:
    """Beside the verdicts; nothing where nothing is known."""
    told = {
        row.video_uri.rsplit("/", 1)[1]: (row.has_audio, row.loudness_lufs)
        for row in read_records(heard.videos.path, VideoRecord)
    }

    assert told["good.mkv"] == (True, pytest.approx(-20, abs=0.1))
    assert (False, None) == told["mute.mkv"]
    assert (None, None) == told["broken.mkv"] == told["text.mkv"]


def test_why_tells_of_sound(heard: RunDirectory) -> None:
    """What was measured, what the filter asked, and why nothing was measured."""
    quiet, broken = why("quiet.mkv", heard.uri), why("broken.mkv", heard.uri)

    assert "\naudio\n  has_audio: True\n" in quiet
    assert "FAIL loudness       integrated loudness in LUFS -40" in quiet
    assert "failed, PermanentError: the audio of" in broken
    assert "videos/_audio/_config.json" in quiet


def test_sound_is_measured_once_and_by_its_bytes(
    videos: Path, config: IngestConfig, heard: RunDirectory
) -> None:
    """Neither another run nor another time of change decodes it again."""
    before = {row.video_uri: row.result_key for row in read_records(*heard.audio)}
    files = {path.name: path.stat().st_mtime_ns for path in Path(heard.audio.path).iterdir()}
    (videos / "good.mkv").touch()

    ingest(config, videos, Path(heard.uri))

    assert before == {row.video_uri: row.result_key for row in read_records(*heard.audio)}
    after = {path.name: path.stat().st_mtime_ns for path in Path(heard.audio.path).iterdir()}
    assert {name: time for name, time in files.items() if name.endswith("parquet")} == {
        name: time for name, time in after.items() if name.endswith("parquet")
    }


def test_sound_that_nobody_asks_about_is_not_decoded(
    videos: Path, config: IngestConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recipe that asks about it later is refused with the cure, and changes nothing."""
    seen = tmp_path / "seen.yaml"
    seen.write_text("name: seen\n")
    run = RunDirectory(tmp_path / "run")
    ingest(replace(debug(), recipe=str(seen)), videos, Path(run.uri))
    assert not Path(run.audio.path).exists()
    before = Path(run.videos.path, "_config.json").read_bytes()

    assert 2 == select(["--recipe", config.recipe, "--output", run.uri])

    assert (
        "ingest select: filter loudness asks about audio, which was not measured of all videos; "
        "run python -m pipelines.ingest with this recipe, or with --set measure_audio=true\n"
    ) == capsys.readouterr().err
    assert before == Path(run.videos.path, "_config.json").read_bytes()

    ingest(replace(debug(), recipe=str(seen), measure_audio=True), videos, Path(run.uri))
    assert 0 == select(["--recipe", config.recipe, "--output", run.uri])
    told = read_config(run.audio.path)
    assert told is not None
    assert "audio" == told.stage
    assert {"broken.mkv", "good.mkv", "mute.mkv", "quiet.mkv"} == {
        row.video_uri.rsplit("/", 1)[1] for row in read_records(run.audio.path, AudioRecord)
    }
