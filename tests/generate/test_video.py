"""A storyboard to a video file: what is made, ended anywhere and resumed, and refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pfp.errors import ConfigError, InputError, PfpError, SchemaError, WeightsError
from pfp.generate import video as video_module
from pfp.generate.growing_mp4 import GrowingMp4
from pfp.generate.plan import section_seed
from pfp.generate.request import make_request
from pfp.generate.rollout import Rollout
from pfp.generate.settings import GenerateSettings
from pfp.generate.state import State
from pfp.generate.video import GeneratedVideo, generate_video
from pfp.io.digests import sha256_file
from pfp.io.media import read_video, write_video
from pfp.latents.preprocess import downscale
from pfp.models.memory.dit import MemoryDiT
from pfp.models.tiny_names import variant_folder

SHOTS = [
    {"start_seconds": 0.0, "end_seconds": 1.5, "caption": "A red ball rolls."},
    {"start_seconds": 1.5, "end_seconds": 3.0, "caption": "It stops."},
]
SMALL = {"size": (32, 64), "num_steps": 2}  # 36 frames: sections of 9, 8, 8, 8 and 3


def make(
    out: Path,
    *,
    checkpoint: Path | None = None,
    shots: Any = SHOTS,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> GeneratedVideo:
    """A small video of the shipped variant."""
    return generate_video(
        shots,
        checkpoint or variant_folder("proposed"),
        out,
        GenerateSettings(**{**SMALL, **settings}),
        shrink=downscale,
        progress=progress,
    )


@pytest.fixture(autouse=True, scope="module")
def models_once() -> Iterator[None]:
    """A checkpoint that was loaded already is not loaded again: what is tested here is the run."""
    loaded = cache(MemoryDiT.from_pretrained)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryDiT, "from_pretrained", loaded)
        yield


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that was made in one go."""
    out = tmp_path_factory.mktemp("uninterrupted") / "v.mp4"
    make(out)
    return out


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Two seconds of a moving ramp at 24 frames a second, 64 x 32."""
    ramp = np.add.outer(np.arange(32), np.arange(64))
    frames = [np.stack([(ramp * 2 + 4 * k) % 256] * 3, axis=-1) for k in range(48)]
    path = tmp_path / "history.mp4"
    write_video(path, np.stack(frames).astype(np.uint8), 24.0)
    return path


class PowerCut(BaseException):
    """The process ends here, without a word; nothing in pfp catches it."""


def cut(*_: Any, **__: Any) -> None:
    """What is called instead of a step that the process did not live to see."""
    raise PowerCut


def test_the_video_is_as_long_as_the_storyboard(uninterrupted: Path) -> None:
    """36 frames of the size asked for, which are not all the same."""
    frames_FHWC = read_video(uninterrupted)

    assert (36, 32, 64, 3) == frames_FHWC.shape
    assert frames_FHWC.std(axis=0).mean() > 1


def test_the_record_tells_what_made_it(uninterrupted: Path) -> None:
    """Beside the video: the digests, the settings, and each section's prompt, frames and seed."""
    record = json.loads((uninterrupted.parent / "v.mp4.json").read_text())

    assert sha256_file(uninterrupted) == record["video_sha256"]
    assert "proposed" == record["made_with"]["config"]["variant"]
    assert 2 == record["made_with"]["sampler"]["num_steps"]
    prompts = ["A red ball rolls."] * 3 + ["It stops."] * 2
    told = [(s["first_frame"], s["prompt"], s["seed"]) for s in record["sections"]]
    assert told == [
        (first, prompt, section_seed(0, number))
        for number, (first, prompt) in enumerate(zip((0, 9, 17, 25, 33), prompts, strict=True))
    ]


def test_the_state_goes_when_the_video_is_complete(uninterrupted: Path) -> None:
    """Only the video and its record are left."""
    names = {path.name for path in uninterrupted.parent.iterdir()}

    assert {"v.mp4", "v.mp4.json"} == names


@pytest.mark.parametrize(
    "when",
    [
        (video_module, "write_video", 2),
        (State, "save_section", 0),
        (GrowingMp4, "append", 3),
        (video_module, "_write_record", 0),
        (State, "remove", 0),
    ],
)
def test_a_run_that_ended_anywhere_goes_on_to_the_same_bytes(
    tmp_path: Path,
    uninterrupted: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: tuple[Any, str, int],
) -> None:
    """Cut before each kind of step; video and record are those of the uninterrupted run."""
    owner, step, calls_before = when
    real, calls = getattr(owner, step), []

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(step)
        return (cut if len(calls) > calls_before else real)(*args, **kwargs)

    monkeypatch.setattr(owner, step, counted)
    out = tmp_path / "v.mp4"
    with pytest.raises(PowerCut):
        make(out)
    monkeypatch.undo()
    done: list[tuple[int, int]] = []

    made = make(out, progress=lambda *count: done.append(count))

    assert uninterrupted.read_bytes() == out.read_bytes()
    assert (uninterrupted.parent / "v.mp4.json").read_bytes() == made.record_path.read_bytes()
    assert [(2 * made.num_reused, 10), (10, 10)] == [done[0], done[-1]]


