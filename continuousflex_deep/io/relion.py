"""RELION particle tables (3.0, 3.1 and later) to and from Particles. Shifts are in Å, or in pixels in 3.0."""

import re
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Column, Floats
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.columns import (
    agreed_pixel_size,
    constant,
    floats,
    image_names,
    particle_ids,
    read_ctf,
    stack_facts,
    texts,
    written_names,
)
from continuousflex_deep.io.star import Table
from continuousflex_deep.particles import Particles
from continuousflex_deep.sampling import same_pixel_size

# file column -> (Ctf field, default when the file leaves it out)
_CTF: dict[str, tuple[str, float | None]] = {
    "rlnDefocusU": ("defocus_u_A", None),
    "rlnDefocusV": ("defocus_v_A", None),
    "rlnDefocusAngle": ("defocus_angle_deg", 0.0),
    "rlnVoltage": ("voltage_kV", None),
    "rlnSphericalAberration": ("cs_mm", None),
    "rlnAmplitudeContrast": ("amplitude_contrast", None),
    "rlnPhaseShift": ("phase_shift_deg", 0.0),
}
_OPTICS_CTF = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
_SCALARS = {"cfdAngleSd": "angle_sd_deg", "cfdShiftSd": "shift_sd_A", "cfdScore": "score"}
_ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
_NAME = "rlnOpticsGroupName"
_AMPLITUDE = re.compile(r"cfdAmplitude(\d+)")
# columns of the particles that have a field of their own; the others are kept as they are
_INTERPRETED = {
    "rlnImageName", "rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginX", "rlnOriginY", "rlnDetectorPixelSize",
    "rlnMagnification", "cfdParticleId", "cfdAmbiguous", *_CTF, *_SCALARS, *_ANGLES,
}  # fmt: skip
_OPTICS_WRITTEN = {
    "rlnOpticsGroup", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImagePixelSize",
    "rlnImageSize", "rlnImageDimensionality", "rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied",
}  # fmt: skip


def read_relion(path: Path, blocks: dict[str, Table], pixel_size_A: float | None) -> Particles:
    main = next((t for t in blocks.values() if "rlnImageName" in t), None)
    if main is None:
        raise FormatError(
            f"'{path}': no table with a rlnImageName or image column; got blocks {list(blocks)}; is it a particle file?"
        )
    optics = _relion_optics(path, blocks, main)
    table = {**optics, **main}
    stacks, indices = image_names(path, table["rlnImageName"])
    if {"rlnImageSize", "rlnImagePixelSize"} <= set(table) and not Path(stacks[0]).is_file():
        # poses and amplitudes can be analysed without the images; whatever needs these says that they are missing
        box_px, header_pixel = int(float(constant(path, table, "rlnImageSize", "0"))), None
    else:
        box_px, header_pixel = stack_facts(stacks[0])
    pixel = _relion_pixel_size(path, table, pixel_size_A, header_pixel)
    modes = tuple(sorted(int(m[1]) for m in map(_AMPLITUDE.fullmatch, table) if m))
    with_sd = bool(modes) and all(f"cfdAmplitude{m}Sd" in table for m in modes)
    used = _INTERPRETED | (set(optics) - {"rlnOpticsGroup"})
    used |= {f"cfdAmplitude{m}{suffix}" for m in modes for suffix in ("", "Sd")}
    flipped = constant(path, table, "rlnCtfDataArePhaseFlipped", "0")
    premultiplied = constant(path, table, "rlnCtfDataAreCtfPremultiplied", "0")
    if premultiplied not in ("0", "0.0"):
        raise InputError(
            f"'{path}': the images are premultiplied by their CTF (rlnCtfDataAreCtfPremultiplied); extract them "
            "without that option"
        )
    return Particles(
        ids=particle_ids(path, table.get("cfdParticleId"), table["rlnImageName"], stacks, indices),
        stacks=stacks,
        indices=indices,
        pixel_size_A=pixel,
        box_px=box_px,
        ctf=read_ctf(path, table, _CTF),
        phase_flipped=flipped not in ("0", "0.0"),
        euler_deg=floats(path, table, _ANGLES) if all(a in table for a in _ANGLES) else None,
        shift_A=_relion_shifts(path, table, pixel),
        mode_ids=modes,
        amplitudes=floats(path, table, [f"cfdAmplitude{m}" for m in modes]) if modes else None,
        amplitudes_sd=floats(path, table, [f"cfdAmplitude{m}Sd" for m in modes]) if with_sd else None,
        ambiguous=floats(path, table, ["cfdAmbiguous"])[:, 0] > 0.5 if "cfdAmbiguous" in table else None,
        extra={k: v for k, v in main.items() if k not in used},
        optics_extra=uninterpreted_optics(optics),
        **{name: floats(path, table, [column])[:, 0] for column, name in _SCALARS.items() if column in table},
    )


def _relion_optics(path: Path, blocks: dict[str, Table], main: Table) -> Table:
    """The optics table's values spread over the particles' rows."""
    optics = blocks.get("optics")
    if optics is None:
        return {}
    if "rlnOpticsGroup" not in main or "rlnOpticsGroup" not in optics:
        raise FormatError(
            f"'{path}': there is an optics table, but the column rlnOpticsGroup is missing in it or in the particles"
        )
    return spread_optics(str(path), optics, main["rlnOpticsGroup"])


