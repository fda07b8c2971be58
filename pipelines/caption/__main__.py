"""``python -m pipelines.caption``."""

import sys

from pipelines.caption.run import main

if __name__ == "__main__":
    sys.exit(main())
