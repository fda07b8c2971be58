"""What must not cost the import of torch."""

from __future__ import annotations

import subprocess
import sys


def test_decoding_and_reading_need_no_torch() -> None:
    """The decoder child and whoever reads latents or names a VAE start without torch."""
    modules = "pfp.latents.frames, pfp.latents.read, pfp.models.vae, pfp.models.text.tiny"
    code = f"import sys, {modules}; print('torch' in sys.modules, 'ray' in sys.modules)"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.split() == ["False", "False"]