def test_an_ended_run_leaves_a_video_of_what_it_made(
    tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two sections and a half the first two can be watched, as they will stay."""
    real, calls = Rollout.sample, []

    def twice(self: Rollout, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return (cut if len(calls) > 2 else real)(self, *args, **kwargs)

    monkeypatch.setattr(Rollout, "sample", twice)
    with pytest.raises(PowerCut):
        make(tmp_path / "v.mp4")

    assert np.array_equal(read_video(uninterrupted)[:17], read_video(tmp_path / "v.mp4"))


def test_other_settings_do_not_go_on_from_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what differs and what to do."""
    monkeypatch.setattr(GrowingMp4, "finish", cut)
    out = tmp_path / "v.mp4"
    with pytest.raises(PowerCut):
        make(out)

    with pytest.raises(InputError) as raised:
        make(out, seed=1)
    assert (
        f"{out}.state was begun with seed 0, not 1; give another output, or delete it to begin "
        "again"
    ) == str(raised.value)


def test_a_complete_video_is_not_made_again(tmp_path: Path, uninterrupted: Path) -> None:
    """The same request is done at once; another one is refused; a foreign file is never touched."""
    for name in ("v.mp4", "v.mp4.json"):
        shutil.copy(uninterrupted.parent / name, tmp_path / name)
    out = tmp_path / "v.mp4"

    made = make(out)
    assert (5, 5, 36) == (made.num_sections, made.num_reused, made.num_frames)
    with pytest.raises(InputError, match=r"exists and was made with another sampler; give another"):
        make(out, num_steps=3)
    (tmp_path / "v.mp4.json").unlink()
    with pytest.raises(InputError, match="exists and was not made by this command; give another"):
        make(out)
    assert uninterrupted.read_bytes() == out.read_bytes()


def test_a_history_is_gone_on_from(tmp_path: Path, history: Path) -> None:
    """Another history gives another video, of what was generated alone; a resumed one the same."""
    plain, cut_off = tmp_path / "a.mp4", tmp_path / "b.mp4"
    made = make(plain, history=str(history), seconds=1.0)
    frames_FHWC = read_video(plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "save_section", cut)
        with pytest.raises(PowerCut):
            make(cut_off, history=str(history), seconds=1.0)
    make(cut_off, history=str(history), seconds=1.0)

    assert (12, 2) == (made.num_frames, made.num_sections)
    assert plain.read_bytes() == cut_off.read_bytes()
    ramp: NDArray[np.uint8] = read_video(history)[-1]
    assert _correlation(ramp, frames_FHWC[0]) > 0.5


def _correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_guidance_unipc_and_the_seed_reach_the_sampler(tmp_path: Path, uninterrupted: Path) -> None:
    """Each alone changes the first section."""
    first = read_video(uninterrupted)[:9]
    changes: list[dict[str, Any]] = [
        {"seed": 1},
        {"scheduler": "unipc"},
        {"guidance_scale": 3.0},
        {"shift": 1.0},
    ]
    for number, changed in enumerate(changes):
        out = tmp_path / f"{number}.mp4"
        make(out, seconds=0.75, **changed)
        assert not np.array_equal(first, read_video(out)), changed


def test_averaged_weights_are_taken_from_their_folder(tmp_path: Path, uninterrupted: Path) -> None:
    """``ema`` beside the checkpoint's own; without it the sentence names the folder."""
    checkpoint = tmp_path / "variant"
    shutil.copytree(variant_folder("only_lr"), checkpoint)
    with pytest.raises(WeightsError, match=r"variant/ema/config\.json does not exist"):
        make(tmp_path / "v.mp4", checkpoint=checkpoint, ema=True)
    shutil.copytree(variant_folder("proposed"), checkpoint / "ema")

    make(tmp_path / "v.mp4", checkpoint=checkpoint, ema=True)

    assert uninterrupted.read_bytes() == (tmp_path / "v.mp4").read_bytes()


def test_what_the_checkpoint_was_trained_with_is_taken_over(tmp_path: Path) -> None:
    """Its shift and its number of text tokens go before the family's; settings go before both."""
    described = json.loads((variant_folder("proposed") / "config.json").read_text())
    described |= {"num_text_tokens": 7, "objective": {"shift": 4.5}}
    (tmp_path / "config.json").write_text(json.dumps(described))

    request = make_request(SHOTS, tmp_path, GenerateSettings())
    asked = make_request(SHOTS, tmp_path, GenerateSettings(shift=2.0))

    assert (7, 4.5, 2.0) == (request.num_text_tokens, request.sampler.shift, asked.sampler.shift)


def test_a_checkpoint_of_another_vae_is_refused(tmp_path: Path) -> None:
    """Before the model is loaded, and nothing is left behind."""
    checkpoint = tmp_path / "variant"
    shutil.copytree(variant_folder("proposed"), checkpoint)
    described = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**described, "vae_sha256": "0" * 64}))

    with pytest.raises(WeightsError, match=r"was trained on latents of VAE 000.* not of tiny"):
        make(tmp_path / "v.mp4", checkpoint=checkpoint)
    assert [checkpoint] == list(tmp_path.iterdir())


