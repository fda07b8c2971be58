"""pfp beside the packages ``vbench`` and ``vbench2``: the same videos, the same random weights.

    python -m venv /path/of/its/own
    /path/of/its/own/bin/pip install vbench==0.1.5
    /path/of/its/own/bin/pip install --no-deps vbench2==0.1.1
    python -m benchmarks.vbench_parity --python /path/of/its/own/bin/python [--checkout VBENCH]
        [--videos FOLDER] [--page docs/parity.md]

The packages pin versions that exclude pfp's, so their half (``vbench_reference.py``) runs in an
environment of theirs. Weights are random numbers of true size (3 GB, removed afterwards), since
what is compared is arithmetic. ``--checkout`` is the repository, which asks a judge about instances
where the package counts boxes; ``--videos`` are films whose first frames are compared bit for bit.
``--page`` puts the table into the page that `make parity` writes, under a heading of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import av
import numpy as np
import numpy.typing as npt

from benchmarks.eval_videos import FPS, waves
from benchmarks.eval_weights import LOCK, write_weights
from pfp.eval.judge import FramesQuestion, Judgement
from pfp.eval.judge.judge import read_answer
from pfp.eval.measure.engine import measure_all
from pfp.eval.measure.protocol import Protocol
from pfp.eval.metrics import Metric, MetricValue, resolve
from pfp.eval.metrics.cloth import ClothVBench2Compat, spread_frames
from pfp.eval.metrics.instance import InstanceVBench2Compat
from pfp.eval.metrics.judging import JudgedMetric
from pfp.io import media
from pfp.io.weights_lock import read_lock
from pfp.schema import EvalSample
from pfp.vlm import Answer
from tests.parity import BESIDE, Parity, with_section

METRICS: Final = ("clarity", "dynamics", "aesthetic", "semantic")
VIDEOS: Final = {  # turn in degrees, height and width as coded
    "wide.mp4": (0, 128, 192),
    "turned.mp4": (90, 128, 192),
    "large.mp4": (0, 360, 640),
}
SHORT: Final = "short.mp4"
NUM_FRAMES: Final = 12
NUM_FILM_FRAMES: Final = 72
ANSWERS: Final = ("Yes.", "no", "The eyes are shut.")
TEXTS: Final = (
    "A red kite climbs over the windy grey beach.",
    "A dog <|endoftext|> runs over a lawn while two children laugh.",
    "go " * 40,
    *("<start_of_text> a cat", "!!<|endoftext|>", "\u732b\u306f caf\u00e9 &amp;lt; it's 2 o'clock"),
)
NUM_ASKED: Final = 2  # of these texts, for ViCLIP's own embeddings
NO_IDENTITY: Final = (
    "identity: the wheel of vbench2 0.1.1 leaves out the modules of ArcFace and CoTracker that its "
    "human_identity imports"
)
VBENCH: Final = Protocol(name="vbench")
Found = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both sides and print the table."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="vbench-parity-") as folder:
        work = Path(folder)
        task = _write_task(work, options)
        theirs = _ask_reference(work, options.python)
        rows, problems = _compare(work, task, theirs)
    print("\n".join(_section(rows, problems, theirs["versions"])))
    if options.page is not None:
        page = options.page.read_text(encoding="utf-8") if options.page.is_file() else ""
        section = "\n".join(_section(rows, problems, theirs["versions"])) + "\n"
        options.page.write_text(with_section(page, section), encoding="utf-8")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--python", required=True, help="that of an environment with the packages")
    parser.add_argument("--checkout", type=Path, help="of github.com/Vchitect/VBench")
    parser.add_argument("--videos", type=Path, help="a folder of films")
    parser.add_argument("--page", type=Path, help="docs/parity.md")
    return parser.parse_args(arguments)


def _write_task(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Videos, weights, vocabulary and what is to be done, for both sides."""
    from open_clip.tokenizer import default_bpe

    for seed, (name, (turn, height, width)) in enumerate(VIDEOS.items()):
        _write_video(work / name, waves(NUM_FRAMES, height, width, seed=seed), turn)
    _write_video(work / SHORT, waves(8, 128, 192, seed=9), 0)
    _write_video(work / "long.mp4", waves(100, 32, 48, seed=8), 0)
    write_weights(work, METRICS, true_size=True)
    vocabulary = work / "cache/ViCLIP" / Path(default_bpe()).name
    vocabulary.parent.mkdir(parents=True)
    shutil.copyfile(default_bpe(), vocabulary)
    windows = itertools.product(("no", "eyes", "A."), repeat=3)
    films = sorted(map(str, options.videos.resolve().iterdir())) if options.videos else []
    task = {
        "videos": list(VIDEOS),
        "short": SHORT,
        "texts": TEXTS,
        "asked": NUM_ASKED,
        "answers": list(itertools.product(ANSWERS, repeat=3)),
        "windows": [("long.mp4", said) for said in windows],
        "checkout": None if options.checkout is None else str(options.checkout.resolve()),
        "films": films,
        "film_frames": NUM_FILM_FRAMES,
    }
    (work / "task.json").write_text(json.dumps(task), encoding="utf-8")
    return task


