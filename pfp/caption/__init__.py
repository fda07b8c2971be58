"""Clips to storyboards: what to ask, how to check an answer, and whom to ask next."""

from pfp.caption.captioner import NOTICE as NOTICE
from pfp.caption.captioner import Captioner as Captioner
from pfp.caption.clip import CaptionClip as CaptionClip
from pfp.caption.clip import caption_clip as caption_clip
from pfp.caption.clip import spans_of as spans_of
from pfp.caption.prompt import Prompt as Prompt
from pfp.caption.prompt import load_prompt as load_prompt
from pfp.caption.storyboard import Storyboard as Storyboard
from pfp.caption.storyboard import StoryShot as StoryShot
from pfp.caption.validate import Checked as Checked
from pfp.caption.validate import Rules as Rules
from pfp.caption.validate import Violation as Violation
from pfp.caption.validate import check_storyboard as check_storyboard
from pfp.io.prompts import caption_at as caption_at
