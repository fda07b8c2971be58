"""The other side of ``benchmarks.vbench_parity``: what the packages ``vbench`` and ``vbench2`` say.

Runs in an environment of those packages, without pfp: ``python vbench_reference.py WORK``. In WORK
lie ``task.json``, videos and weights; results go to ``results.json`` and to arrays beside it. A
part that this environment cannot run leaves its reason instead.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
import types
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

Task = dict[str, Any]


def main(work: Path) -> None:
    """Run every part, each on its own."""
    task = json.loads((work / "task.json").read_text())
    os.environ["VBENCH_CACHE_DIR"] = str(work / "cache")
    import torch
    import torchvision.io

    torch.set_num_threads(1)
    if not hasattr(torchvision.io, "write_video"):  # vbench2.utils imports it and needs it not
        torchvision.io.write_video = None
    results: dict[str, Any] = {"versions": _versions()}
    for part in PARTS:
        name = part.__name__.lstrip("_")
        try:
            results[name] = {"found": part(work, task)}
        except BaseException as error:  # noqa: BLE001 - the reason is the result
            results[name] = {"problem": f"{type(error).__name__}: {str(error).splitlines()[:1]}"}
    (work / "results.json").write_text(json.dumps(results))


def _versions() -> dict[str, str]:
    names = ("vbench", "vbench2", "torch", "torchvision", "decord", "opencv-python", "pyiqa")
    found = {}
    for name in (*names, "opencv-python-headless", "numpy", "timm", "openai-clip"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _frames_by_decord(work: Path, task: Task) -> int:
    """All frames of each video, as aesthetic and imaging quality read them."""
    import numpy as np
    from vbench.utils import load_video

    for name in task["videos"]:
        frames_TCHW = load_video(str(work / name))
        frames = frames_TCHW.permute(0, 2, 3, 1).numpy().astype(np.uint8)
        np.save(work / f"{name}.decord.npy", frames)
    return len(task["videos"])


def _frames_by_opencv(work: Path, task: Task) -> int:
    """The frames that dynamic degree looks at."""
    import numpy as np
    from vbench.dynamic_degree import DynamicDegree

    reader = DynamicDegree.__new__(DynamicDegree)
    reader.device = "cpu"
    for name in task["videos"]:
        frames = [frame[0].permute(1, 2, 0) for frame in reader.get_frames(str(work / name))]
        np.save(work / f"{name}.opencv.npy", np.stack([f.numpy() for f in frames]).astype(np.uint8))
    return len(task["videos"])


def _clarity(work: Path, task: Task) -> list[float]:
    """imaging_quality with the MUSIQ whose weights are there."""
    import torch
    from pyiqa.archs.musiq_arch import MUSIQ
    from vbench.imaging_quality import technical_quality

    model = MUSIQ(pretrained=False)
    model.load_state_dict(torch.load(work / "musiq-spaq/random", weights_only=True))
    model.training = False
    videos = [str(work / name) for name in task["videos"]]
    with torch.no_grad():
        found = technical_quality(model, videos, "cpu")[1]
    return [each["video_results"] for each in found]


def _dynamics(work: Path, task: Task) -> list[dict[str, Any]]:
    """dynamic_degree with the RAFT whose weights are there, and what it decides by."""
    import torch
    from easydict import EasyDict
    from vbench.dynamic_degree import DynamicDegree

    state = torch.load(work / "raft-large-c-t-v1/random", weights_only=True)
    renamed = {original_name(name): value for name, value in state.items()}
    torch.save(_with_aliases(renamed), work / "raft.pth")
    options = {"model": str(work / "raft.pth"), "small": False, "mixed_precision": False}
    metric = DynamicDegree(EasyDict(**options, alternate_corr=False), "cpu")
    found = []
    for name in task["videos"]:
        scores: list[float] = []
        check = metric.check_move

        def noted(pairs: list[float], check: Any = check, scores: list[float] = scores) -> Any:
            scores.extend(pairs)
            return check(pairs)

        with mock.patch.object(metric, "check_move", noted):
            moves = bool(metric.infer(str(work / name)))
        found.append({"moves": moves, "pairs": [float(score) for score in scores]})
    return found


def original_name(name: str) -> str:
    """What RAFT's authors call one of torchvision's tensors."""
    for theirs, ours in _RAFT_NAMES:
        name = name.replace(ours, theirs)
    return name


_RAFT_NAMES = (
    ("fnet.", "feature_encoder."),
    ("cnet.", "context_encoder."),
    ("update_block.encoder.", "update_block.motion_encoder."),
    ("update_block.gru.", "update_block.recurrent_block."),
    ("update_block.flow_head.", "update_block.flow_head."),
    ("update_block.mask.0.", "mask_predictor.convrelu.0."),
    ("update_block.mask.2.", "mask_predictor.conv."),
    ("conv1.", "convnormrelu1.0."),
    ("norm1.", "convnormrelu1.1."),
    ("conv2.", "convnormrelu2.0."),
    ("norm2.", "convnormrelu2.1."),
    ("conv1.", "convnormrelu.0."),
    ("norm1.", "convnormrelu.1."),
    *((f"conv{name}{n}.", f"convgru{n}.conv{name}.") for name in "zrq" for n in (1, 2)),
    *((f"convc{n}.", f"convcorr{n}.0.") for n in (1, 2)),
    *((f"convf{n}.", f"convflow{n}.0.") for n in (1, 2)),
    ("encoder.conv.", "encoder.conv.0."),
)


def _with_aliases(state: dict[str, Any]) -> dict[str, Any]:
    """The authors' own names, and the second names of the norms in a downsampling."""
    found = {}
    for name, value in state.items():
        is_last = name.startswith(("fnet.conv.", "cnet.conv."))  # the encoders' last convolution
        renamed = name.replace("net.conv.", "net.conv2.") if is_last else name
        found[renamed] = value
        if "downsample.1." in renamed:
            found[renamed.replace("downsample.1.", "norm3.")] = value
    return found


