"""What the latents stage can be told, and the presets: each a function that returns it all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

from pfp.errors import ConfigError
from pfp.latents.preprocess import PreprocessSettings
from pfp.schema.latent import ITEM_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentsConfig:
    """Settings of the latents stage.

    ``vae`` and ``text_encoder`` are named as ``load_vae`` and ``load_text_encoder`` say: ``tiny``,
    or a name and a local folder (``wan21:/models/wan/vae``). ``device`` and ``dtype`` (None:
    float32) are those of both. Decoding a piece of a clip may take ``decode_timeout_seconds`` and
    ``decode_memory_bytes``. ``with_empty_prompt`` also embeds the empty prompt, which text dropout
    and guidance need. ``pooled_text_encoder`` (``clip_pooled:/models/hunyuan``) embeds the prompts
    a second time, into ``conditions_pooled/``: HunyuanVideo takes two conditions. Each of
    ``num_workers`` workers (None: as many as fit) has ``num_cpus`` and ``num_gpus`` and takes
    ``batch_size`` clips, or prompts, at a time.

    With ``num_decoders`` above 0 as many workers of one CPU each, on all machines together, decode
    clips and hand them whole to those that encode; these then take one clip at a time. A clip of
    more than ``handover_bytes`` decoded (37 s at 832 x 480 and 24 fps make 1 GiB) is not handed
    over: the encoding worker decodes it itself, in bounded memory. Latents are the same either way.

    What is stored is ``stored_dtype``: ``float16``, or ``int8`` for half the bytes at a cost that
    ``docs/latents.md`` gives. ``tiling`` cuts large frames into spatial tiles where memory asks for
    it. With ``clips_per_forward`` above 1 short clips of one shape are encoded together, as many of
    a batch at a time; that changes latents in their last bits, and with them the bytes of a table
    that was resumed.

    ``more_lr`` names further rates (``2x2x8``) whose LR copies of the same clips are wanted, each
    in a table of its own, ``latents_lr_2x2x8/``: two encoders at once need one each (section 4.5).
    """

    vae: str
    text_encoder: str
    preprocess: PreprocessSettings
    device: str = "cpu"
    dtype: str | None = None
    with_empty_prompt: bool = False
    decode_timeout_seconds: float = 120.0
    decode_memory_bytes: int = 2 << 30
    num_cpus: int = 1
    num_gpus: float = 0.0
    num_workers: int | None = None
    batch_size: int = 4
    num_decoders: int = 0
    handover_bytes: int = 1 << 30
    pooled_text_encoder: str | None = None
    stored_dtype: str = "float16"
    tiling: bool = False
    clips_per_forward: int = 1
    more_lr: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses limits that no clip could keep."""
        if self.num_cpus < 1:
            raise ConfigError(f"num_cpus is {self.num_cpus}; decoding and encoding need 1 or more")
        if self.decode_timeout_seconds <= 0 or self.decode_memory_bytes <= 0:
            raise ConfigError(
                f"decode_timeout_seconds {self.decode_timeout_seconds} and decode_memory_bytes "
                f"{self.decode_memory_bytes} must be above 0"
            )
        if self.num_decoders < 0 or self.handover_bytes < 1:
            raise ConfigError(
                f"num_decoders {self.num_decoders} and handover_bytes {self.handover_bytes} cannot "
                "be; give 0 or more decoders, and 1 byte or more"
            )
        if self.stored_dtype not in ITEM_BYTES:
            raise ConfigError(
                f"stored_dtype {self.stored_dtype!r} is unknown; give one of "
                f"{', '.join(ITEM_BYTES)}"
            )
        if self.clips_per_forward < 1 or (self.clips_per_forward > 1 and self.num_decoders):
            raise ConfigError(
                f"clips_per_forward is {self.clips_per_forward} with {self.num_decoders} decoders; "
                "give 1, or 1 or more without decoders, which hand over one clip at a time"
            )
        rates = [each.preprocess.lr_rate for each in (self, *self.lr_copies)]
        for rate in rates:
            if rates.count(rate) > 1:
                raise ConfigError(
                    f"the LR copy of rate {rate} is asked for twice; give other rates in more_lr"
                )

    @property
    def text_encoders(self) -> dict[str, str]:
        """The text encoder of each table of conditions: HunyuanVideo has a second, pooled one."""
        pooled = self.pooled_text_encoder
        return {
            "conditions": self.text_encoder,
            **({} if pooled is None else {"conditions_pooled": pooled}),
        }

    @property
    def lr_copies(self) -> tuple[Self, ...]:
        """The settings for each further LR copy."""
        return tuple(
            replace(self, preprocess=self.preprocess.with_lr_rate(rate), more_lr=())
            for rate in self.more_lr
        )

    def check_stride(self, spatial_stride: int) -> None:
        """A ``ConfigError`` if a VAE of that stride cannot encode HR or one of the LR videos."""
        for each in (self, *self.lr_copies):
            each.preprocess.check_stride(spatial_stride)


def demo() -> LatentsConfig:
    """The tiny VAE at 160 x 96 and 12 fps; a history window of 45 frames, 3.75 s, must fit."""
    return LatentsConfig(
        vae="tiny",
        text_encoder="tiny",
        preprocess=PreprocessSettings(fps=12.0, long_side=160, short_side=96, min_num_frames=45),
    )


def debug() -> LatentsConfig:
    """The demo with one worker and one clip at a time."""
    return replace(demo(), num_workers=1, batch_size=1)


def small() -> LatentsConfig:
    """The tiny VAE over some thousand clips of one's own: larger batches, more patience."""
    return replace(demo(), batch_size=32, decode_timeout_seconds=600.0)


def full() -> LatentsConfig:
    """The paper's (section 4.1): 20 s at 480 x 832 and 24 fps, 477 frames, 120 latents.

    The weights' folders must be given, for example ``--set vae=wan21:/models/wan/vae``. For the
    Wan 2.2 5B VAE also set ``preprocess.lr_factor=2``: its stride does not divide 120 rows.
    """
    return LatentsConfig(
        vae="wan21",
        text_encoder="umt5",
        preprocess=PreprocessSettings(fps=24.0, long_side=832, short_side=480, min_num_frames=477),
        device="cuda",
        dtype="bfloat16",
        with_empty_prompt=True,
        decode_timeout_seconds=600.0,
        num_cpus=4,
        num_gpus=1.0,
        num_decoders=4,
    )


PRESETS: Final = {"demo": demo, "debug": debug, "small": small, "full": full}
