"""Particles from and to files: RELION STAR (3.0, 3.1 and later) and Xmipp xmd."""

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.stacks import stack_info
from continuousflex_deep.io.star import Column, Table, read_star, write_star
from continuousflex_deep.particles import Ctf, Floats, Particles

# file column -> (Ctf field, default when RELION leaves it out)
_RELION_CTF: dict[str, tuple[str, float | None]] = {
    "rlnDefocusU": ("defocus_u_A", None),
    "rlnDefocusV": ("defocus_v_A", None),
    "rlnDefocusAngle": ("defocus_angle_deg", 0.0),
    "rlnVoltage": ("voltage_kV", None),
    "rlnSphericalAberration": ("cs_mm", None),
    "rlnAmplitudeContrast": ("amplitude_contrast", None),
    "rlnPhaseShift": ("phase_shift_deg", 0.0),
}
_XMIPP_CTF: dict[str, tuple[str, float | None]] = {
    "ctfDefocusU": ("defocus_u_A", None),
    "ctfDefocusV": ("defocus_v_A", None),
    "ctfDefocusAngle": ("defocus_angle_deg", 0.0),
    "ctfVoltage": ("voltage_kV", None),
    "ctfSphericalAberration": ("cs_mm", None),
    "ctfQ0": ("amplitude_contrast", None),
    "ctfPhaseShift": ("phase_shift_deg", 0.0),
}
_OPTICS_CTF = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
_SCALARS = {"cfdAngleSd": "angle_sd_deg", "cfdShiftSd": "shift_sd_A", "cfdScore": "score"}


def read_particles(
    path: str | Path, pixel_size_A: float | None = None, mode_ids: tuple[int, ...] | None = None
) -> Particles:
    """Particles of a RELION `.star` or an Xmipp `.xmd` file.

    pixel_size_A: for files that do not carry it (Xmipp, bare stacks); one that contradicts the file is an error.
    mode_ids: names of the amplitudes of an xmd file of Xmipp, which only numbers them; without it they are 7, 8, ….
    Ids are cfdParticleId or itemId; else the position in the stack (one stack), else a hash of the image's name.
    Stack paths are resolved against the file's folder, then its parents, as RELION's project-relative names need.
    Raises InputError or FormatError naming the file, the column and what was expected.
    """
    blocks = read_star(path)
    xmipp = any("image" in t for t in blocks.values())
    return (
        _read_xmipp(Path(path), blocks, pixel_size_A, mode_ids)
        if xmipp
        else _read_relion(Path(path), blocks, pixel_size_A)
    )


def require_particle_suffix(path: str | Path) -> Path:
    """The path of an output particle file, if its suffix is one we write; else an InputError, before any work."""
    if Path(path).suffix not in (".star", ".xmd"):
        raise InputError(
            f"particle file '{path}': got suffix '{Path(path).suffix}', expected .star (RELION) or .xmd (Xmipp)"
        )
    return Path(path)


def write_particles(particles: Particles, path: str | Path) -> None:
    """Write a `.star` (RELION 3.1 with our columns) or `.xmd` (Xmipp) file, atomically; image paths relative to it."""
    if Path(path).suffix == ".xmd":
        write_star(path, {"noname": _xmipp_table(particles, Path(path))}, header="# XMIPP_STAR_1 * \n# ")
    else:
        write_star(path, _relion_blocks(particles, Path(path)), header="# version 30001\n")


# --------------------------------------------------------------------------------------------------------------- RELION


