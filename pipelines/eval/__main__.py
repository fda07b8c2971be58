"""``python -m pipelines.eval``."""

import sys

from pipelines.eval.run import main

if __name__ == "__main__":
    sys.exit(main())
