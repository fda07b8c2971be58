"""Every exception that pfp raises on purpose.

    PfpError
     +-- InputError        a path, a file or a value that the user gave cannot be used
     +-- ConfigError       a setting is unknown, contradictory or out of range
     +-- SchemaError       bytes on disk are not the records they should be
     +-- WeightsError      weights are missing, foreign or damaged
     +-- NothingUsable     a stage ended well but kept no row, so the next has nothing to do
     +-- RowError          one row could not be processed; becomes ``Failed`` in its verdict
          +-- RetryableError   trying again may help (a busy server, a lost worker)
          |    +-- AccountError     a service's key, account or quota: nothing about the row
          +-- PermanentError   trying again cannot help (damaged bytes, a refused request)
               +-- Rejected         understood, and not what can be used; becomes ``Dropped``
                    +-- Unmeasurable     a metric is not defined on the sample
     +-- InvariantError    pfp itself broke a promise (rows lost, a verdict missing): report it

A message is one sentence that names the offending value and the cure. The command lines print it
without a traceback and exit with ``exit_status``.
"""

from __future__ import annotations


class PfpError(Exception):
    """Base of all errors that pfp raises on purpose."""

    exit_status = 2


class InputError(PfpError, ValueError):
    """A path, a file or a value that the user gave cannot be used."""


class ConfigError(PfpError, ValueError):
    """A setting is unknown, contradictory or out of range."""


class SchemaError(PfpError, ValueError):
    """Bytes on disk are not the records they should be."""


class WeightsError(PfpError):
    """Weights are missing, foreign or damaged."""


class NothingUsable(PfpError):  # noqa: N818 - an outcome, not a fault
    """A stage ended well but kept no row, so the next stage has nothing to do."""


class RowError(PfpError):
    """One row could not be processed; the stage goes on and the row's verdict is ``Failed``."""


class RetryableError(RowError):
    """Trying the row again may help."""


class AccountError(RetryableError):
    """A service serves nobody with this key now; the row was not tried, so no attempt counts."""


class PermanentError(RowError):
    """Trying the row again cannot help."""


class Rejected(PermanentError):  # noqa: N818 - a judgement, not a fault
    """The row was understood, and it is not what can be used.

    ``reason`` is one lower-case word or several joined by underscores (``too_small``).
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class Unmeasurable(Rejected):
    """A metric is not defined on the sample."""


class InvariantError(PfpError):
    """Pfp itself broke a promise."""

    exit_status = 70