def _read_relion(path: Path, blocks: dict[str, Table], pixel_size_A: float | None) -> Particles:
    main = next((t for t in blocks.values() if "rlnImageName" in t), None)
    if main is None:
        raise FormatError(
            f"'{path}': no table with a rlnImageName or image column; got blocks {list(blocks)}; is it a particle file?"
        )
    optics = _relion_optics(path, blocks, main)
    table = {**optics, **main}
    stacks, indices = _image_names(path, table["rlnImageName"])
    box_px, header_pixel = _stack_facts(stacks[0])
    pixel = _relion_pixel_size(path, table, pixel_size_A, header_pixel)
    shifts = _relion_shifts(path, table, pixel)
    modes = tuple(
        sorted(
            int(c.removeprefix("cfdAmplitude"))
            for c in table
            if c.removeprefix("cfdAmplitude").isdigit() and c.startswith("cfdA")
        )
    )
    has_angles = all(f"rlnAngle{a}" in table for a in ("Rot", "Tilt", "Psi"))
    used = {
        "rlnImageName",
        "rlnOriginXAngst",
        "rlnOriginYAngst",
        "rlnOriginX",
        "rlnOriginY",
        "cfdParticleId",
        "cfdAmbiguous",
    }
    used |= (
        set(_RELION_CTF)
        | set(_SCALARS)
        | (set(optics) - {"rlnOpticsGroup"})
        | {f"rlnAngle{a}" for a in ("Rot", "Tilt", "Psi")}
    )
    used |= {f"cfdAmplitude{m}{suffix}" for m in modes for suffix in ("", "Sd")} | {
        "rlnDetectorPixelSize",
        "rlnMagnification",
    }
    flipped = _constant(path, table, "rlnCtfDataArePhaseFlipped", "0")
    premultiplied = _constant(path, table, "rlnCtfDataAreCtfPremultiplied", "0")
    if premultiplied not in ("0", "0.0"):
        raise InputError(
            f"'{path}': the images are premultiplied by their CTF (rlnCtfDataAreCtfPremultiplied); extract them "
            "without that option"
        )
    return Particles(
        ids=_ids(path, table.get("cfdParticleId"), table["rlnImageName"], stacks, indices),
        stacks=stacks,
        indices=indices,
        pixel_size_A=pixel,
        box_px=box_px,
        ctf=_ctf(path, table, _RELION_CTF),
        phase_flipped=flipped not in ("0", "0.0"),
        euler_deg=_floats(path, table, ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]) if has_angles else None,
        shift_A=shifts,
        mode_ids=modes,
        amplitudes=_floats(path, table, [f"cfdAmplitude{m}" for m in modes]) if modes else None,
        amplitudes_sd=_floats(path, table, [f"cfdAmplitude{m}Sd" for m in modes])
        if modes and f"cfdAmplitude{modes[0]}Sd" in table
        else None,
        ambiguous=_floats(path, table, ["cfdAmbiguous"])[:, 0] > 0.5 if "cfdAmbiguous" in table else None,
        extra={k: v for k, v in main.items() if k not in used},
        optics_extra={k: v for k, v in optics.items() if k not in _OPTICS_WRITTEN},
        **{name: _floats(path, table, [column])[:, 0] for column, name in _SCALARS.items() if column in table},
    )


_OPTICS_WRITTEN = {
    "rlnOpticsGroup", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImagePixelSize",
    "rlnImageSize", "rlnImageDimensionality", "rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied",
}  # fmt: skip


def _relion_optics(path: Path, blocks: dict[str, Table], main: Table) -> Table:
    """The optics table's values spread over the particles' rows."""
    optics = blocks.get("optics")
    if optics is None:
        return {}
    if "rlnOpticsGroup" not in main or "rlnOpticsGroup" not in optics:
        raise FormatError(
            f"'{path}': there is an optics table, but the column rlnOpticsGroup is missing in it or in the particles"
        )
    place = {group: i for i, group in enumerate(optics["rlnOpticsGroup"])}
    unknown = sorted({g for g in main["rlnOpticsGroup"] if g not in place})
    if unknown:
        raise FormatError(
            f"'{path}': particles refer to optics groups {unknown[:5]}, the optics table has {list(place)}"
        )
    rows = np.array([place[g] for g in main["rlnOpticsGroup"]], dtype=np.int64)
    return {name: column[rows] for name, column in optics.items()}


def _relion_pixel_size(path: Path, table: Table, given: float | None, header: float | None) -> float:
    if "rlnImagePixelSize" in table:
        values = _floats(path, table, ["rlnImagePixelSize"])[:, 0]
    elif "rlnDetectorPixelSize" in table and "rlnMagnification" in table:
        # RELION 3.0: µm at the detector over magnification
        pair = _floats(path, table, ["rlnDetectorPixelSize", "rlnMagnification"])
        values = pair[:, 0] * 1e4 / pair[:, 1]
    else:
        values = np.array([])
    if len(values) and np.ptp(values) > 1e-3 * values[0]:
        raise InputError(
            f"'{path}': images of different pixel sizes ({values.min():g} to {values.max():g} Å); rescale them to one "
            "size first"
        )
    return _agreed_pixel_size(path, given, float(values[0]) if len(values) else None, header)


def _relion_shifts(path: Path, table: Table, pixel_size_A: float) -> Floats | None:
    if "rlnOriginXAngst" in table and "rlnOriginYAngst" in table:
        return _floats(path, table, ["rlnOriginXAngst", "rlnOriginYAngst"])
    if "rlnOriginX" in table and "rlnOriginY" in table:
        return _floats(path, table, ["rlnOriginX", "rlnOriginY"]) * pixel_size_A
    return None