def _aesthetic(work: Path, task: Task) -> list[float]:
    """aesthetic_quality with CLIP ViT-L/14 and a head, both of the weights that are there."""
    import clip.model
    import torch
    from safetensors.torch import load_file
    from vbench.aesthetic_quality import laion_aesthetic

    model = clip.model.CLIP(768, 224, 24, 1024, 14, 77, 49408, 768, 12, 12).float()
    model.load_state_dict(load_file(work / "clip-vit-l-14/random"))
    head = torch.nn.Linear(768, 1)
    head.load_state_dict(torch.load(work / "aesthetic-v1/random", weights_only=True))
    found = laion_aesthetic(head, model, [str(work / task["short"])], "cpu")[1]
    return [each["video_results"] for each in found]


def _tokens(work: Path, task: Task) -> list[list[int]]:
    """A context of 32 tokens of each text."""
    from vbench.third_party.ViCLIP.simple_tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(str(work / "cache/ViCLIP/bpe_simple_vocab_16e6.txt.gz"))
    return [tokenizer.encode(text) for text in task["texts"]]


def _semantic(work: Path, task: Task) -> list[float]:
    """overall_consistency of one video and every text."""
    import torch
    from vbench.overall_consistency import overall_consistency
    from vbench.third_party.ViCLIP.simple_tokenizer import SimpleTokenizer
    from vbench.third_party.ViCLIP.viclip import ViCLIP

    tokenizer = SimpleTokenizer(str(work / "cache/ViCLIP/bpe_simple_vocab_16e6.txt.gz"))
    model = ViCLIP(tokenizer=tokenizer, pretrain=False)
    state = torch.load(work / "viclip-internvid-10m-flt/random", weights_only=True)["model"]
    absent = model.load_state_dict(state, strict=False)
    if set(absent.missing_keys) - {"temp"} or absent.unexpected_keys:
        raise ValueError(f"{absent}: other tensors than ViCLIP has")
    model.eval()
    video = str(work / task["short"])
    asked = [{"prompt": text, "video_list": [video]} for text in task["texts"][: task["asked"]]]
    found = overall_consistency(model, asked, tokenizer, "cpu")[1]
    return [each["video_results"] for each in found]


def _cloth(work: Path, task: Task) -> dict[str, Any]:
    """human_clothes with a judge that reads its answers off a list."""
    import numpy as np

    module = _with_stubs("vbench2.human_clothes", _LLAVA)
    video = str(work / task["short"])
    frames, times, seconds = module.load_video(video, 64, 1, force_sample=True)
    np.save(work / "cloth.npy", frames)
    scores = []
    for answers in task["answers"]:
        judge = _Scripted(answers)
        try:
            asked = [{"video_list": [video]}]
            scores.append(module.LLaVA_Video(asked, judge, judge, judge, "cpu")[1][0])
        except ZeroDivisionError:  # no valid video at all
            scores.append({"video_results": -1})
    results = [score["video_results"] for score in scores]
    return {"times": times, "seconds": seconds, "scores": results}


