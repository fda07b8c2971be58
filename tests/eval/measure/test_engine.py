"""One decode for all metrics: which frames each sees, and what breaks alone."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from pfp.errors import ConfigError, InputError, InvariantError, PermanentError
from pfp.eval.measure.engine import Outcome, measure_all
from pfp.eval.measure.protocol import DecoderName, Protocol
from pfp.eval.metrics import Frame, Measurement, Metric, MetricCard, MetricValue, OpenedSample
from pfp.eval.metrics.psnr import Psnr
from pfp.io import media
from pfp.schema import EvalSample, Shot
from tests.hostile_files import HostileFile

HEIGHT, WIDTH = 32, 48
LONG = Protocol(name="vbench-long")


def card(name: str, *needs: Any) -> MetricCard:
    """A card with nothing on it but what the engine looks at."""
    return MetricCard(
        name=name,
        version=1,
        title=name,
        unit="",
        direction="higher",
        low=None,
        high=None,
        decimals=0,
        summary="",
        citation="",
        licence="",
        required_inputs=needs,
    )


class Watcher(Metric):
    """Sees the frames that it is told to ask for, and remembers samples and brightnesses."""

    card: ClassVar = card("watcher")

    def __init__(
        self,
        asks: Callable[[OpenedSample], Sequence[int] | None] = lambda _: None,
        breaks_at: int | None = None,
        value: float | None = None,
    ) -> None:
        super().__init__()
        self.asks, self.breaks_at, self.value = asks, breaks_at, value
        self.samples: list[OpenedSample] = []
        self.brightnesses: list[list[int]] = []

    def frames_of(self, sample: OpenedSample) -> Sequence[int] | None:
        """What the test asks."""
        return self.asks(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Remembers the sample."""
        self.samples.append(sample)
        self.brightnesses.append([])
        return _Watching(self, self.brightnesses[-1])


class _Watching(Measurement):
    def __init__(self, metric: Watcher, brightnesses: list[int]) -> None:
        self._metric, self._brightnesses = metric, brightnesses
        self.numbers: list[int] = []

    def see(self, frame: Frame) -> None:
        """Remembers number and brightness."""
        if frame.index == self._metric.breaks_at:
            raise PermanentError(f"broke at frame {frame.index}")
        self.numbers.append(frame.index)
        self._brightnesses.append(round(float(frame.rgb_HWC.mean())))

    def finish(self) -> MetricValue:
        """The number of frames, or what the test says."""
        value = float(len(self.numbers)) if self._metric.value is None else self._metric.value
        return MetricValue(
            value=value, num_frames=len(self.numbers), evidence={"numbers": self.numbers}
        )


def ramp(path: Path, num_frames: int, fps: float = 8, offset: int = 0) -> str:
    """A video whose frame k has the brightness 4 k + 8 (+ offset) throughout."""
    code_values_T = 8 + 4 * np.arange(num_frames) + offset
    frames = np.broadcast_to(code_values_T[:, None, None, None], (num_frames, HEIGHT, WIDTH, 3))
    media.write_video(path, frames.astype(np.uint8), fps, lossless=True)
    return str(path)


def value_of(outcome: Outcome) -> MetricValue:
    """The outcome, which is no exception."""
    assert isinstance(outcome, MetricValue), outcome
    return outcome