def _relion_blocks(p: Particles, path: Path) -> dict[str, Table]:
    groups = p.extra.get("rlnOpticsGroup", _text(np.ones(len(p), dtype=int)))
    optics: Table = {"rlnOpticsGroup": np.unique(groups.astype(str)).astype(object)}
    n_groups = len(optics["rlnOpticsGroup"])
    first = [int(np.flatnonzero(groups == g)[0]) for g in optics["rlnOpticsGroup"]]
    if p.ctf is not None:
        for column in _OPTICS_CTF:
            optics[column] = _text(getattr(p.ctf, _RELION_CTF[column][0])[first])
    place = {group: i for i, group in enumerate(optics["rlnOpticsGroup"])}
    group_of = np.array([place[str(g)] for g in groups], dtype=np.int64)
    constants = {
        "rlnImagePixelSize": f"{p.pixel_size_A:.6f}",
        "rlnImageSize": str(p.box_px),
        "rlnImageDimensionality": "2",
        "rlnCtfDataArePhaseFlipped": str(int(p.phase_flipped)),
    }
    optics |= {k: np.array([v] * n_groups, dtype=object) for k, v in constants.items()}
    optics |= {k: v[first] for k, v in p.optics_extra.items()}
    table: Table = {"rlnImageName": _written_names(p, path), "rlnOpticsGroup": groups, "cfdParticleId": _text(p.ids)}
    if p.ctf is not None:
        for column, (name, _) in _RELION_CTF.items():
            values = _text(getattr(p.ctf, name))
            # what belongs to the optics stands there, and with the particles too where it differs within a group
            if column not in _OPTICS_CTF or (values != optics[column][group_of]).any():
                table[column] = values
    if p.euler_deg is not None:
        table |= {f"rlnAngle{a}": _text(p.euler_deg[:, i]) for i, a in enumerate(("Rot", "Tilt", "Psi"))}
    if p.shift_A is not None:
        table |= {"rlnOriginXAngst": _text(p.shift_A[:, 0]), "rlnOriginYAngst": _text(p.shift_A[:, 1])}
    for i, mode in enumerate(p.mode_ids):
        if p.amplitudes is not None:
            table[f"cfdAmplitude{mode}"] = _text(p.amplitudes[:, i])
        if p.amplitudes_sd is not None:
            table[f"cfdAmplitude{mode}Sd"] = _text(p.amplitudes_sd[:, i])
    for column, name in _SCALARS.items():
        if getattr(p, name) is not None:
            table[column] = _text(getattr(p, name))
    if p.ambiguous is not None:
        table["cfdAmbiguous"] = _text(p.ambiguous.astype(int))
    return {"optics": optics, "particles": table | {k: v for k, v in p.extra.items() if k not in table}}


# ---------------------------------------------------------------------------------------------------------------- Xmipp


