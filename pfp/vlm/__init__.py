"""Video + question + schema -> structured answer, shared by captioning and by eval's judges."""

from pfp.vlm.answer import Answer as Answer
from pfp.vlm.answer import Finish as Finish
from pfp.vlm.answer import parse_object as parse_object
from pfp.vlm.frames import Frames as Frames
from pfp.vlm.judge import FramesQuestion as FramesQuestion
from pfp.vlm.judge import Judge as Judge
from pfp.vlm.judge import Judgement as Judgement
from pfp.vlm.judges import JUDGES as JUDGES
from pfp.vlm.judges import load_judge as load_judge
from pfp.vlm.question import Sampling as Sampling
from pfp.vlm.question import Span as Span
from pfp.vlm.question import VideoQuestion as VideoQuestion
from pfp.vlm.verdict import Verdict as Verdict
from pfp.vlm.verdict import parse_verdict as parse_verdict
