"""The run directory, by which stages hand over: its tables, where each lies and what its rows are.

    videos/_measured           MeasuredRecord      ingest: what was measured about every file
    videos/_audio              AudioRecord         ingest: what was measured about their sound
    videos                     VideoRecord         ingest: what was decided about every file
    clips                      ClipRecord          ingest: the windows of those that are kept
    clips/_text                TextRecord          ingest: what was read in windows
    storyboards                StoryboardRecord    caption
    latents                    LatentRecord        latents
    latents_lr_<rate>          LatentRecord        latents: the LR copy for a further rate
    conditions                 ConditionRecord     latents: prompts, embedded
    conditions_pooled          ConditionRecord     latents: by HunyuanVideo's second encoder
    checkpoints/_index         CheckpointRecord    train: pretrained
    checkpoints/_finetuned     CheckpointRecord    train: finetuned
    checkpoints/_clips         lists of the clips trained on, each named by its digest
    generations                EvalSample          eval: samples, made or given
    scores                     ScoreRecord         eval
    shards/<i>-of-<n>          generations and scores of a part of a manifest

Names of folders and files beside a table's own begin with ``_``, so that readers of Parquet pass
over them. ``pfp.io.tables`` reads and writes tables: ``read_table(*run.clips)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from pfp.schema.audio import AudioRecord
from pfp.schema.checkpoint import CheckpointRecord
from pfp.schema.clip import ClipRecord
from pfp.schema.condition import ConditionRecord
from pfp.schema.eval_sample import EvalSample
from pfp.schema.latent import LatentRecord
from pfp.schema.measured import MeasuredRecord
from pfp.schema.record import Record
from pfp.schema.score import ScoreRecord
from pfp.schema.storyboard import StoryboardRecord
from pfp.schema.text import TextRecord
from pfp.schema.video import VideoRecord

LR_LATENTS_PREFIX: Final = "latents_lr_"
SHARDS_NAME: Final = "shards"
RECIPE_NAME: Final = "_recipe.yaml"  # beside videos: the recipe by which they were decided upon
# Of the videos that ``generations`` names, in the run directory: their URIs count from there.
VIDEOS_NAME: Final = "generations/_videos"

_R = TypeVar("_R", bound=Record)
_R_co = TypeVar("_R_co", bound=Record, covariant=True)


class TableLocation(NamedTuple, Generic[_R_co]):
    """A table's folder, here or in an object store, and the record of its rows."""

    path: str
    record: type[_R_co]


class RunDirectory:
    """The tables of a run. ``uri`` is a path or the URI of a folder in an object store.

    Nothing is read or created; whether a table is there, ``pfp.io.run_tables`` tells.
    """

    def __init__(self, uri: str | Path) -> None:
        self.uri: Final = str(uri).rstrip("/")
        self._tables: Final[dict[str, TableLocation[Record]]] = {}
        self.measured: Final = self._known("videos/_measured", MeasuredRecord)
        self.audio: Final = self._known("videos/_audio", AudioRecord)
        self.videos: Final = self._known("videos", VideoRecord)
        self.clips: Final = self._known("clips", ClipRecord)
        self.text: Final = self._known("clips/_text", TextRecord)
        self.storyboards: Final = self._known("storyboards", StoryboardRecord)
        self.latents: Final = self._known("latents", LatentRecord)
        self.conditions: Final = self._known("conditions", ConditionRecord)
        self.conditions_pooled: Final = self._known("conditions_pooled", ConditionRecord)
        self.pretrained: Final = self._known("checkpoints/_index", CheckpointRecord)
        self.finetuned: Final = self._known("checkpoints/_finetuned", CheckpointRecord)
        self.generations: Final = self._known("generations", EvalSample)
        self.scores: Final = self._known("scores", ScoreRecord)

    def _known(self, name: str, record: type[_R]) -> TableLocation[_R]:
        self._tables[name] = where = TableLocation(self.place(name), record)
        return where

    def place(self, name: str) -> str:
        """Where a folder or file of the run lies; an object store's ``?region=`` stays last."""
        if "://" not in self.uri:
            return f"{self.uri}/{name}"
        folder, query, region = self.uri.partition("?")
        return f"{folder.rstrip('/')}/{name}{query}{region}"

    def tables(self) -> dict[str, TableLocation[Record]]:
        """The tables that every run may have, by name, in the order of the stages."""
        return dict(self._tables)

    def table(self, name: str) -> TableLocation[Record]:
        """The table of that name, in a shard or of an LR copy too; ``KeyError`` if none has it."""
        if name.startswith(LR_LATENTS_PREFIX):
            return self.lr_latents(name.removeprefix(LR_LATENTS_PREFIX))
        if name.startswith(f"{SHARDS_NAME}/"):
            shard, _, own = name.removeprefix(f"{SHARDS_NAME}/").partition("/")
            return self.named_shard(shard).table(own)
        return self._tables[name]

    def lr_latents(self, rate: object) -> TableLocation[LatentRecord]:
        """The LR copy for a further rate, HxWxT."""
        return TableLocation(self.place(f"{LR_LATENTS_PREFIX}{rate}"), LatentRecord)

    def shard(self, number: int, num_shards: int) -> RunDirectory:
        """The run of a part of the manifest, the ``number``-th from 1."""
        return self.named_shard(f"{number}-of-{num_shards}")

    def named_shard(self, name: str) -> RunDirectory:
        """The same by the name of its folder, ``2-of-8``."""
        return RunDirectory(self.place(f"{SHARDS_NAME}/{name}"))

    @property
    def recipe_path(self) -> str:
        """The recipe by which videos and clips were decided upon, as YAML."""
        return self.place(f"videos/{RECIPE_NAME}")

    @property
    def checkpoints_path(self) -> str:
        """The folder with a folder of weights for each checkpoint."""
        return self.place("checkpoints")

    @property
    def clip_lists_path(self) -> str:
        """The folder of the lists of clips that checkpoints were trained on."""
        return self.place("checkpoints/_clips")

    @property
    def videos_path(self) -> str:
        """The folder of the videos that ``generations`` names."""
        return self.place(VIDEOS_NAME)
