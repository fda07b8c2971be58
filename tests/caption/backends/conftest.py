"""The video and the question of ``tests/vlm``."""

from tests.vlm.conftest import question, video

__all__ = ["question", "video"]