class _Scripted:
    """Model, tokenizer and image processor in one: shows nothing, says the next answer."""

    def __init__(self, answers: list[str]) -> None:
        self._answers = iter(answers)

    def preprocess(self, frames: Any, **_: Any) -> dict[str, Any]:
        """What can be sent nowhere."""
        pixels = mock.MagicMock()
        pixels.cuda.return_value.bfloat16.return_value = frames
        return {"pixel_values": pixels}

    def generate(self, *_: Any, **__: Any) -> None:
        """Nothing."""

    def batch_decode(self, *_: Any, **__: Any) -> list[str]:
        """The next answer."""
        return [next(self._answers)]


_LLAVA = "vbench2.third_party.LLaVA_NeXT.llava"
_STUBS = ("model.builder", "mm_utils", "constants", "conversation")


def _with_stubs(name: str, root: str) -> types.ModuleType:
    """A module whose model's code the wheel leaves out: stood in for, since nothing is asked."""
    stubs = {f"{root}.{stub}": mock.MagicMock() for stub in _STUBS}
    stubs |= {root: mock.MagicMock(), f"{root}.model": mock.MagicMock()}
    stubs[f"{root}.constants"].DEFAULT_IMAGE_TOKEN = "<image>"  # noqa: S105 - no secret
    with mock.patch.dict(sys.modules, stubs):
        return importlib.import_module(name)


def _instance(work: Path, task: Task) -> list[dict[str, Any]]:
    """The repository's detector with a judge that reads its answers off a list, if it is there."""
    folder = Path(task["checkout"] or "")
    place = folder / "VBench-2.0/vbench2/third_party"
    if not (place / "Instance_detector/test.py").is_file():
        raise FileNotFoundError("the package counts boxes; --checkout names the repository")
    sys.path.insert(0, str(place))
    os.chdir(work)  # it writes its windows where it stands
    swift = {name: mock.MagicMock() for name in ("swift", "swift.llm", "swift.tuners")}
    swift["swift.llm"].get_model_tokenizer.return_value = (None, None)
    with mock.patch.dict(sys.modules, swift):
        module = importlib.import_module("Instance_detector.test")
    found = []
    for name, answers in task["windows"]:
        said = iter(answers)
        asked: list[str] = []

        def infer(*_: Any, said: Any = said, asked: list[str] = asked) -> str:
            asked.append(next(said))
            return asked[-1]

        video = work / "a" / "b" / "c" / name  # the third last part is the model's name
        video.parent.mkdir(parents=True, exist_ok=True)
        if not video.exists():
            video.symlink_to(work / name)
        with mock.patch.object(module, "infer_lora", infer):
            score = module.compute_anomaly([{"video_list": [str(video)]}], "cpu", {"model": ""})[0]
        found.append({"num_asked": len(asked), "score": score})
    return found


def _films(work: Path, task: Task) -> list[dict[str, list[str]]]:
    """Digests of the first frames of each film, by both readers; none of one they cannot read."""
    del work
    return [
        {
            "decord": _digests(_by_decord, film, task["film_frames"]),
            "opencv": _digests(_by_opencv, film, task["film_frames"]),
        }
        for film in task["films"]
    ]


def _digests(read: Callable[[str], Iterator[Any]], film: str, count: int) -> list[str]:
    try:
        return [sha256(frame.tobytes()).hexdigest() for frame in islice(read(film), count)]
    except Exception:  # noqa: BLE001 - decord cannot read AV1, and says so in its own classes
        return []


def _by_decord(film: str) -> Iterator[Any]:
    import decord

    decord.bridge.set_bridge("native")
    reader = decord.VideoReader(film, num_threads=1)
    for _ in range(len(reader)):
        yield reader.next().asnumpy()


def _by_opencv(film: str) -> Iterator[Any]:
    import cv2

    capture = cv2.VideoCapture(film)
    while True:
        is_there, frame_bgr_HWC = capture.read()
        if not is_there:
            return
        yield cv2.cvtColor(frame_bgr_HWC, cv2.COLOR_BGR2RGB)


PARTS: tuple[Callable[[Path, Task], Any], ...] = (
    *(_frames_by_decord, _frames_by_opencv, _films, _tokens, _cloth, _instance),
    *(_clarity, _dynamics, _aesthetic, _semantic),
)

if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