def spread_optics(origin: str, optics: Table, groups: Column) -> Table:
    """An optics table's values, spread over particles of these groups (n,); FormatError for groups it does not have."""
    place = {group: i for i, group in enumerate(optics["rlnOpticsGroup"])}
    unknown = sorted({g for g in groups if g not in place})
    if unknown:
        raise FormatError(
            f"'{origin}': particles refer to optics groups {unknown[:5]}, the optics table has {list(place)}"
        )
    rows = np.array([place[g] for g in groups], dtype=np.int64)
    return {name: column[rows] for name, column in optics.items()}


def uninterpreted_optics(spread: Table) -> Table:
    """The columns of a spread optics table that have no field of their own, names given by default left out."""
    kept = {k: v for k, v in spread.items() if k not in _OPTICS_WRITTEN}
    names = kept.get(_NAME)
    if names is not None and (names == _default_names(spread["rlnOpticsGroup"])).all():
        del kept[_NAME]
    return kept


def _default_names(groups: Column) -> Column:
    return np.array([f"opticsGroup{g}" for g in groups], dtype=object)


def _relion_pixel_size(path: Path, table: Table, given: float | None, header: float | None) -> float:
    if "rlnImagePixelSize" in table:
        values = floats(path, table, ["rlnImagePixelSize"])[:, 0]
    elif "rlnDetectorPixelSize" in table and "rlnMagnification" in table:
        # RELION 3.0: µm at the detector over magnification
        pair = floats(path, table, ["rlnDetectorPixelSize", "rlnMagnification"])
        values = pair[:, 0] * 1e4 / pair[:, 1]
    else:
        values = np.array([])
    if len(values) and values.min() < values.max() and not same_pixel_size(values.min(), values.max()):
        raise InputError(
            f"'{path}': images of different pixel sizes ({values.min():g} to {values.max():g} Å); rescale them to one "
            "size first"
        )
    return agreed_pixel_size(path, given, float(values[0]) if len(values) else None, header)


def _relion_shifts(path: Path, table: Table, pixel_size_A: float) -> Floats | None:
    if "rlnOriginXAngst" in table and "rlnOriginYAngst" in table:
        return floats(path, table, ["rlnOriginXAngst", "rlnOriginYAngst"])
    if "rlnOriginX" in table and "rlnOriginY" in table:
        return floats(path, table, ["rlnOriginX", "rlnOriginY"]) * pixel_size_A
    return None


def optics_groups(p: Particles) -> Column:
    """The optics group of each particle (n,)."""
    return p.extra.get("rlnOpticsGroup", texts(np.ones(len(p), dtype=int)))


def optics_table(p: Particles) -> Table:
    """RELION's optics table: a row for each group that particles are of, in the order of their numbers."""
    groups = optics_groups(p)
    optics: Table = {"rlnOpticsGroup": np.array(sorted(set(groups), key=lambda g: (len(g), g)), dtype=object)}
    n_groups = len(optics["rlnOpticsGroup"])
    first = [int(np.flatnonzero(groups == g)[0]) for g in optics["rlnOpticsGroup"]]
    if p.ctf is not None:
        for column in _OPTICS_CTF:
            optics[column] = texts(getattr(p.ctf, _CTF[column][0])[first])
    constants = {
        "rlnImagePixelSize": f"{p.pixel_size_A:.6f}",
        "rlnImageSize": str(p.box_px),
        "rlnImageDimensionality": "2",
        "rlnCtfDataArePhaseFlipped": str(int(p.phase_flipped)),
    }
    optics |= {k: np.array([v] * n_groups, dtype=object) for k, v in constants.items()}
    optics |= {k: v[first] for k, v in p.optics_extra.items()}
    names = optics.get(_NAME, _default_names(optics["rlnOpticsGroup"]))
    if len(set(names)) < n_groups:  # groups of several files; RELION tells them apart by their names
        names = np.array([f"{name}_{g}" for name, g in zip(names, optics["rlnOpticsGroup"], strict=True)], dtype=object)
    return optics | {_NAME: names}


def relion_blocks(p: Particles, path: Path) -> dict[str, Table]:
    """The tables of a RELION 3.1 file to be written at `path`."""
    groups, optics = optics_groups(p), optics_table(p)
    place = {group: i for i, group in enumerate(optics["rlnOpticsGroup"])}
    group_of = np.array([place[g] for g in groups], dtype=np.int64)
    table: Table = {"rlnImageName": written_names(p, path), "rlnOpticsGroup": groups, "cfdParticleId": texts(p.ids)}
    if p.ctf is not None:
        for column, (name, _) in _CTF.items():
            values = texts(getattr(p.ctf, name))
            # what belongs to the optics stands there, and with the particles too where it differs within a group
            if column not in _OPTICS_CTF or (values != optics[column][group_of]).any():
                table[column] = values
    if p.euler_deg is not None:
        table |= {name: texts(p.euler_deg[:, i]) for i, name in enumerate(_ANGLES)}
    if p.shift_A is not None:
        table |= {"rlnOriginXAngst": texts(p.shift_A[:, 0]), "rlnOriginYAngst": texts(p.shift_A[:, 1])}
    for i, mode in enumerate(p.mode_ids):
        if p.amplitudes is not None:
            table[f"cfdAmplitude{mode}"] = texts(p.amplitudes[:, i])
        if p.amplitudes_sd is not None:
            table[f"cfdAmplitude{mode}Sd"] = texts(p.amplitudes_sd[:, i])
    for column, name in _SCALARS.items():
        if getattr(p, name) is not None:
            table[column] = texts(getattr(p, name))
    if p.ambiguous is not None:
        table["cfdAmbiguous"] = texts(p.ambiguous.astype(int))
    return {"optics": optics, "particles": table | {k: v for k, v in p.extra.items() if k not in table}}
