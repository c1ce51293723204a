"""Xmipp particle tables (xmd) to and from Particles. Shifts are in pixels; amplitudes are one vector a particle.

Xmipp's cost falls the better a particle fits, ours rises: it is half the squared difference of normalised images, so
that the score is 1 - cost.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Booleans, Floats
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
    vector_texts,
    vectors,
    written_names,
)
from continuousflex_deep.io.star import Table, read_star, write_star
from continuousflex_deep.particles import Particles

_GREATEST_COST = 2.0  # of two images that are each other's negative
# file column -> (Ctf field, default when the file leaves it out)
_CTF: dict[str, tuple[str, float | None]] = {
    "ctfDefocusU": ("defocus_u_A", None),
    "ctfDefocusV": ("defocus_v_A", None),
    "ctfDefocusAngle": ("defocus_angle_deg", 0.0),
    "ctfVoltage": ("voltage_kV", None),
    "ctfSphericalAberration": ("cs_mm", None),
    "ctfQ0": ("amplitude_contrast", None),
    "ctfPhaseShift": ("phase_shift_deg", 0.0),
}


def score_of_cost(cost: Floats) -> tuple[Floats, Booleans]:
    """The scores (n,) of Xmipp's costs (n,), and which of them are none: the marks of fits that failed, with score 0.

    A cost lies between 0 and 2; -1 marks a failed fit, and so does the value that its optimiser begins with.
    """
    failed = ~((cost >= 0) & (cost <= _GREATEST_COST))
    return np.where(failed, 0.0, 1 - cost), failed


def read_xmipp(
    path: Path, blocks: dict[str, Table], pixel_size_A: float | None, mode_ids: tuple[int, ...] | None
) -> Particles:
    table = next(t for t in blocks.values() if "image" in t)
    if "enabled" in table:  # Xmipp marks what is to be left out by -1
        table = {name: column[table["enabled"] != "-1"] for name, column in table.items()}
    stacks, indices = image_names(path, table["image"])
    box_px, header_pixel = stack_facts(stacks[0])
    in_file = floats(path, table, ["samplingRate"])[0, 0] if "samplingRate" in table else None
    pixel = agreed_pixel_size(path, pixel_size_A, in_file, header_pixel)
    amplitudes, sd = None, None
    if "cfdModes" in table:  # what the file says of itself goes before the caller's guess
        mode_ids = tuple(int(m) for m in constant(path, table, "cfdModes", "").split())
    if "nmaDisplacements" in table:
        amplitudes = vectors(path, "nmaDisplacements", table["nmaDisplacements"])
        mode_ids = mode_ids or tuple(range(7, 7 + amplitudes.shape[1]))
        if len(mode_ids) != amplitudes.shape[1]:
            raise InputError(
                f"'{path}': nmaDisplacements has {amplitudes.shape[1]} values a particle, but {len(mode_ids)} modes "
                f"were named: {list(mode_ids)}"
            )
    if "cfdAmplitudesSd" in table:
        sd = vectors(path, "cfdAmplitudesSd", table["cfdAmplitudesSd"])
    angles = ["angleRot", "angleTilt", "anglePsi"]
    used = {"image", "itemId", "shiftX", "shiftY", "nmaDisplacements", "samplingRate", "cost", "ctfPhaseFlipped"}
    used |= set(angles) | set(_CTF) | {"cfdModes", "cfdAmplitudesSd", "cfdAngleSd", "cfdShiftSd", "cfdAmbiguous"}
    column = {
        name: floats(path, table, [name])[:, 0]
        for name in ("cfdAngleSd", "cfdShiftSd", "cfdAmbiguous")
        if name in table
    }
    score, ambiguous = None, column["cfdAmbiguous"] > 0.5 if "cfdAmbiguous" in column else None
    if "cost" in table:
        score, failed = score_of_cost(floats(path, table, ["cost"])[:, 0])
        ambiguous = with_failed(ambiguous, failed)
    return Particles(
        ids=particle_ids(path, table.get("itemId"), table["image"], stacks, indices),
        stacks=stacks,
        indices=indices,
        pixel_size_A=pixel,
        box_px=box_px,
        ctf=read_ctf(path, table, _CTF),
        phase_flipped=constant(path, table, "ctfPhaseFlipped", "0") not in ("0", "0.0"),
        euler_deg=floats(path, table, angles) if all(a in table for a in angles) else None,
        shift_A=floats(path, table, ["shiftX", "shiftY"]) * pixel if "shiftX" in table and "shiftY" in table else None,
        mode_ids=mode_ids if amplitudes is not None and mode_ids else (),
        amplitudes=amplitudes,
        amplitudes_sd=sd,
        angle_sd_deg=column.get("cfdAngleSd"),
        shift_sd_A=column.get("cfdShiftSd"),
        score=score,
        ambiguous=ambiguous,
        extra={k: v for k, v in table.items() if k not in used},
    )


def with_failed(ambiguous: Booleans | None, failed: Booleans) -> Booleans | None:
    """The flags of ambiguous particles, those whose fit failed among them; None where there are neither."""
    if not failed.any():
        return ambiguous
    return failed if ambiguous is None else ambiguous | failed


def xmipp_table(p: Particles, path: Path) -> Table:
    table: Table = {
        "image": written_names(p, path),
        "enabled": p.extra.get("enabled", texts(np.ones(len(p), dtype=int))),
    }
    if p.euler_deg is not None:
        table |= {f"angle{a}": texts(p.euler_deg[:, i]) for i, a in enumerate(("Rot", "Tilt", "Psi"))}
    if p.shift_A is not None:
        table |= {f"shift{a}": texts(p.shift_A[:, i] / p.pixel_size_A) for i, a in enumerate("XY")}
    if p.amplitudes is not None:
        # Xmipp does not name the modes; it keeps columns that it does not know
        table["nmaDisplacements"] = vector_texts(p.amplitudes)
        table["cfdModes"] = np.array([" ".join(map(str, p.mode_ids)) + " "] * len(p), dtype=object)
    if p.amplitudes_sd is not None:
        table["cfdAmplitudesSd"] = vector_texts(p.amplitudes_sd)
    cost = None if p.score is None else 1 - p.score
    scalars = {"cost": cost, "cfdAngleSd": p.angle_sd_deg, "cfdShiftSd": p.shift_sd_A}
    table |= {name: texts(values) for name, values in scalars.items() if values is not None}
    if p.ambiguous is not None:
        table["cfdAmbiguous"] = texts(p.ambiguous.astype(int))
    if p.ctf is not None:
        table |= {column: texts(getattr(p.ctf, name)) for column, (name, _) in _CTF.items()}
    if p.phase_flipped:
        table["ctfPhaseFlipped"] = texts(np.ones(len(p), dtype=int))
    table |= {"samplingRate": texts(np.full(len(p), p.pixel_size_A)), "itemId": texts(p.ids)}
    return table | {k: v for k, v in p.extra.items() if k not in table and not k.startswith("rln")}


def modes_table(files: Mapping[int, str]) -> Table:
    """The list of normal modes that Xmipp's programs read: each mode's number and the file of its vector."""
    return {
        "enabled": texts(np.ones(len(files), dtype=int)),
        "nmaModefile": np.array(list(files.values()), dtype=object),
        "order_": texts(np.array(list(files), dtype=int)),
    }


def read_mode_list(path: str | Path) -> tuple[int, ...]:
    """The numbers of the modes that such a list names and does not mark as left out."""
    for table in read_star(path).values():
        if "order_" in table:
            used = table["enabled"] != "-1" if "enabled" in table else np.ones(len(table["order_"]), dtype=bool)
            return tuple(int(number) for number in table["order_"][used])
    raise FormatError(f"'{path}' is not a list of normal modes as Xmipp writes it: there is no column order_")


def write_xmd(path: str | Path, table: Table) -> None:
    """Write one table as Xmipp's metadata, atomically."""
    write_star(path, {"noname": table}, header="# XMIPP_STAR_1 * \n# ")
