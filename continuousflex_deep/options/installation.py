"""Options of the commands about the installation: doctor."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DoctorOptions:
    """Report what is installed, and test that it works."""