def _read_xmipp(
    path: Path, blocks: dict[str, Table], pixel_size_A: float | None, mode_ids: tuple[int, ...] | None
) -> Particles:
    table = next(t for t in blocks.values() if "image" in t)
    stacks, indices = _image_names(path, table["image"])
    box_px, header_pixel = _stack_facts(stacks[0])
    in_file = _floats(path, table, ["samplingRate"])[0, 0] if "samplingRate" in table else None
    pixel = _agreed_pixel_size(path, pixel_size_A, in_file, header_pixel)
    amplitudes, sd = None, None
    if "cfdModes" in table and mode_ids is None:
        mode_ids = tuple(int(m) for m in _constant(path, table, "cfdModes", "").split())
    if "nmaDisplacements" in table:
        amplitudes = _vectors(path, "nmaDisplacements", table["nmaDisplacements"])
        mode_ids = mode_ids or tuple(range(7, 7 + amplitudes.shape[1]))
        if len(mode_ids) != amplitudes.shape[1]:
            raise InputError(
                f"'{path}': nmaDisplacements has {amplitudes.shape[1]} values a particle, but {len(mode_ids)} modes "
                f"were named: {list(mode_ids)}"
            )
    if "cfdAmplitudesSd" in table:
        sd = _vectors(path, "cfdAmplitudesSd", table["cfdAmplitudesSd"])
    angles = ["angleRot", "angleTilt", "anglePsi"]
    used = {"image", "itemId", "shiftX", "shiftY", "nmaDisplacements", "samplingRate", "cost", "ctfPhaseFlipped"}
    used |= set(angles) | set(_XMIPP_CTF) | {"cfdModes", "cfdAmplitudesSd", "cfdAngleSd", "cfdShiftSd", "cfdAmbiguous"}
    column = {
        name: _floats(path, table, [name])[:, 0]
        for name in ("cfdAngleSd", "cfdShiftSd", "cfdAmbiguous")
        if name in table
    }
    return Particles(
        ids=_ids(path, table.get("itemId"), table["image"], stacks, indices),
        stacks=stacks,
        indices=indices,
        pixel_size_A=pixel,
        box_px=box_px,
        ctf=_ctf(path, table, _XMIPP_CTF),
        phase_flipped=_constant(path, table, "ctfPhaseFlipped", "0") not in ("0", "0.0"),
        euler_deg=_floats(path, table, angles) if all(a in table for a in angles) else None,
        shift_A=_floats(path, table, ["shiftX", "shiftY"]) * pixel if "shiftX" in table and "shiftY" in table else None,
        mode_ids=mode_ids if amplitudes is not None and mode_ids else (),
        amplitudes=amplitudes,
        amplitudes_sd=sd,
        angle_sd_deg=column.get("cfdAngleSd"),
        shift_sd_A=column.get("cfdShiftSd"),
        score=_floats(path, table, ["cost"])[:, 0] if "cost" in table else None,
        ambiguous=column["cfdAmbiguous"] > 0.5 if "cfdAmbiguous" in column else None,
        extra={k: v for k, v in table.items() if k not in used},
    )


def _xmipp_table(p: Particles, path: Path) -> Table:
    table: Table = {
        "image": _written_names(p, path),
        "enabled": p.extra.get("enabled", _text(np.ones(len(p), dtype=int))),
    }
    if p.euler_deg is not None:
        table |= {f"angle{a}": _text(p.euler_deg[:, i]) for i, a in enumerate(("Rot", "Tilt", "Psi"))}
    if p.shift_A is not None:
        table |= {f"shift{a}": _text(p.shift_A[:, i] / p.pixel_size_A) for i, a in enumerate("XY")}
    if p.amplitudes is not None:
        # Xmipp does not name the modes; it keeps columns that it does not know
        table["nmaDisplacements"] = _vector_texts(p.amplitudes)
        table["cfdModes"] = np.array([" ".join(map(str, p.mode_ids)) + " "] * len(p), dtype=object)
    if p.amplitudes_sd is not None:
        table["cfdAmplitudesSd"] = _vector_texts(p.amplitudes_sd)
    scalars = {"cost": p.score, "cfdAngleSd": p.angle_sd_deg, "cfdShiftSd": p.shift_sd_A}
    table |= {name: _text(values) for name, values in scalars.items() if values is not None}
    if p.ambiguous is not None:
        table["cfdAmbiguous"] = _text(p.ambiguous.astype(int))
    if p.ctf is not None:
        table |= {column: _text(getattr(p.ctf, name)) for column, (name, _) in _XMIPP_CTF.items()}
    if p.phase_flipped:
        table["ctfPhaseFlipped"] = _text(np.ones(len(p), dtype=int))
    table |= {"samplingRate": _text(np.full(len(p), p.pixel_size_A)), "itemId": _text(p.ids)}
    return table | {k: v for k, v in p.extra.items() if k not in table and not k.startswith("rln")}


# --------------------------------------------------------------------------------------------------------------- shared


def _floats(path: Path, table: Table, columns: list[str]) -> Floats:
    out = np.empty((len(next(iter(table.values()))), len(columns)))
    for i, name in enumerate(columns):
        try:
            out[:, i] = table[name].astype(np.float64)
        except ValueError as error:
            raise FormatError(f"'{path}', column {name}: expected numbers, got one that is not ({error})") from error
        bad = np.flatnonzero(~np.isfinite(out[:, i]))
        if len(bad):
            raise FormatError(
                f"'{path}', column {name}: {len(bad)} values are not finite, first in row {bad[0] + 1}; remove those "
                "particles"
            )
    return out


def _vector_texts(values: Floats) -> Column:
    rows = np.empty(len(values), dtype=object)
    rows[:] = [" " + " ".join(f"{v:.6f}" for v in row) + " " for row in values]
    return rows


