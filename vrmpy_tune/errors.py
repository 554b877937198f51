"""One exception class per cause of failure.

Every message is a sentence or two that says what happened, to which workload,
device or file, and what to do next.  The command line prints the message and exits with
:attr:`VrmpyTuneError.exit_code`; it shows a traceback only with ``--debug``.
"""

from __future__ import annotations

from typing import ClassVar, Final

EXIT_INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, by the shells' convention for SIGINT."""


class VrmpyTuneError(Exception):
    """Base class of every error this package raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(VrmpyTuneError):
    """A command, option or argument is wrong."""

    exit_code = 2


class WorkloadError(UsageError):
    """A workload's text cannot be parsed, or names an impossible operator."""


class TargetError(UsageError):
    """A target does not exist, or lacks what was asked of it."""


class MissingRecordError(VrmpyTuneError):
    """``--strict`` was given and a workload has no record that applies."""

    exit_code = 3


class StoreError(VrmpyTuneError):
    """A record store cannot be opened, read or written."""

    exit_code = 4


class RecordFormatError(VrmpyTuneError):
    """A record or a record file is malformed, too large, or from a newer version."""

    exit_code = 5


class StaleRecordError(VrmpyTuneError):
    """A record's trace no longer replays on its workload."""

    exit_code = 6


class ToolchainError(VrmpyTuneError):
    """A part of the toolchain is missing, of the wrong version, or broken."""

    exit_code = 7


class BuildError(VrmpyTuneError):
    """A candidate could not be lowered, compiled or linked."""

    exit_code = 8


class BuildTimeoutError(BuildError):
    """A compiler or linker did not end in time.

    Attributes
    ----------
    retryable:
        Whether wall-clock time ran out, for which the machine's load may be to blame.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class DeviceError(VrmpyTuneError):
    """A device cannot do what was asked of it, or is gone."""

    exit_code = 9


class VerificationError(VrmpyTuneError):
    """A kernel's output differs from the reference."""

    exit_code = 10


class ArtifactError(VrmpyTuneError):
    """An artifact directory is incomplete, altered, or from another version."""

    exit_code = 11


class NoValidCandidateError(VrmpyTuneError):
    """A tuning run ended without one verified candidate."""

    exit_code = 12


class FarmError(DeviceError):
    """A farm cannot be reached, is not trusted, or does not have what was asked of it."""


class ModelError(VrmpyTuneError):
    """A model file cannot be read, is not quantized, or asks for what import does not support."""

    exit_code = 13
