"""``python -m pipelines.ingest``."""

import sys

from pipelines.ingest.run import main

if __name__ == "__main__":
    sys.exit(main())