def _vectors(path: Path, name: str, column: Column) -> Floats:
    rows = [text.split() for text in column]
    widths = {len(r) for r in rows}
    if len(widths) != 1:
        raise FormatError(f"'{path}', column {name}: vectors of different lengths {sorted(widths)}")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise FormatError(f"'{path}', column {name}: expected vectors of numbers ({error})") from error


def _constant(path: Path, table: Table, column: str, default: str) -> str:
    values = sorted(set(table.get(column, [default])))
    if len(values) > 1:
        raise InputError(f"'{path}': {column} differs between particles ({values}); process the groups separately")
    return str(values[0])


def _ctf(path: Path, table: Table, columns: dict[str, tuple[str, float | None]]) -> Ctf | None:
    if next(iter(columns)) not in table:
        return None
    n, values = len(next(iter(table.values()))), {}
    for column, (name, default) in columns.items():
        if column in table:
            values[name] = _floats(path, table, [column])[:, 0]
        elif default is not None:
            values[name] = np.full(n, default)
        else:
            raise FormatError(
                f"'{path}': there is a CTF, but its column {column} is missing; add it, or remove the defocus columns"
            )
    return Ctf(**values)


def _image_names(path: Path, names: Column) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Absolute stack paths and zero-based indices of names like 000012@folder/stack.mrcs."""
    if len(names) == 0:
        raise FormatError(f"'{path}' has no particles: its table is empty")
    stacks, indices = np.empty(len(names), dtype=object), np.zeros(len(names), dtype=np.int64)
    known: dict[str, str] = {}
    for row, name in enumerate(names):
        position, at, stack = name.rpartition("@")
        if at and not (position.isdigit() and int(position) > 0):
            raise FormatError(
                f"'{path}', row {row + 1}: image name '{name}'; expected NUMBER@STACK with a number from 1"
            )
        indices[row] = int(position) - 1 if at else 0
        if stack not in known:
            known[stack] = _resolve(path, stack)
        stacks[row] = known[stack]
    return stacks, indices


def _resolve(star: Path, stack: str) -> str:
    candidate = Path(stack)
    if candidate.is_absolute():
        return str(candidate)
    folder = Path(os.path.abspath(star)).parent
    for base in (folder, *folder.parents):
        if (base / candidate).is_file():
            return str(base / candidate)
    return str(folder / candidate)  # reading the image will say that it is missing


def _stack_facts(stack: str) -> tuple[int, float | None]:
    info = stack_info(stack)
    return info.box_px, info.pixel_size_A


def _agreed_pixel_size(path: Path, given: float | None, in_file: float | None, header: float | None) -> float:
    """The pixel size in Å, from the caller, the particle file or the stack's header, where they agree to 1%."""
    sources = {"the given value": given, "the particle file": in_file, "the image stack's header": header}
    known = {k: v for k, v in sources.items() if v is not None and v > 0}
    if not known:
        raise InputError(f"'{path}': no pixel size in it nor in its stack's header; give it with --pixel-size-A")
    values = list(known.values())
    if max(values) / min(values) > 1.01:
        told = ", ".join(f"{k} says {v:g} Å" for k, v in known.items())
        raise InputError(f"'{path}': contradictory pixel sizes: {told}; correct the wrong one")
    return values[0]


def _ids(
    path: Path, column: Column | None, names: Column, stacks: NDArray[np.object_], indices: NDArray[np.int64]
) -> NDArray[np.int64]:
    if column is not None:
        try:
            return column.astype(np.int64)
        except ValueError as error:
            raise FormatError(f"'{path}': particle ids must be whole numbers ({error})") from error
    if len(set(stacks)) == 1:
        return indices + 1
    return np.array(
        [int.from_bytes(hashlib.blake2b(n.encode(), digest_size=8).digest(), "big") >> 2 for n in names], dtype=np.int64
    )


def _written_names(p: Particles, path: Path) -> Column:
    folder = Path(os.path.abspath(path)).parent
    shown = {s: _relative(Path(s), folder) for s in set(p.stacks)}
    names = np.empty(len(p), dtype=object)
    names[:] = [f"{i + 1:06d}@{shown[s]}" for i, s in zip(p.indices, p.stacks, strict=True)]
    return names


def _relative(stack: Path, folder: Path) -> str:
    absolute = Path(os.path.abspath(stack))
    return str(absolute.relative_to(folder)) if absolute.is_relative_to(folder) else str(absolute)


def _text(values: NDArray) -> Column:
    out = np.empty(len(values), dtype=object)
    out[:] = [str(v) for v in values] if values.dtype.kind in "iu" else [f"{v:.9g}" for v in values]
    return out
