"""Who answers for a clip: a file beside the video, measurements of pixels, or a model."""

from pfp.caption.backends.backend import BACKENDS as BACKENDS
from pfp.caption.backends.backend import Backend as Backend
from pfp.caption.backends.backend import load_backend as load_backend
