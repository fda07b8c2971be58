"""One client for vision-language models: a request about frames or video -> an answer.

client = load_client("gemini:gemini-3.8-flash")
answer = client.ask(Request(media=..., prompt=..., sampling=client.sampling, ...))
"""

from pfp.vlm.answer import Answer as Answer
from pfp.vlm.answer import Finish as Finish
from pfp.vlm.answer import parse_object as parse_object
from pfp.vlm.client import Client as Client
from pfp.vlm.client import ask_votes as ask_votes
from pfp.vlm.frames import Frames as Frames
from pfp.vlm.load import PROVIDERS as PROVIDERS
from pfp.vlm.load import load_client as load_client
from pfp.vlm.load import read_spec as read_spec
from pfp.vlm.request import Request as Request
from pfp.vlm.request import Sampling as Sampling
from pfp.vlm.request import Span as Span
from pfp.vlm.request import VideoSpan as VideoSpan
