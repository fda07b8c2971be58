"""``pfp generate``: a video from a storyboard, by a trained checkpoint."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pfp.errors import InputError, SchemaError
from pfp.generate.settings import SCHEDULERS, SIGMAS, GenerateSettings

if TYPE_CHECKING:
    from pfp.schema.storyboard import CaptionedShot


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``generate`` to the parser of ``pfp``."""
    parser = commands.add_parser(
        "generate",
        help="make a video from a storyboard",
        description="Make a video from a storyboard, section by section. The file can be watched "
        "while it grows; the same command again resumes an interrupted one.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--storyboard", required=True, metavar="FILE.json")
    parser.add_argument(
        "--checkpoint", required=True, metavar="DIR", help="as pipelines/train saves it"
    )
    parser.add_argument("--out", required=True, metavar="FILE.mp4")
    parser.add_argument("--history", metavar="VIDEO", help="continue this video from its end")
    _add_parts(parser)
    _add_video(parser)
    _add_sampling(parser)
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument(
        "--offload",
        action="store_true",
        help="keep the blocks in CPU memory and copy one at a time to the GPU: slower, less memory",
    )
    parser.add_argument(
        "--keep-state", action="store_true", help="keep FILE.mp4.state when the video is complete"
    )


def _add_parts(parser: argparse.ArgumentParser) -> None:
    parts = parser.add_argument_group("weights", "tiny checkpoints need none of these")
    parts.add_argument("--base", metavar="DIR", help="the base's transformer")
    parts.add_argument("--vae", metavar="NAME[:DIR]", help="the VAE of the checkpoint's latents")
    parts.add_argument(
        "--text-encoder", metavar="NAME[:DIR]", help="of the base; DIR is the pipeline's folder"
    )
    parts.add_argument("--ema", action="store_true", help="the averaged weights, DIR/ema")


def _add_video(parser: argparse.ArgumentParser) -> None:
    video = parser.add_argument_group("the video", "by default what suits the checkpoint's base")
    video.add_argument("--size", metavar="HxW", help="in pixels, for example 480x832")
    video.add_argument("--fps", type=float, help="frames a second")
    video.add_argument("--seconds", type=float, help="default: to the storyboard's end")
    video.add_argument(
        "--section-latents", type=int, metavar="N", help="latent frames sampled at once"
    )


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    sampling = parser.add_argument_group("sampling", "by default what suits the checkpoint's base")
    sampling.add_argument("--scheduler", choices=SCHEDULERS)
    sampling.add_argument(
        "--sigmas", choices=SIGMAS, help="of euler: the scheduler's own, or evenly down to 0"
    )
    sampling.add_argument("--steps", type=int, metavar="N", help="sampler steps for a section")
    sampling.add_argument("--shift", type=float, help="spend steps at high noise; 1: evenly")
    sampling.add_argument("--guidance", type=float, metavar="SCALE", help="by text; 1: none")
    sampling.add_argument("--negative-prompt", default="", metavar="TEXT")
    sampling.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")


def run(arguments: argparse.Namespace) -> int:
    """Make the video; raises a ``PfpError`` with the cure when something is wrong."""
    settings = _settings(arguments)
    shots = _read_shots(Path(arguments.storyboard))
    out = _checked_out(Path(arguments.out))
    from pfp.generate.video import generate_video
    from pfp.latents.preprocess import downscale
    from pfp.runtime import ConsoleProgress

    with ConsoleProgress().counting("sampling", "steps") as count:
        made = generate_video(
            shots, Path(arguments.checkpoint), out, settings, shrink=downscale, progress=count
        )
    reused = f", {made.num_reused} of them from an earlier run" if made.num_reused else ""
    print(f"{made.path}: {made.num_frames} frames in {made.num_sections} sections{reused}")
    if made.reencode_reason is not None:
        print(f"the whole memory was encoded again for every section: {made.reencode_reason}")
    return 0


def _settings(arguments: argparse.Namespace) -> GenerateSettings:
    names = (
        *("history", "base", "vae", "text_encoder", "fps", "seconds", "section_latents"),
        *("scheduler", "sigmas", "shift", "negative_prompt", "seed"),
        *("device", "offload", "ema", "keep_state"),
    )
    return GenerateSettings(
        **{name: getattr(arguments, name) for name in names},
        num_steps=arguments.steps,
        guidance_scale=arguments.guidance,
        size=None if arguments.size is None else _size(arguments.size),
    )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise InputError(f"--size is {text!r}; write HEIGHTxWIDTH in pixels, for example 480x832")
    return int(match[1]), int(match[2])


def _read_shots(path: Path) -> list[CaptionedShot]:
    """The storyboard's shots; whatever is wrong with the file is one sentence with its name."""
    from pfp.caption.storyboard import Storyboard
    from pfp.io.files import read_file
    from pfp.limits import MAX_ANSWER_LENGTH

    try:
        text = read_file(path, MAX_ANSWER_LENGTH).decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give a storyboard's JSON file"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; give a storyboard's JSON file") from error
    try:
        return Storyboard.from_json(text).to_rows()
    except SchemaError as error:
        raise SchemaError(
            f"{path} cannot be used: {error}; docs/generation.md shows a storyboard"
        ) from error


def _checked_out(out: Path) -> Path:
    if out.suffix.lower() != ".mp4":
        raise InputError(f"--out is {str(out)!r}; give a name that ends in .mp4")
    if not out.parent.is_dir():
        raise InputError(f"--out is in {out.parent}, which is no folder; make it first")
    return out
