"""``python -m pipelines.latents``."""

import sys

from pipelines.latents.run import main

if __name__ == "__main__":
    sys.exit(main())