def test_each_metric_sees_the_frames_that_it_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some, all, one of them twice, none: in order, with their numbers, from one decode."""
    decodes: list[str] = []
    iter_stored = media.iter_stored

    def counting(source: Any, **options: Any) -> Any:
        decodes.append(str(source))
        return iter_stored(source, **options)

    monkeypatch.setattr("pfp.io.media.iter_stored", counting)
    metrics = {
        "all": Watcher(),
        "some": Watcher(lambda sample: [1, sample.num_frames - 1]),
        "twice": Watcher(lambda _: [0, 3, 3]),
        "none": Watcher(lambda _: []),
    }
    found = measure_all(EvalSample.of_video(ramp(tmp_path / "a.mp4", 6)), metrics, Protocol())

    assert {name: value_of(outcome).evidence["numbers"] for name, outcome in found.items()} == {
        "all": [0, 1, 2, 3, 4, 5],
        "some": [1, 5],
        "twice": [0, 3, 3],
        "none": [],
    }
    assert metrics["some"].brightnesses == [[12, 28]]
    assert len(decodes) == 1


def test_the_sample_is_known_before_its_frames(tmp_path: Path) -> None:
    """Length, rate and size come from the container, the rest from the manifest."""
    watcher = Watcher()
    shots = (Shot(start_seconds=0, end_seconds=1, caption="a"),)
    given = EvalSample.of_video(ramp(tmp_path / "a.mp4", 9), prompt="p", shots=shots)
    measure_all(given, {"watcher": watcher}, Protocol())

    assert watcher.samples == [
        OpenedSample(num_frames=9, fps=8.0, height=HEIGHT, width=WIDTH, prompt="p", shots=shots)
    ]


@pytest.mark.parametrize(
    ("num_frames", "fps", "expected"),
    [
        (10, 8.0, [(0, 10)]),
        (16, 8.0, [(0, 16)]),
        (17, 8.0, [(0, 16), (1, 17)]),
        (40, 8.0, [(0, 16), (16, 32), (24, 40)]),
        (48, 8.0, [(0, 16), (16, 32), (32, 48)]),
        (100, 23.976, [(0, 46), (46, 92), (54, 100)]),
        (3, 0.5, [(0, 2), (1, 3)]),
    ],
)
def test_long_clips_are_two_seconds_and_the_last_reaches_back(
    num_frames: int, fps: float, expected: list[tuple[int, int]]
) -> None:
    """VBench-Long: int(fps) frames a second, the tail extended backwards, a short video whole."""
    clips = LONG.clips(num_frames, fps)

    assert expected == [(clip.start, clip.stop) for clip in clips]


def test_long_clips_are_measured_alone_and_averaged(tmp_path: Path) -> None:
    """Each clip has numbers from 0 and its own frames; overlapping clips both see what they share.

    Shots are cut to the clip.
    """
    watcher = Watcher(lambda sample: [0, sample.num_frames - 1])
    shots = (
        Shot(start_seconds=0.0, end_seconds=2.5, caption="a"),
        Shot(start_seconds=2.5, end_seconds=5.0, caption="b"),
    )
    given = EvalSample.of_video(ramp(tmp_path / "a.mp4", 40), shots=shots)
    found = value_of(measure_all(given, {"watcher": watcher}, LONG)["watcher"])

    assert watcher.brightnesses == [[8, 68], [72, 132], [104, 164]]
    assert (found.value, found.num_frames) == (2.0, 6)
    assert [clip["start_frame"] for clip in found.evidence["clips"]] == [0, 16, 24]
    spans = [
        [(s.start_seconds, s.end_seconds, s.caption) for s in x.shots] for x in watcher.samples
    ]
    assert spans == [[(0, 2, "a")], [(0, 0.5, "a"), (0.5, 2, "b")], [(0, 2, "b")]]


def test_the_reference_keeps_step_with_sparse_metrics(tmp_path: Path) -> None:
    """A metric that asks for a few frames of each clip gets the reference's of the same time."""

    class Sparse(Watcher):
        card: ClassVar = card("sparse", "reference")

        def begin(self, sample: OpenedSample) -> Measurement:
            watching = super().begin(sample)
            see = watching.see
            watching.see = lambda frame: (  # type: ignore[method-assign]
                see(frame),
                differences.append(int(frame.pair()[0].mean() - frame.pair()[1].mean())),
            )[0]
            return watching

    differences: list[int] = []
    video = ramp(tmp_path / "a.mp4", 40, offset=2)
    given = EvalSample.of_video(video, reference_uri=ramp(tmp_path / "b.mp4", 40))
    measure_all(given, {"sparse": Sparse(lambda _: [1]), "all": Watcher()}, LONG)

    assert differences == [2, 2, 2]


class Remembering(Watcher):
    """Asks for frames of the history, and remembers their brightnesses before the video's."""

    card: ClassVar = replace(card("remembering"), optional_inputs=("history",))

    def __init__(self, wants: Callable[[OpenedSample], Sequence[int]]) -> None:
        super().__init__(lambda _: [1])
        self.wants = wants

    def history_frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """What the test wants."""
        return self.wants(sample) if sample.num_history_frames is not None else ()


