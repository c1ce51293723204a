"""Options of the commands about the installation: doctor."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DoctorOptions:
    """Say what is installed and what works here."""
