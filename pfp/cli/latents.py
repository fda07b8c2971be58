"""``pfp latents``: look at what the latents stage made."""

from __future__ import annotations

import argparse


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``latents`` with its commands to the parser of ``pfp``."""
    parser = commands.add_parser("latents", help="look at the latents of a clip")
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(dest="latents_command", required=True, metavar="COMMAND")
    show = actions.add_parser(
        "show", help="decode a clip's latents beside its source: a video, and the PSNR"
    )
    show.add_argument("clip", metavar="CLIP", help="clip id, its beginning, or part of a path")
    show.add_argument("--run", dest="directory", default="runs/demo", help="run directory")
    show.add_argument("--out", metavar="FILE.mp4", help="default: RUN/shown/CLIP_ID.mp4")
    show.add_argument(
        "--vae", metavar="NAME:FOLDER", help="the VAE that made the latents (default: tiny)"
    )
    show.add_argument("--device", default="cpu", help="where to decode: cpu (default) or cuda")


def run(arguments: argparse.Namespace) -> int:
    """Show one clip; raises a ``PfpError`` with the cure when something is wrong."""
    from pfp.latents.show import show

    shown = show(
        arguments.clip,
        arguments.directory,
        out=arguments.out,
        vae=arguments.vae,
        device=arguments.device,
    )
    record = shown.record
    worst = int(shown.psnr_F.argmin())
    seconds = worst / (record.fps or 1.0)
    print(
        f"{record.clip_id}: {len(shown.psnr_F)} frames of {record.width} x {record.height} at "
        f"{record.fps:g} fps, VAE {record.vae_id}"
    )
    print(
        f"PSNR {shown.psnr_F.mean():.2f} dB, mean over frames; worst {shown.psnr_F[worst]:.2f} dB, "
        f"frame {worst} ({seconds:.2f} s)"
    )
    print(f"{shown.path}: {shown.layout}")
    return 0