def _write_video(path: Path, frames: Iterator[npt.NDArray[np.uint8]], turn: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(FPS))
        stream.pix_fmt = "yuv420p"
        for number, frame_HWC in enumerate(frames):
            if not number:
                stream.height, stream.width = frame_HWC.shape[:2]
                stream.set_display_rotation(turn)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")))
        container.mux(stream.encode(None))


def _ask_reference(work: Path, python: str) -> dict[str, Any]:
    # From elsewhere: Python looks for modules beside a script, and here lies a statistics.py.
    script = shutil.copy(Path(__file__).with_name("vbench_reference.py"), work)
    subprocess.run([python, script, str(work)], check=True, stdout=sys.stderr)
    found: dict[str, Any] = json.loads((work / "results.json").read_text(encoding="utf-8"))
    return found


def _compare(work: Path, task: Found, theirs: Found) -> tuple[list[Parity], list[str]]:
    """A row for each comparison that could be made, and why others could not."""
    rows: list[Parity] = []
    problems: list[str] = []
    for part, compare in PARTS.items():
        if "problem" in theirs[part]:
            problems.append(f"{part}: {theirs[part]['problem']}")
            continue
        rows += compare(work, task, theirs[part]["found"])
    return rows, problems


def _row(
    metric: str, reference: str, difference: float, tolerance: float, unit: str = ""
) -> Parity:
    return Parity(
        metric=metric,
        reference=reference,
        tolerance=tolerance,
        difference=float(difference),
        unit=unit,
        test="benchmarks/vbench_parity.py",
    )


def _as_reference(path: str | Path) -> npt.NDArray[np.uint8]:
    return np.stack(list(media.iter_stored(path, reading="reference")))


def _off(ours: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8]) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.abs(ours.astype(np.int16) - theirs).max())


def _frames_by_decord(work: Path, task: Found, found: object) -> list[Parity]:
    del found
    off = [_off(_as_reference(work / n), np.load(work / f"{n}.decord.npy")) for n in task["videos"]]
    return [_row("protocol vbench", "vbench's load_video, all frames", max(off), 0, "code values")]


def _frames_by_opencv(work: Path, task: Found, found: object) -> list[Parity]:
    del found
    off = [
        _off(_as_reference(work / name)[::3], np.load(work / f"{name}.opencv.npy"))
        for name in task["videos"]
    ]
    said = "vbench's DynamicDegree.get_frames, every third of 24 fps"
    return [_row("protocol vbench", said, max(off), 0, "code values")]


def _films(work: Path, task: Found, found: Sequence[Found]) -> list[Parity]:
    del work
    differing = {"decord": 0, "opencv": 0}
    counted = {"decord": 0, "opencv": 0}
    for film, digests in zip(task["films"], found, strict=True):
        ours = [
            hashlib.sha256(np.ascontiguousarray(frame).data).hexdigest()
            for frame in itertools.islice(
                media.iter_stored(film, reading="reference"), task["film_frames"]
            )
        ]
        for reader in differing:
            pairs = list(zip(ours, digests[reader], strict=False))
            counted[reader] += len(pairs)
            differing[reader] += sum(our != their for our, their in pairs)
    return [
        _row(
            "protocol vbench",
            f"{reader}, {counted[reader]} frames of {len(found)} films",
            differing[reader],
            0,
            "frames that differ",
        )
        for reader in differing
    ]


def _tokens(work: Path, task: Found, found: list[list[int]]) -> list[Parity]:
    del work
    from pfp.eval.networks import clip_text

    differing = sum(clip_text.tokens_of(t) != f for t, f in zip(task["texts"], found, strict=True))
    return [_row("semantic", f"ViCLIP's tokens in vbench, {len(found)} texts", differing, 0)]


def _measured(work: Path, metric: str, video: str, prompt: str | None = None) -> MetricValue:
    """Ours, with the weights that the reference has."""
    with mock.patch.dict("os.environ", {"PFP_WEIGHTS_DIR": str(work)}):
        made: Metric = resolve(metric)(lock=read_lock(work / LOCK))
        given = EvalSample.of_video(str(work / video), prompt=prompt)
        outcome = measure_all(given, {metric: made}, VBENCH)[metric]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _clarity(work: Path, task: Found, found: list[float]) -> list[Parity]:
    off = [
        abs((_measured(work, "clarity", name).value or 0.0) - their)
        for name, their in zip(task["videos"], found, strict=True)
    ]
    return [_row("clarity", "vbench's technical_quality", max(off), 1e-4, "MOS")]


