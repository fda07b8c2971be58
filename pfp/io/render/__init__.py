"""Clips drawn by a program: real video files for people who have none."""

from __future__ import annotations

from pfp.io.render._pans import pan_frames
from pfp.io.render._plan import plan_clip
from pfp.io.render._script import ClipScript
from pfp.io.render._stage import render_frames

__all__ = ["ClipScript", "pan_frames", "plan_clip", "render_frames"]
