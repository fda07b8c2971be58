"""``python -m pipelines.train``."""

import sys

from pipelines.train.run import main

if __name__ == "__main__":
    sys.exit(main())