def test_a_damaged_state_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the file and the folder to delete."""
    monkeypatch.setattr(GrowingMp4, "finish", cut)
    out = tmp_path / "v.mp4"
    with pytest.raises(PowerCut):
        make(out)
    section = tmp_path / "v.mp4.state" / "section-00001.safetensors"
    section.write_bytes(section.read_bytes()[:100])

    with pytest.raises(SchemaError, match=r"section-00001\.safetensors is damaged; delete"):
        make(out)


def test_one_video_is_made_by_one_process(tmp_path: Path) -> None:
    """The second is told who has it."""
    state = State(tmp_path / "v.mp4")
    with (
        state.held({"seed": 0}),
        pytest.raises(InputError, match="is being written by process"),
        State(tmp_path / "v.mp4").held({"seed": 0}),
    ):
        pass


def test_a_history_without_a_whole_token_is_refused(tmp_path: Path) -> None:
    """Nine frames make the first whole token of 4x4x2; the sentence counts them."""
    path = tmp_path / "short.mp4"
    write_video(path, np.zeros((8, 32, 64, 3), np.uint8), 12.0)

    with pytest.raises(InputError, match=r"has 8 frames at 12 fps and a history needs 9; give"):
        make(tmp_path / "v.mp4", history=str(path))


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"size": (90, 160)}, ConfigError, "90 pixels of 90x160 are no multiple of 8"),
        ({"size": (40, 64)}, ConfigError, "rate 4x4x2 .* asks for an LR video of 10x16"),
        ({"size": (16, 16)}, ConfigError, "is smaller than one token at 4x4x2"),
        ({"section_latents": 3}, ConfigError, "section_latents 3 is no multiple .* give 2 or 4"),
        ({"section_latents": 0}, ConfigError, "section_latents is 0; give 1 or more"),
        ({"seconds": -1.0}, ConfigError, "seconds is -1; give a positive number"),
        ({"seconds": 0.01}, ConfigError, "0.01 seconds at 12 fps are no frame"),
        ({"fps": float("nan")}, ConfigError, "fps is nan; give a positive number"),
        ({"seed": -1}, ConfigError, "seed is -1; give 0 or more"),
        ({"offload": True}, ConfigError, "offload keeps weights off a GPU, and device is cpu"),
        ({"num_steps": 0}, ConfigError, "num_steps is 0; give 1 or more"),
        ({"vae": "wan21:/x"}, ConfigError, "the vae of .* is tiny, and 'wan21:/x' is another"),
        ({"history": "/nowhere.mp4"}, InputError, "/nowhere.mp4 cannot be read"),
        ({"device": "tpu9"}, ConfigError, "there is no device 'tpu9'; give cpu or cuda"),
        ({"shots": []}, InputError, "the storyboard has no shots; give it at least one"),
        (
            {"shots": [{"start_seconds": 2.0, "end_seconds": 1.0, "caption": "x"}]},
            InputError,
            "shot 0 of the storyboard lasts from 2 to 1 s; give times from 0 on",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(
    tmp_path: Path, settings: Any, error: type[PfpError], sentence: str
) -> None:
    """With the value and the cure, and without a trace on the disk."""
    with pytest.raises(error, match=sentence):
        make(tmp_path / "v.mp4", **settings)
    assert [] == list(tmp_path.iterdir())


def test_a_large_base_needs_to_be_named(tmp_path: Path) -> None:
    """Its weights are no part of the checkpoint, and neither are its VAE's."""
    checkpoint = tmp_path / "variant"
    checkpoint.mkdir()
    described = {"variant": "proposed", "rate": "2x2x2", "base": "wan22_5b"}
    (checkpoint / "config.json").write_text(json.dumps(described))

    with pytest.raises(ConfigError, match=r"is trained on wan22_5b.* give base"):
        make(tmp_path / "v.mp4", checkpoint=checkpoint, size=(64, 64))
    with pytest.raises(ConfigError, match="is wan22_5b, and none is given; write wan22_5b:FOLDER"):
        make(tmp_path / "v.mp4", checkpoint=checkpoint, base="/x", size=(128, 128))
