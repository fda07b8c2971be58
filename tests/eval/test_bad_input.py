"""Every kind of bad input through ``pfp-eval run``, side by side with a good one.

One manifest holds a good video and all the bad ones, and is scored by all metrics but the heaviest
(``lpips_vgg``). Each bad one is to cost its own rows only, each with a reason that says what is
wrong, and where an input is only unusual it is to have its values.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from pfp.cli.eval import main
from pfp.eval.metrics import METRICS, identity, identity_vbench2, resolve
from pfp.eval.metrics.identity_vbench2 import Networks
from pfp.eval.networks.retinaface import FoundFaces
from pfp.eval.scores.runs import read_run
from pfp.io import media
from pfp.io.weights import Lock
from pfp.measures import clarity, flow
from pfp.schema import Failed, Kept, ScoreRecord
from tests.eval.small_weights import brightness, narrow_clip, no_flow, write_all
from tests.hostile_files import HostileFile
from tests.measures.face_networks import lock_of
from tests.vlm.openai_server import OpenAIServer, Reply, completion, error

HEIGHT, WIDTH, FPS = 128, 160, 4
NUM_GOOD = 24  # 6 s, which MAG-Bench needs, and over 20 frames, which VBench-2.0's identity needs
RED = (255, 40, 0)

WALKED = tuple(name for name in METRICS if name != "lpips_vgg")
MAG = tuple(name for name in WALKED if name.startswith("magbench."))
COMPARED = tuple(
    n for n in WALKED if "reference" in resolve(n).card.required_inputs and n not in MAG
)
FLOWS = ("dynamics.fixed", "dynamics.within_shots", "dynamics.magnitude", "flow_warp")
FACES = ("identity.vbench2", "identity.vbench2.fixed")
WINDOWS = ("instance.vbench2", "instance.fraction")
VALUE = "a value"
MAG_IS_SHORT = "MAG-Bench's history of {} frames at 16 fps leaves nothing to score of "
MAG_IS_SHORT += "a video of {} s; give one of 6 s or more"

RgbArray = npt.NDArray[np.uint8]
Scores = Mapping[str, Mapping[str, ScoreRecord]]


def scene(num_frames: int, height: int = HEIGHT, width: int = WIDTH) -> RgbArray:
    """A red square, to SCRFD's stand-in a face, on a dark field with a wave; (T, H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    frames = []
    for time in range(num_frames):
        level_HW1 = (10 + 9 * np.sin(x / 9 + y / 17 + time / 3))[..., None]
        frame_HWC = (level_HW1 * [1, 0.9, 0.8]).astype(np.uint8)
        frame_HWC[32:64, 32:64] = RED
        frames.append(frame_HWC)
    return np.stack(frames)


def noisy(frames_THWC: RgbArray) -> RgbArray:
    """The same with a little noise, another for each length: judges remember what they saw."""
    noise = np.random.default_rng(len(frames_THWC)).integers(-6, 6, frames_THWC.shape)
    return np.clip(frames_THWC + noise, 0, 255).astype(np.uint8)


def psnr_db(found_THWC: RgbArray, true_THWC: RgbArray) -> float:
    """The mean over frames, worked out once more."""
    errors = [np.mean((a - b) ** 2) for a, b in zip(1.0 * found_THWC, 1.0 * true_THWC, strict=True)]
    return float(np.mean([10 * math.log10(255**2 / mse) for mse in errors]))


def write(path: Path, frames_THWC: RgbArray) -> str:
    """The frames as a lossless file; its name."""
    media.write_video(path, frames_THWC, FPS, lossless=True)
    return path.name


