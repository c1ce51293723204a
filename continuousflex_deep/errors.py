"""Errors meant for the person at the keyboard: what, where, got, expected, what to do."""


class DeepError(Exception):
    """Base of every error this package raises on purpose; the command line prints it without a traceback."""


class InputError(DeepError, ValueError):
    """Input that cannot be used as it is: a missing file, contradictory values, an impossible request."""


class FormatError(InputError):
    """A file that does not support the format it claims."""


class DiskFullError(DeepError):
    """A file could not be written whole because its file system is full."""


class OutOfMemoryError(DeepError):
    """Memory of the device is not sufficient even for a single particle."""


class MissingDependencyError(DeepError):
    """An optional program or library is needed for this request and is not installed."""
