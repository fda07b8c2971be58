"""Clips drawn by a program: real video files for people who have none."""

from pfp.io.render._pans import pan_frames as pan_frames
from pfp.io.render._plan import plan_clip as plan_clip
from pfp.io.render._script import ClipScript as ClipScript
from pfp.io.render._stage import render_frames as render_frames
from pfp.io.render._truth import ground_truth as ground_truth
from pfp.io.render._truth import storyboard as storyboard
from pfp.io.render._write import make_clips as make_clips
from pfp.io.render._write import write_clip as write_clip