def turn(path: Path) -> None:
    """Tell players to turn the frames by a quarter, as phones do: the matrix of ``tkhd``."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    quarter = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
    content[matrix : matrix + 36] = b"".join(v.to_bytes(4, signed=True) for v in quarter)
    path.write_bytes(content)


def make_uneven(path: Path, seconds: Sequence[float]) -> None:
    """The same frames at other times."""
    source = path.rename(path.with_name("even.mp4"))
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        stream = given.streams.video[0]
        made = output.add_stream_from_template(stream)
        made.time_base = stream.time_base
        packets = [packet for packet in given.demux(stream) if packet.pts is not None]
        for packet, start_seconds in zip(packets, seconds, strict=True):
            packet.pts = packet.dts = round(start_seconds / stream.time_base)
            packet.stream = made
            output.mux(packet)


class Cases:
    """The videos of the walk, and the lines of their manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[dict[str, Any]] = []
        self.psnr: dict[str, float] = {}
        self.num_frames: dict[str, int] = {}
        Image.fromarray(scene(1)[0]).save(folder / "face.png")
        (folder / "words.png").write_text("not an image")

    def add(self, name: str, video: str, true: RgbArray | None = None, **fields: Any) -> None:
        """A line; ``true`` are the frames of its reference. A field of None is left out."""
        line: dict[str, Any] = {"sample_id": name, "video": video, "group": name, "model": "m"}
        if true is not None:
            line["reference"] = write(self.folder / f"{name}.true.mp4", true)
        line |= {"prompt": "A red square moves.", "reference_faces": ["face.png"]}
        line["storyboard"] = self._storyboard(name)
        line |= fields
        self.lines.append({key: value for key, value in line.items() if value is not None})

    def video(
        self, name: str, true: RgbArray, shown: RgbArray | None = None, **fields: Any
    ) -> None:
        """A video that is nearly its reference; ``shown`` are its frames where they differ."""
        frames = noisy(true) if shown is None else shown
        path = self.folder / f"{name}.mp4"
        self.num_frames[name] = len(frames)
        if frames.shape == true.shape and fields.get("reference", "") is not None:
            self.psnr[name] = psnr_db(frames, true)
        self.add(name, write(path, frames), true, **fields)

    def _storyboard(self, name: str) -> str:
        """Two shots of the first half second and of the rest, whether or not there is one."""
        captions = {"A red square.": (0.0, 0.5), "It moves on.": (0.5, 6.0)}
        shots = [
            {"start_seconds": start, "end_seconds": end, "caption": caption}
            for caption, (start, end) in captions.items()
        ]
        path = self.folder / f"{name}.storyboard.json"
        path.write_text(json.dumps({"shots": shots}))
        return path.name

    def manifest(self, *names: str) -> Path:
        """The manifest of these cases, or of all."""
        lines = [line for line in self.lines if not names or line["sample_id"] in names]
        path = self.folder / f"{'-'.join(names) or 'all'}.jsonl"
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return path


