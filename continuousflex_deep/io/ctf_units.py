"""Units and signs of CTF parameters in particle files: what may be in other units, or have another sign, is refused or
reported."""

from pathlib import Path

import numpy as np

from continuousflex_deep.errors import FormatError
from continuousflex_deep.messages import note_once
from continuousflex_deep.particles import Ctf

_VOLTAGES_KV = (10.0, 4000.0)  # of microscopes that there are
_MOST_CS_MM = 100.0
_MICROMETRES = 20.0  # defocus that would be of less than these Å is in µm


def check_units(path: Path, ctf: Ctf) -> None:
    """FormatError for voltages, spherical aberrations and amplitude contrasts that are in other units than kV, mm and
    shares; notes on values of defocus that may be in µm, and on signs by which programs differ."""
    ranges = {
        "voltages": (ctf.voltage_kV, *_VOLTAGES_KV, "kV"),
        "spherical aberrations": (np.abs(ctf.cs_mm), 0.0, _MOST_CS_MM, "mm"),
        "amplitude contrasts": (ctf.amplitude_contrast, -1.0, 1.0, "of all contrast"),
    }
    for name, (values, low, high, unit) in ranges.items():
        if values.min() < low or values.max() > high:
            raise FormatError(
                f"'{path}': got {name} from {values.min():g} to {values.max():g}, expected {low:g} to {high:g} {unit}; "
                "correct their unit"
            )
    defocus_A = np.concatenate([ctf.defocus_u_A, ctf.defocus_v_A])
    notes = []
    if defocus_A.any() and np.abs(defocus_A).max() < _MICROMETRES:
        notes.append(f"all values of defocus are below {_MICROMETRES:g}; they are read as Å. Are they in µm?")
    if (defocus_A < 0).any():
        notes.append("negative values of defocus are read as overfocus")
    if (ctf.amplitude_contrast < 0).any():
        notes.append("negative amplitude contrasts are used as they are; Xmipp wrote them so before version 3")
    if notes:
        note_once(f"'{path.name}': {'; '.join(notes)}")
