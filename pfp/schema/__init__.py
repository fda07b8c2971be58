"""What lies on disk: one record type per file, each with its Arrow schema and version."""

from pfp.schema.audio import AudioRecord as AudioRecord
from pfp.schema.checkpoint import CheckpointRecord as CheckpointRecord
from pfp.schema.clip import ClipRecord as ClipRecord
from pfp.schema.condition import ConditionRecord as ConditionRecord
from pfp.schema.eval_sample import EvalSample as EvalSample
from pfp.schema.eval_sample import Shot as Shot
from pfp.schema.latent import LatentRecord as LatentRecord
from pfp.schema.measured import MeasuredRecord as MeasuredRecord
from pfp.schema.record import Record as Record
from pfp.schema.record import failed_verdict as failed_verdict
from pfp.schema.run_directory import RunDirectory as RunDirectory
from pfp.schema.score import ScoreRecord as ScoreRecord
from pfp.schema.storyboard import StoryboardRecord as StoryboardRecord
from pfp.schema.text import TextRecord as TextRecord
from pfp.schema.verdict import KEPT as KEPT
from pfp.schema.verdict import Dropped as Dropped
from pfp.schema.verdict import Failed as Failed
from pfp.schema.verdict import Kept as Kept
from pfp.schema.verdict import Verdict as Verdict
from pfp.schema.video import VideoRecord as VideoRecord
