"""Who answers for a clip: a file beside the video, measurements of pixels, or a model."""

from pfp.caption.backends.backend import Backend as Backend
from pfp.caption.backends.backend import StoryboardRequest as StoryboardRequest
from pfp.caption.backends.load import BackendSettings as BackendSettings
from pfp.caption.backends.load import load_backend as load_backend
