"""Clips drawn by a program: real video files for people who have none."""

from experiments.synthetic_clips.pans import pan_frames as pan_frames
from experiments.synthetic_clips.plan import plan_clip as plan_clip
from experiments.synthetic_clips.script import ClipScript as ClipScript
from experiments.synthetic_clips.stage import render_frames as render_frames
from experiments.synthetic_clips.truth import ground_truth as ground_truth
from experiments.synthetic_clips.truth import storyboard as storyboard
from experiments.synthetic_clips.write import make_clips as make_clips
from experiments.synthetic_clips.write import write_clip as write_clip