def test_a_history_comes_before_the_video_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every frame asked for, twice if need be, once for all metrics; others know of no history."""
    monkeypatch.setattr(_Watching, "see_history", _Watching.see, raising=False)
    decodes: list[str] = []
    iter_stored = media.iter_stored

    def counting(source: Any, **options: Any) -> Any:
        decodes.append(Path(str(source)).name)
        return iter_stored(source, **options)

    monkeypatch.setattr("pfp.io.media.iter_stored", counting)
    given = EvalSample.of_video(
        ramp(tmp_path / "a.mp4", 6, offset=100), history_uri=ramp(tmp_path / "h.mp4", 9, fps=4)
    )
    metrics = {
        "two": Remembering(lambda _: [2, 2]),
        "last": Remembering(lambda sample: [(sample.num_history_frames or 0) - 1]),
        "none": Remembering(lambda _: []),
        "other": Watcher(),
    }
    found = measure_all(given, metrics, Protocol())

    assert metrics["two"].brightnesses == [[16, 16, 112]]
    assert metrics["last"].brightnesses == [[40, 112]]
    assert metrics["none"].brightnesses == [[112]]
    assert value_of(found["other"]).value == 6.0
    sample = metrics["two"].samples[0]
    assert (sample.num_history_frames, sample.history_fps, sample.fps) == (9, 4.0, 8.0)
    assert metrics["other"].samples[0].num_history_frames is None
    assert decodes == ["a.mp4", "h.mp4"]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("gone.mp4", "there is no file"),
        ("small.mp4", "the video is 48x32 and its history 32x32 pixels"),
        ("cut.mp4", "replace the file, or use a span before the damage"),
    ],
)
def test_a_bad_history_costs_only_what_looks_at_it(
    tmp_path: Path, history: str, expected: str
) -> None:
    """The others are measured as ever."""
    media.write_video(tmp_path / "small.mp4", np.zeros((2, 32, 32, 3), np.uint8), 8)
    noise = np.random.default_rng(0).integers(0, 255, (60, HEIGHT, WIDTH, 3), dtype=np.uint8)
    media.write_video(tmp_path / "cut.mp4", noise, 8)
    content = bytearray((tmp_path / "cut.mp4").read_bytes())
    for position in range(len(content) // 2, len(content) // 2 + 4000):
        content[position] ^= 0x5A
    (tmp_path / "cut.mp4").write_bytes(content)
    given = EvalSample.of_video(ramp(tmp_path / "a.mp4", 3), history_uri=str(tmp_path / history))
    remembering = Remembering(lambda sample: range(sample.num_history_frames or 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Watching, "see_history", _Watching.see, raising=False)
        found = measure_all(given, {"bad": remembering, "good": Watcher()}, Protocol())

    assert expected in str(found["bad"])
    assert value_of(found["good"]).value == 3.0


def test_a_metric_that_breaks_breaks_alone(tmp_path: Path) -> None:
    """One metric's error is its own outcome; the others see every frame."""
    found = measure_all(
        EvalSample.of_video(ramp(tmp_path / "a.mp4", 5)),
        {"bad": Watcher(breaks_at=2), "good": Watcher(), "nan": Watcher(value=float("nan"))},
        Protocol(),
    )

    assert str(found["bad"]) == "broke at frame 2"
    assert value_of(found["good"]).value == 5.0
    assert "nan is nan, which is no score" in str(found["nan"])


def test_a_metric_that_asks_for_frames_that_are_not_there_is_a_fault_of_pfp(tmp_path: Path) -> None:
    """A wrong frame number is never passed over."""
    given = EvalSample.of_video(ramp(tmp_path / "a.mp4", 5))

    with pytest.raises(InvariantError, match="asked for the frames"):
        measure_all(given, {"watcher": Watcher(lambda _: [5])}, Protocol())


@pytest.mark.parametrize("missing", ["other length", "gone", "none"])
def test_without_its_reference_only_a_comparison_fails(tmp_path: Path, missing: str) -> None:
    """A reference of another length, or none, costs the metrics that need it and no other."""
    reference = {
        "other length": ramp(tmp_path / "b.mp4", 4),
        "gone": str(tmp_path / "gone.mp4"),
        "none": None,
    }[missing]
    given = EvalSample.of_video(ramp(tmp_path / "a.mp4", 5), reference_uri=reference)
    found = measure_all(given, {"psnr": Psnr(), "all": Watcher()}, Protocol())

    expected = {
        "other length": "the video has 5 frames and its reference 4",
        "gone": "there is no file",
        "none": "there is no reference video",
    }[missing]
    assert expected in str(found["psnr"])
    assert value_of(found["all"]).value == 5.0