def make_cases(folder: Path) -> Cases:
    """The good video and all the bad ones."""
    cases = Cases(folder)
    true = scene(3)
    cases.video("good", scene(NUM_GOOD))
    for count in (1, 2, 7):
        cases.video(f"frames-{count}", scene(count))
    cases.video("odd", scene(3, 131, 161))
    upright = noisy(true)
    cases.video("turned", true, np.rot90(upright, axes=(1, 2)))
    cases.psnr["turned"] = psnr_db(upright, true)
    turn(folder / "turned.mp4")
    cases.video("uneven", true)
    make_uneven(folder / "uneven.mp4", (0.0, 0.25, 1.5))
    cases.video("longer-reference", scene(4), noisy(true))
    cases.video("larger-reference", scene(3, 144, 176), noisy(true))
    nothing = dict.fromkeys(("reference", "prompt", "storyboard", "reference_faces"))
    cases.video("nothing-else", true, **nothing)
    cases.video("bad-face", true, reference_faces=["words.png"])
    latin = folder / "caf\udce9.mp4"
    latin.write_bytes((folder / "nothing-else.mp4").read_bytes())
    cases.add("latin", latin.name, true)
    cases.num_frames["latin"] = 3
    cases.psnr["latin"] = psnr_db(upright, true)
    whole = (folder / "good.mp4").read_bytes()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "words.mp4").write_bytes(b"this is no video at all\n" * 99)
    (folder / "half.mp4").write_bytes(whole[: len(whole) // 2])
    for name in ("empty", "words", "half"):
        cases.add(name, f"{name}.mp4", true)
    return cases


def one_face(_: RgbArray) -> FoundFaces:
    """What the detector of VBench-2.0 would see: one face, the square."""
    return FoundFaces(
        boxes_N4=np.array([[32.0, 32.0, 60.0, 60.0]]), scores_N=np.ones(1), num_outside=0
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lock]:
    """A weights folder for all that is walked, and its lock."""
    folder = tmp_path_factory.mktemp("weights")
    return folder, write_all(folder)


@contextmanager
def installed(folder: Path, lock: Lock) -> Iterator[pytest.MonkeyPatch]:
    """Weights that commands find, and that is all they find."""
    with pytest.MonkeyPatch.context() as patch, narrow_clip(folder):
        patch.setenv("PFP_WEIGHTS_DIR", str(folder))
        patch.setattr("pfp.io.weights.read_lock", lambda: lock)
        yield patch


def evaluate(
    manifest: Path, out: Path, *options: str, metrics: Sequence[str] = WALKED
) -> tuple[int, Scores]:
    """``pfp-eval run``: its exit status, and the rows by sample and metric."""
    status = main(
        ["run", str(manifest), "--out", str(out), "--metrics", ",".join(metrics), *options]
    )
    found: dict[str, dict[str, ScoreRecord]] = {}
    for record in read_run(out).scores:
        found.setdefault(record.sample_id, {})[record.metric.partition("@")[0]] = record
    return status, found


@dataclass(frozen=True, kw_only=True)
class Walk:
    """What came of the run of everything, and of that of the good video alone."""

    cases: Cases
    status: int
    scores: Scores
    alone: Scores


@pytest.fixture(scope="module")
def walk(weights: tuple[Path, Lock], tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Both runs, with a judge that says yes and networks that are small or stood in for."""
    folder = tmp_path_factory.mktemp("walk")
    cases = make_cases(folder)
    with installed(*weights) as patch:
        torch.set_num_threads(1)
        patch.setattr(flow, "load_raft", lambda *_, **__: torch.nn.Identity())
        patch.setattr(flow, "padded_flows", no_flow)
        patch.setattr(flow, "flows_both_ways", lambda *given: (no_flow(*given),) * 2)
        patch.setattr(clarity, "load_musiq", brightness)
        patch.setattr(identity, "MIN_SIDE", 20)
        networks = Networks(detect=one_face, embed=lambda _: np.ones(2, np.float32))
        patch.setattr(identity_vbench2, "load_networks", lambda *_, **__: networks)
        judge = ("--judge", "fake:always-yes", "--device", "cpu")
        status, scores = evaluate(cases.manifest(), folder / "run", *judge)
        _, alone = evaluate(cases.manifest("good"), folder / "alone", *judge)
    return Walk(cases=cases, status=status, scores=scores, alone=alone)


def expect(
    *changes: Mapping[str, str], mag: str = MAG_IS_SHORT.format(9, "0.75")
) -> dict[str, str]:
    """What each metric says of a short video: a value but for what it is too short for."""
    short = dict.fromkeys(FACES, "too_few_frames") | dict.fromkeys(WINDOWS, "too_short")
    found = dict.fromkeys(WALKED, VALUE) | short | dict.fromkeys(MAG, mag)
    for change in changes:
        found |= change
    return found


def all_of(names: Sequence[str], said: str) -> dict[str, str]:
    """They all say so."""
    return dict.fromkeys(names, said)


ONE_FRAME = all_of(FLOWS, "single_frame") | {"cloth.storyboard": "one_shot"}
SIZES = (
    "the video is 160x128 and its reference 176x144 pixels; generate it at the "
    "reference's size, or pass --align resize"
)
LENGTHS = (
    "the video has 3 frames and its reference 4; generate it again, frame for "
    "frame, or pass --align truncate"
)
NOTHING = all_of(COMPARED + MAG, "no reference video, add `reference` to the manifest") | {
    **all_of(
        [name for name in MAG if ".history." in name],
        "nothing to compare with, add `history` or `reference` to the manifest",
    ),
    "semantic": "no prompt, add `prompt` to the manifest",
    "semantic.storyboard": "no storyboard, add `storyboard` to the manifest",
    "cloth.storyboard": "no storyboard, add `storyboard` to the manifest",
    "identity.arcface.reference": "no reference faces, add `reference_faces` to the manifest",
}
BAD_FACE = "reference face <folder>/words.png cannot be read: cannot identify image "
DAMAGED = "the video: a packet cannot be decoded (Invalid data found when "
EXPECTED = {
    "good": all_of(WALKED, VALUE),
    "frames-1": expect(ONE_FRAME, mag=MAG_IS_SHORT.format(9, "0.25")),
    "frames-2": expect({"cloth.storyboard": "one_shot"}, mag=MAG_IS_SHORT.format(9, "0.50")),
    "frames-7": expect(mag=MAG_IS_SHORT.format(21, "1.75")),
    "odd": expect(),
    "turned": expect(),
    "uneven": expect(mag=MAG_IS_SHORT.format(21, "1.75")),
    "longer-reference": expect(all_of(COMPARED + MAG, LENGTHS)),
    "larger-reference": expect(all_of(COMPARED, SIZES)),
    "nothing-else": expect(NOTHING),
    "bad-face": expect(
        {"identity.arcface.reference": f"{BAD_FACE}file"},
    ),
    "latin": expect(),
    "empty": all_of(WALKED, "the video is an empty file, not a video"),
    "words": all_of(WALKED, "the video is a text file, not a video"),
    "half": all_of(
        WALKED, f"{DAMAGED}processing input); replace the file, or use a span before the damage"
    ),
}


def said(record: ScoreRecord, folder: Path) -> str:
    """The reason of a row, with the folder of the test left out."""
    if record.unscored_reason is None:
        return VALUE
    return record.unscored_reason.replace(f"file://{folder}", "<folder>").replace(
        str(folder), "<folder>"
    )


@pytest.mark.parametrize("sample", EXPECTED)
def test_each_input_has_its_values_or_a_clear_reason(walk: Walk, sample: str) -> None:
    """Under every metric, in the words that a user reads."""
    found = {name: said(row, walk.cases.folder) for name, row in walk.scores[sample].items()}

    assert EXPECTED[sample] == found


def test_the_run_ends_well_whatever_its_videos(walk: Walk) -> None:
    """Status 0, and a row for every sample and metric."""
    assert 0 == walk.status
    assert EXPECTED.keys() == walk.scores.keys()


def test_the_good_video_does_not_notice_the_bad_ones(walk: Walk) -> None:
    """Its rows are those of a run without them, evidence and all."""
    assert walk.alone["good"] == walk.scores["good"]


def test_no_value_is_invented(walk: Walk) -> None:
    """A row has a finite value in its metric's range from frames that are there, or a reason."""
    for sample, rows in walk.scores.items():
        for name, row in rows.items():
            assert (row.value is None) == (row.unscored_reason is not None)
            assert (row.value is not None) == isinstance(row.verdict, Kept)
            if row.value is None:
                continue
            card = resolve(name).card
            assert (-math.inf if card.low is None else card.low) <= row.value
            assert row.value <= (math.inf if card.high is None else card.high)
            # Cloth is shown 64 frames, some of them twice.
            most = walk.cases.num_frames[sample] if "cloth.vbench2" not in name else 64
            assert 0 <= (row.num_frames or 0) <= most


def test_unusual_videos_have_the_values_of_their_frames(walk: Walk) -> None:
    """Odd sides, a turned video and uneven times change nothing of what is compared."""
    values = {
        sample: rows["psnr"].value
        for sample, rows in walk.scores.items()
        if rows["psnr"].value is not None
    }

    assert values == pytest.approx(walk.cases.psnr, abs=1e-9)


def test_a_broken_face_file_costs_only_what_is_compared_with_it(walk: Walk) -> None:
    """Tracks need no reference; the evidence names the file."""
    row = walk.scores["bad-face"]["identity.arcface"]

    assert row.value == pytest.approx(1.0, abs=1e-3)
    (problem,) = json.loads(row.evidence or "")["bad_references"]
    assert "words.png cannot be read" in problem


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # VBench: round(4 n / 16) pairs must move, which of 2 frames is none, and of 1 all of none.
        ("dynamics", {"frames-1": 0.0, "frames-2": 1.0, "frames-7": 0.0}),
        ("dynamics.fixed", {"frames-1": None, "frames-2": 0.0, "frames-7": 0.0}),
        # VBench-2.0: a video without a window has no bad one, whatever the judge would say.
        ("instance.vbench2.compat", {"frames-1": 1.0, "frames-2": 1.0, "good": 0.0}),
        ("instance.vbench2", {"frames-1": None, "frames-2": None, "good": 0.0}),
    ],
)
def test_references_keep_their_faults_and_mended_forms_do_not(
    walk: Walk, name: str, expected: dict[str, float | None]
) -> None:
    """Of videos that stand still and a judge that says yes to everything."""
    assert expected == {sample: walk.scores[sample][name].value for sample in expected}


def test_semantic_repeats_the_last_of_too_few_frames(walk: Walk) -> None:
    """As VBench does: eight are looked at, of one frame eight times the same."""
    shown = {
        count: json.loads(walk.scores[f"frames-{count}"]["semantic"].evidence or "")["frames"]
        for count in (1, 2, 7)
    }

    assert {1: [0] * 8, 2: [0] + [1] * 7, 7: [0, 1, 2, 3, 4, 5, 6, 6]} == shown


def good_alone(folder: Path) -> Path:
    """The manifest of one good video."""
    cases = Cases(folder)
    cases.video("good", scene(NUM_GOOD))
    return cases.manifest()


def replace_weights(folder: Path, lock: Lock, content: bytes) -> Lock:
    """Another folder's files all replaced by the same bytes, under their right digests."""
    for name, entry in lock.items():
        (folder / name).mkdir()
        (folder / name / entry.file_name).write_bytes(content)
    return lock_of(folder, tuple(lock))


def foreign_network() -> bytes:
    """A file of tensors that no metric's network has."""
    file = io.BytesIO()
    torch.save({"nobody": torch.zeros(3)}, file)
    return file.getvalue()


# The weights' readers, each with what it says of bytes that are no network and of another network.
READ = {
    "lpips_alex": ("cannot be read as tensors only", "is not torchvision's AlexNet"),
    "clarity": ("cannot be read as tensors only", "is not MUSIQ trained on SPAQ"),
    "aesthetic": ("is not a safetensors file", "is not a safetensors file"),
    "dynamics": ("cannot be read as tensors only", "is not RAFT large"),
    "semantic": ("cannot be read as tensors only", "has no tensors under 'model'"),
    "identity.arcface": ("are not insightface's SCRFD and ArcFace",) * 2,
    "identity.vbench2": ("is not RetinaFace's resnet50",) * 2,
}


@pytest.mark.parametrize("kind", ["no network", "another network"])
def test_weights_that_are_no_network_are_told(
    weights: tuple[Path, Lock], tmp_path: Path, kind: str
) -> None:
    """By every reader of weights: one sentence, no number, and metrics without weights go on."""
    content = b"no network" if kind == "no network" else foreign_network()
    folder = tmp_path / "weights"
    folder.mkdir()
    with installed(folder, replace_weights(folder, weights[1], content)):
        status, scores = evaluate(good_alone(tmp_path), tmp_path / "run", metrics=(*READ, "psnr"))

    assert 0 == status
    assert scores["good"].pop("psnr").value is not None
    for name, row in scores["good"].items():
        assert row.value is None
        assert isinstance(row.verdict, Failed)
        assert not row.verdict.retryable
        assert READ[name][kind == "another network"] in row.verdict.message
        # One sentence: no list of hundreds of tensors, and no advice to unpickle all the same.
        assert len(row.verdict.message.replace(str(tmp_path), "")) < 400
        assert "weights_only" not in row.verdict.message


def test_weights_of_another_digest_are_told_before_the_run(
    weights: tuple[Path, Lock], tmp_path: Path
) -> None:
    """With the command that says more; nothing is loaded from them."""
    folder = tmp_path / "weights"
    folder.mkdir()
    replace_weights(folder, weights[1], b"no network")
    with installed(folder, weights[1]):
        _, scores = evaluate(good_alone(tmp_path), tmp_path / "run", metrics=(*READ, "psnr"))

    assert scores["good"].pop("psnr").value is not None
    for name, row in scores["good"].items():
        names = resolve(name).card.weights
        cures = ", ".join(f"`pfp weights verify {each}`" for each in names)
        assert f"weights missing or not usable, {cures}" == row.unscored_reason


QUESTIONS = (
    *("cloth.vbench2", "cloth.vbench2.compat"),
    *("instance.vbench2", "instance.vbench2.compat", "instance.fraction"),
)
YES = completion('{"answer": "yes"}')
BUSY = "127.0.0.1 is busy or broken"


def ask(
    manifest: Path, out: Path, server: OpenAIServer, *, timeout_seconds: float = 30.0
) -> dict[str, float | str | None]:
    """Values or reasons of the metrics that ask a server, and of one that does not."""
    options = f"max_attempts=2,retry_seconds=0.01,timeout_seconds={timeout_seconds}"
    judge = f"openai:m@{server.base_url}#{options}"
    status, scores = evaluate(manifest, out, "--judge", judge, metrics=(*QUESTIONS, "psnr"))
    assert 0 == status
    found = scores["good"]
    assert found.pop("psnr").value is not None
    return {name: row.unscored_reason or row.value for name, row in found.items()}


@pytest.mark.parametrize(
    ("reply", "expected", "recovers"),
    [
        (
            completion("The eyes are hazel."),
            # The references look for "yes", and find it in "eyes".
            ("judge_unparseable", 1.0, "judge_unparseable", 0.0, "judge_unparseable"),
            False,
        ),
        (
            completion(None, finish="content_filter"),
            # VBench-2.0 takes a window without an answer for a good one.
            ("judge_blocked", "judge_blocked", "judge_blocked", 1.0, "judge_blocked"),
            False,
        ),
        (error(429, "slow down"), (f"{BUSY} (429",) * 5, True),
        (error(500, "broken"), (f"{BUSY} (500",) * 5, True),
        (Reply(body=b"<html>"), ("127.0.0.1's response cannot be read",) * 5, True),
        (Reply(body=b"late", seconds=0.3), ("127.0.0.1 did not answer",) * 5, True),
        (error(400, "no images"), ("127.0.0.1 refused the request (400",) * 5, False),
    ],
    ids=["nonsense", "blocked", "429", "500", "no JSON", "silent", "refused"],
)
def test_a_judge_that_does_not_answer_is_no_no(
    tmp_path: Path,
    reply: Reply,
    expected: tuple[float | str, ...],
    *,
    recovers: bool,
) -> None:
    """Each way has its reason; what only busy servers say is asked again by the next run."""
    manifest = good_alone(tmp_path)
    with OpenAIServer() as server:
        server.script(reply)
        patience = 0.1 if reply.seconds else 30.0
        found = ask(manifest, tmp_path / "run", server, timeout_seconds=patience)
        num_asked = len(server.sent)
        server.script(YES)
        again = ask(manifest, tmp_path / "run", server)

    for name, wanted in zip(QUESTIONS, expected, strict=True):
        said = found[name]
        assert said == wanted or (isinstance(said, str) and said.startswith(str(wanted)))
        if recovers:
            assert again[name] == (1.0 if name.startswith("cloth") else 0.0)
        else:
            assert again[name] == said
    assert num_asked > 0


@pytest.mark.parametrize("status", [429, 500])
def test_a_judge_that_is_busy_for_a_moment_is_asked_again(tmp_path: Path, status: int) -> None:
    """The answer that comes in the end is the row's, and nobody notices."""
    with OpenAIServer() as server:
        server.script(error(status, "a moment", retry_after="0"), YES)
        found = ask(good_alone(tmp_path), tmp_path / "run", server)

    assert (1.0, 0.0) == (found["cloth.vbench2"], found["instance.vbench2"])


HOSTILE = {
    "empty.mp4": "the video is an empty file, not a video",
    "error_page.mp4": ("the video is an HTML page, not a video"),
    "without_index.mp4": (
        "the video cannot be read as a video (Invalid "
        "data found when processing input); the file is damaged"
    ),
    "no_samples.mp4": ("the video holds no frame that can be decoded"),
    "only_sound.mp4": ("the video has no video stream; give a file that has one"),
    "sound_with_cover.mp4": ("the video has no video stream; give a file that has one"),
    "huge.mp4": (
        "the video has 8192x8192 pixels per frame, more than the "
        "35389440 that are decoded; scale it down first"
    ),
    "pq.mp4": (
        "the video is HDR (PQ or HLG), which must not be read as SDR; tone-map it to BT.709"
    ),
    "one_frame.mp4": VALUE,
    "three_frames.mp4": VALUE,
    "tiny.mp4": VALUE,
    "turned.mp4": VALUE,
    "late_start.mp4": VALUE,
    "edit_list.mp4": VALUE,
}


@pytest.fixture(scope="module")
def hostile(either_file: HostileFile, tmp_path_factory: pytest.TempPathFactory) -> Scores:
    """The rows of the hostile clips, read where they lie, each beside itself."""
    folder = tmp_path_factory.mktemp("hostile")
    lines = [
        {"sample_id": name, "video": str(path), "reference": str(path)}
        for name in HOSTILE
        for path in [either_file(name)]
    ]
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    options = ("--judge", "fake:always-yes")
    metrics = ("psnr_global", "instance.vbench2.compat")
    status, scores = evaluate(manifest, folder / "run", *options, metrics=metrics)
    assert 0 == status
    return scores


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_clips_are_scored_or_told(
    hostile: Scores, either_file: HostileFile, name: str
) -> None:
    """All of a file's metrics say the same of it; one that is its own reference is identical."""
    folder = either_file(name).parent
    reasons = [row.unscored_reason for row in hostile[name].values()]

    assert [HOSTILE[name]] * 2 == [
        VALUE if reason is None else reason.replace(str(folder), "<clips>") for reason in reasons
    ]
    if HOSTILE[name] == VALUE:
        assert 100.0 == hostile[name]["psnr_global"].value
