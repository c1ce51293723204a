"""Errors for the user: they state what was found, what was expected, and what to do."""


class DeepError(Exception):
    """Base class of the errors that this package raises; the command line prints them without a traceback."""


class InputError(DeepError, ValueError):
    """Unusable input: a missing file, contradictory values, an impossible request."""


class FormatError(InputError):
    """A file that does not follow its format."""


class DiskFullError(DeepError):
    """A file could not be written completely because its file system is full."""


class OutOfMemoryError(DeepError):
    """The memory of the device does not suffice even for a single particle."""


class MissingDependencyError(DeepError):
    """An optional program or library that this request needs is not installed."""
