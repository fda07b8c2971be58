"""``python -m experiments.tiny``."""

import sys

from experiments.tiny.run import main

if __name__ == "__main__":
    sys.exit(main())
