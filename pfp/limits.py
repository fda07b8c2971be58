"""How much of what comes from outside is taken in: one name for each bound.

What is larger, deeper or more than these is refused where it comes in, and costs its own row or
line. Only what people read (messages) is shortened instead.
"""

from __future__ import annotations

from typing import Final

# Text that is kept or shown. Lengths are in characters.
MAX_MESSAGE_LENGTH: Final = 2000  # of a verdict's message or detail, and of a note on a row
MAX_QUOTED_LENGTH: Final = 80  # of a value that a message quotes
MAX_LISTED: Final = 20  # names that a message lists
MAX_NOTES: Final = 100  # on one row: what was repaired, what was asked again

# JSON and YAML from outside.
MAX_JSON_LENGTH: Final = 16 << 20  # of one document: a plan, a recorded answer, a configuration
MAX_JSON_DEPTH: Final = 64  # lists and objects within one another
MAX_YAML_LENGTH: Final = 256 << 10  # its parser takes about a second for as much
MAX_LINE_BYTES: Final = 4 << 20  # of a file with an object a line: manifests, votes, ballots
MAX_LINES_BYTES: Final = 2 << 30  # of such a file as a whole
MAX_MANIFEST_BYTES: Final = 64 << 30  # of a manifest of input files, which is read as a stream
MAX_INPUT_FILES: Final = 50_000_000  # their names and sizes alone take about 10 GB of memory

# Storyboards, and what models answer.
MAX_ANSWER_LENGTH: Final = 4 << 20  # of hours of storyboard, or of 65,536 tokens, and far to spare
MAX_SHOTS: Final = 20_000
MAX_RESPONSE_BYTES: Final = 16 << 20  # of one HTTP response

# Files that are digested or decoded whole.
MAX_FILE_BYTES: Final = 128 << 30