@pytest.mark.parametrize("part", ["reference", "history"])
def test_what_is_wrong_with_a_true_video_is_found_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """However many clips and metrics ask: finding out may take a whole decode."""
    extent_of, opened = media.extent_of, []

    def counting(source: Any, **options: Any) -> media.Extent:
        opened.append(Path(source).name)
        return extent_of(source, **options)

    monkeypatch.setattr("pfp.io.media.extent_of", counting)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    given = EvalSample.of_video(
        ramp(tmp_path / "a.mp4", 40), **{f"{part}_uri": str(tmp_path / "b.mp4")}
    )
    metrics = (
        {"psnr": Psnr(), "again": Psnr()}
        if part == "reference"
        else {name: Remembering(lambda _: [0]) for name in ("one", "other")}
    )
    found = measure_all(given, metrics, LONG)

    assert all(isinstance(outcome, PermanentError) for outcome in found.values())
    assert ["a.mp4", "b.mp4"] == opened


@pytest.mark.parametrize("told", [4, 7])
def test_a_wrong_packet_count_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: int
) -> None:
    """Where other frames come than the container told, metrics are asked again with the truth."""
    extent_of = media.extent_of

    def lying(source: Any, **options: Any) -> media.Extent:
        return replace(extent_of(source, **options), num_frames=told, is_agreed=False)

    monkeypatch.setattr("pfp.io.media.extent_of", lying)
    watcher = Watcher(lambda sample: [sample.num_frames - 1])
    given = EvalSample.of_video(ramp(tmp_path / "a.mp4", 5))
    found = measure_all(given, {"watcher": watcher}, Protocol())

    assert value_of(found["watcher"]).evidence["numbers"] == [4]
    assert watcher.samples[-1].num_frames == 5