def _dynamics(work: Path, task: Found, found: list[Found]) -> list[Parity]:
    ours = [_measured(work, "dynamics", name) for name in task["videos"]]
    off = [
        np.abs(np.subtract(our.evidence["per_pair_px"], their["pairs"])).max()
        for our, their in zip(ours, found, strict=True)
    ]
    differing = sum(our.value != their["moves"] for our, their in zip(ours, found, strict=True))
    return [
        _row("dynamics", "vbench's DynamicDegree, pair by pair", max(off), 1e-3, "px"),
        _row("dynamics", "vbench's DynamicDegree, verdicts", differing, 0),
    ]


def _aesthetic(work: Path, task: Found, found: list[float]) -> list[Parity]:
    value = _measured(work, "aesthetic", task["short"]).value or 0.0
    return [_row("aesthetic", "vbench's laion_aesthetic", abs(value - found[0]), 1e-5)]


def _semantic(work: Path, task: Found, found: list[float]) -> list[Parity]:
    off = [
        abs((_measured(work, "semantic", task["short"], text).value or 0.0) - their)
        for text, their in zip(task["texts"], found, strict=False)
    ]
    return [_row("semantic", "vbench's overall_consistency", max(off), 1e-5)]


@dataclass
class _Scripted:
    """A judge that reads its answers off a list."""

    answers: Sequence[str]
    num_asked: int = 0
    model_id: str = "scripted"
    fingerprint: str = "scripted"

    def check_ready(self) -> None:
        """It is."""

    def ask(self, question: FramesQuestion) -> Judgement:
        """The next answer."""
        self.num_asked += 1
        said = Answer(backend="b", model="m", raw_text=self.answers[self.num_asked - 1])
        return read_answer(question, said)

    def close(self) -> None:
        """Nothing is held."""


def _judged(
    work: Path, kind: type[JudgedMetric], video: str, said: Sequence[str]
) -> tuple[float | None, int]:
    judge = _Scripted(said)
    given = EvalSample.of_video(str(work / video))
    outcome = measure_all(given, {"m": kind(judge=judge)}, VBENCH)["m"]
    assert isinstance(outcome, MetricValue), outcome
    return outcome.value, judge.num_asked


def _cloth(work: Path, task: Found, found: Found) -> list[Parity]:
    frames = _as_reference(work / task["short"])
    indices = spread_frames(len(frames))
    times = ",".join(f"{index / FPS:.2f}s" for index in indices)
    values = [_judged(work, ClothVBench2Compat, task["short"], said)[0] for said in task["answers"]]
    expected = [None if score == -1 else score for score in found["scores"]]
    name = "cloth.vbench2.compat"
    off = _off(frames[indices], np.load(work / "cloth.npy"))
    return [
        _row(name, "vbench2's load_video, 64 frames", off, 0, "code values"),
        _row(name, "vbench2's times of frames", times != found["times"], 0),
        _row(
            name,
            f"vbench2's scores of {len(values)} triples of answers",
            sum(ours != their for ours, their in zip(values, expected, strict=True)),
            0,
        ),
    ]


def _instance(work: Path, task: Found, found: list[Found]) -> list[Parity]:
    ours = [_judged(work, InstanceVBench2Compat, name, said) for name, said in task["windows"]]
    differing = sum(
        our != (their["score"], their["num_asked"]) for our, their in zip(ours, found, strict=True)
    )
    said = f"the repository's compute_anomaly, windows and {len(found)} triples of answers"
    return [_row("instance.vbench2.compat", said, differing, 0)]


PARTS: Final[Mapping[str, Callable[[Path, Found, Any], list[Parity]]]] = {
    "frames_by_decord": _frames_by_decord,
    "frames_by_opencv": _frames_by_opencv,
    "films": _films,
    "tokens": _tokens,
    "cloth": _cloth,
    "instance": _instance,
    "clarity": _clarity,
    "dynamics": _dynamics,
    "aesthetic": _aesthetic,
    "semantic": _semantic,
}


def _section(rows: Sequence[Parity], problems: Sequence[str], versions: Found) -> list[str]:
    """The part of the page, as Markdown."""
    installed = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        BESIDE,
        "",
        "Written by `python -m benchmarks.vbench_parity`: the original code in an environment of",
        "its own, with the same videos and the same random weights of true size as pfp, protocol",
        f"`vbench`. There: {installed}.",
        "",
        "| metric | compared with | tolerance | largest difference | unit |",
        "|---|---|---|---|---|",
        *(row.line().rpartition(" | `")[0] + " |" for row in sorted(rows)),
    ]
    lines += ["", "Not compared:", ""]
    return [*lines, *(f"- {problem}" for problem in (*problems, NO_IDENTITY))]


if __name__ == "__main__":
    main()