def test_a_history_whose_length_is_not_sure_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics ask by the frames that there are, whatever the container told."""
    extent_of = media.extent_of

    def lying(source: Any, **options: Any) -> media.Extent:
        found = extent_of(source, **options)
        is_history = str(source).endswith("h.mp4")
        return replace(found, num_frames=9, is_agreed=False) if is_history else found

    monkeypatch.setattr("pfp.io.media.extent_of", lying)
    monkeypatch.setattr(_Watching, "see_history", _Watching.see, raising=False)
    given = EvalSample.of_video(
        ramp(tmp_path / "a.mp4", 3), history_uri=ramp(tmp_path / "h.mp4", 5)
    )
    remembering = Remembering(lambda sample: range(sample.num_history_frames or 0))
    measure_all(given, {"all": remembering}, Protocol())

    assert remembering.brightnesses == [[8, 12, 16, 20, 24, 12]]


def test_damage_after_the_last_frame_asked_for_does_not_matter(tmp_path: Path) -> None:
    """A metric's value is the same whoever is measured beside it, damaged tail or not."""
    path = Path(ramp(tmp_path / "a.mp4", 30))
    noise = np.random.default_rng(0).integers(0, 255, (60, HEIGHT, WIDTH, 3), dtype=np.uint8)
    media.write_video(path, noise, 8)
    content = bytearray(path.read_bytes())
    for position in range(len(content) // 2, len(content) // 2 + 4000):
        content[position] ^= 0x5A
    path.write_bytes(content)
    early, late = Watcher(lambda _: [0, 1]), Watcher()

    alone = measure_all(EvalSample.of_video(str(path)), {"early": early}, Protocol())
    beside = measure_all(EvalSample.of_video(str(path)), {"early": early, "late": late}, Protocol())

    assert alone["early"] == beside["early"]
    assert isinstance(beside["late"], PermanentError)


def test_a_video_that_is_not_there_fails_all_its_metrics(tmp_path: Path) -> None:
    """One clear error for each row of the sample."""
    found = measure_all(EvalSample.of_video(str(tmp_path / "x.mp4")), {"a": Watcher()}, Protocol())

    assert isinstance(found["a"], InputError)


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """A pass over 150 MB of frames adds little to the process."""
    frame_1HWC = np.zeros((1, 640, 512, 3), np.uint8)  # 1 MB
    path = tmp_path / "a.mp4"
    media.write_video(path, np.broadcast_to(frame_1HWC, (20, 640, 512, 3)), 30)
    measure_all(EvalSample.of_video(str(path)), {"all": Watcher()}, Protocol())
    media.write_video(path, np.broadcast_to(frame_1HWC, (150, 640, 512, 3)), 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = measure_all(EvalSample.of_video(str(path)), {"all": Watcher(), "b": Watcher()}, LONG)

    assert value_of(found["all"]).num_frames == 180
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


@pytest.mark.parametrize("options", [{"name": "vbnch"}, {"decoder": "cv2"}, {"decoder": "decord"}])
def test_a_protocol_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    """Unknown names, and decord for upright frames, which it cannot give."""
    with pytest.raises(ConfigError):
        Protocol(**options)


def test_decord_gives_the_frames_that_it_is_named_for(tmp_path: Path) -> None:
    """The other decoder serves the same metrics, within its rounding."""
    pytest.importorskip("decord")
    watcher = Watcher()
    code_values_T = np.arange(40, 160, 20, dtype=np.uint8)
    frames = np.broadcast_to(code_values_T[:, None, None, None], (6, HEIGHT, 80, 3))
    media.write_video(tmp_path / "a.mp4", frames, 8)
    protocol = Protocol(name="vbench", decoder="decord")
    measure_all(EvalSample.of_video(str(tmp_path / "a.mp4")), {"watcher": watcher}, protocol)

    assert np.allclose(watcher.brightnesses[0], code_values_T, atol=3)


def test_what_decord_reads_wrongly_is_refused(tmp_path: Path) -> None:
    """At some widths decord mixes padding into the frame, which must not be scored."""
    pytest.importorskip("decord")
    protocol = Protocol(name="vbench", decoder="decord")
    found = measure_all(
        EvalSample.of_video(ramp(tmp_path / "a.mp4", 3)), {"a": Watcher()}, protocol
    )

    assert "48 pixels wide, which decord reads wrongly" in str(found["a"])


def test_fingerprints_tell_protocols_apart() -> None:
    """No two protocols are filed under the same words."""
    protocols = [
        Protocol(),
        Protocol(name="vbench"),
        LONG,
        Protocol(name="vbench", decoder="decord"),
        Protocol(name="vbench-long", decoder="decord"),
    ]

    assert len({protocol.fingerprint for protocol in protocols}) == len(protocols)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("empty.mp4", "is an empty file"),
        ("error_page.mp4", "is an HTML page"),
        ("bit_flips.mp4", "corrupt"),
        ("only_sound.mp4", "no video stream"),
        ("one_frame.mp4", 1),
        ("three_frames.mp4", 3),
        ("odd_vp9.webm", 96),
        ("turned.mp4", 96),
        ("dropped_frames.mp4", 96),
        ("edit_list.mp4", 96),
    ],
)
def test_hostile_videos(hostile_file: HostileFile, name: str, expected: str | int) -> None:
    """Each gives its frames, counted right before they come, or one clear reason."""
    watcher = Watcher()
    path = hostile_file(name)
    sample = EvalSample.of_video(str(path))
    outcome = measure_all(sample, {"watcher": watcher}, Protocol())["watcher"]

    if isinstance(expected, str):
        assert expected in str(outcome)
    else:
        assert (value_of(outcome).value, len(watcher.samples)) == (expected, 1)


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_a_rotated_video_is_turned_for_vbench_too(
    hostile_file: HostileFile, decoder: DecoderName
) -> None:
    """Its readers, decord and OpenCV, obey the display matrix as players do."""
    given = EvalSample.of_video(str(hostile_file("turned.mp4")))
    sizes = []
    for protocol in (Protocol(), Protocol(name="vbench", decoder=decoder)):
        watcher = Watcher()
        measure_all(given, {"watcher": watcher}, protocol)
        sizes.append((watcher.samples[0].width, watcher.samples[0].height))

    assert sizes == [(96, 160), (96, 160)]
