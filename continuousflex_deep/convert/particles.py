"""Scipion's sets of particles to and from Particles.

Everything is joined by the items' ids. Scipion stores a projection's pose as the matrix from the image to the map,
M = [Rᵀ | Rᵀ·s] with our R (docs/conventions.md) and the shift s in pixels, so R = M[:3, :3]ᵀ and s = R·M[:3, 3].
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pwem.objects import Acquisition, CTFModel, ParticleFlex, SetOfParticles, SetOfParticlesFlex, Transform
from pyworkflow.object import Boolean, CsvList, Float, Integer, String

from continuousflex_deep.arrays import Column, Floats, Integers, Table
from continuousflex_deep.constants import AMPLITUDES_ATTRIBUTE, COST_ATTRIBUTE, MODE_IDS_ATTRIBUTE, PACKAGE
from continuousflex_deep.convert.origin import modes_of_its_amplitudes
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler
from continuousflex_deep.io.columns import AMBIGUOUS, CRYOSPARC_UID, MOTION, NUMBERS, VECTORS
from continuousflex_deep.io.image_files import plain_stack
from continuousflex_deep.io.relion import HALF_SET, OPTICS_GROUP, optics_of_text, optics_text
from continuousflex_deep.io.xmipp import score_of_cost, with_failed
from continuousflex_deep.particles import STRAIGHT, Ctf, Particles

_AMBIGUOUS_ATTRIBUTE, _MOTION_ATTRIBUTE = f"_{AMBIGUOUS}", f"_{MOTION}"
# attribute of a Scipion particle -> field of Particles, for single numbers and for vectors
_NUMBERS = {f"_{column}": name for column, name in NUMBERS.items()}
_VECTORS = {f"_{column}": name for column, name in VECTORS.items()}
_RESULT_ATTRIBUTES = {
    AMPLITUDES_ATTRIBUTE, MODE_IDS_ATTRIBUTE, COST_ATTRIBUTE, _AMBIGUOUS_ATTRIBUTE, _MOTION_ATTRIBUTE, *_NUMBERS,
    *_VECTORS,
}  # fmt: skip
# attributes of a Scipion particle, named as in RELION's plugin; the latter -> column of the particle file, and type
_HALF_SET_ATTRIBUTE = f"_{HALF_SET}"
_COLUMNS: dict[str, tuple[str, type]] = {
    f"_{OPTICS_GROUP}": (OPTICS_GROUP, Integer),
    f"_{CRYOSPARC_UID}": (CRYOSPARC_UID, String),
}


# --------------------------------------------------------------------------------------------------------------- poses


def pose_to_matrix(euler_deg: Floats, shift_px: Floats) -> Floats:
    """Scipion's matrices (n, 4, 4) of poses: euler_deg (n, 3) rot, tilt, psi and shift_px (n, 2)."""
    rotation = euler_to_matrix(euler_deg)
    shift = np.concatenate([shift_px, np.zeros((len(shift_px), 1))], axis=1)
    matrix = np.tile(np.eye(4), (len(shift_px), 1, 1))
    matrix[:, :3, :3] = np.swapaxes(rotation, 1, 2)
    matrix[:, :3, 3] = np.einsum("nji,nj->ni", rotation, shift)
    return matrix


def matrix_to_pose(matrix: Floats) -> tuple[Floats, Floats]:
    """(euler_deg (n, 3), shift_px (n, 2)) of Scipion's matrices (n, 4, 4)."""
    rotation = np.swapaxes(matrix[:, :3, :3], 1, 2)
    shift = np.einsum("nij,nj->ni", rotation, matrix[:, :3, 3])
    return matrix_to_euler(rotation), shift[:, :2]


# --------------------------------------------------------------------------------------------- Scipion -> Particles


def particles_from_set(image_set: SetOfParticles) -> Particles:
    """The set's enabled particles with all that Scipion knows about them; ids are the items' ids.

    Half sets and optics groups are attributes of the items, set by RELION's plugin or ours; the optics table is that of
    the set. Attributes that only some particles have are omitted. The modes of ContinuousFlex's amplitudes are taken
    from the run that found them.
    Raises InputError if the set is empty, or only some of its particles have a CTF, a pose or amplitudes.
    """
    items = [item.clone() for item in image_set.iterItems() if item.isEnabled()]
    if not items:
        raise InputError(f"the particle set '{image_set.getFileName()}' is empty: got no enabled particles")
    pixel_size_A = float(image_set.getSamplingRate())
    poses = _poses(items) if image_set.hasAlignmentProj() else None
    mode_ids, amplitudes = _amplitudes(items, image_set)
    cost, score = _column(items, COST_ATTRIBUTE, float), None
    ambiguous = _column(items, _AMBIGUOUS_ATTRIBUTE, bool)
    if cost is not None:
        score, failed = score_of_cost(cost)
        ambiguous = with_failed(ambiguous, failed)
    extra = _kept_columns(items)
    numbers: dict[str, Any] = {field: _column(items, attribute, float) for attribute, field in _NUMBERS.items()}
    numbers |= {field: _vectors(items, attribute) for attribute, field in _VECTORS.items()}
    return Particles(
        ids=np.array([item.getObjId() for item in items], dtype=np.int64),
        stacks=np.array([os.path.abspath(plain_stack(item.getFileName())) for item in items], dtype=object),
        indices=np.array([max(item.getIndex(), 1) - 1 for item in items], dtype=np.int64),
        pixel_size_A=pixel_size_A,
        box_px=int(image_set.getXDim()),
        ctf=_ctf(items, image_set.getAcquisition()),
        phase_flipped=bool(image_set.isPhaseFlipped()),
        euler_deg=poses[0] if poses else None,
        shift_A=poses[1] * pixel_size_A if poses else None,
        mode_ids=mode_ids,
        amplitudes=amplitudes,
        motion=_motion(items),
        score=score,
        ambiguous=ambiguous,
        half=_half_sets(items),
        extra=extra,
        optics_extra=_optics_extra(image_set, extra.get(OPTICS_GROUP)),
        **numbers,
    )


def mode_ids_of(image_set: SetOfParticles) -> tuple[int, ...]:
    """The modes of the set's amplitudes; empty if it has none."""
    item = image_set.getFirstItem()
    return _amplitudes([item], image_set)[0] if item is not None else ()


def _kept_columns(items: list[Any]) -> dict[str, Column]:
    """Optics group and cryoSPARC's uid of the particles (n,) as text, each only if all particles have it."""
    return {
        column: np.array([str(value) for value in values], dtype=object)
        for attribute, (column, _) in _COLUMNS.items()
        if (values := _values_of_all(items, attribute)) is not None
    }


def _half_sets(items: list[Any]) -> Integers | None:
    """The half set of each particle (n,); None if not all have one."""
    values = _values_of_all(items, _HALF_SET_ATTRIBUTE)
    return None if values is None else np.array(values, dtype=np.int64)


def _values_of_all(items: list[Any], attribute: str) -> list[Any] | None:
    """One attribute's value per item; None if not every item has it."""
    values = _values(items, attribute)
    return None if None in values else values


def _optics_extra(image_set: SetOfParticles, groups: Column | None) -> Table:
    """Columns of the set's optics table, one row per particle of these groups (n,); empty if it lacks a group."""
    text = image_set.getAcquisition().opticsGroupInfo.get()
    return {} if not text or groups is None else optics_of_text(text, groups)


def _values(items: list[Any], attribute: str) -> list[Any]:
    """One attribute's value per item, None for items without it."""
    found = (getattr(item, attribute, None) for item in items)
    values = (None if value is None else value.get() for value in found)
    return [None if value == "" else value for value in values]


def _values_of_all_or_none(items: list[Any], attribute: str) -> list[Any] | None:
    """One attribute's value per item; None if no item has it. InputError if only some items have it."""
    values = _values(items, attribute)
    lacking = [item.getObjId() for item, value in zip(items, values, strict=True) if value is None]
    if len(lacking) == len(items):
        return None
    if lacking:
        raise InputError(
            f"{len(lacking)} of {len(items)} particles have no {attribute}, for example ids {lacking[:5]}; "
            "expected it for all or for none: join only sets from the same kind of run"
        )
    return values


def _column(items: list[Any], attribute: str, kind: type) -> NDArray[Any] | None:
    values = _values_of_all_or_none(items, attribute)
    return None if values is None else np.array(values, dtype=kind)


def _vectors(items: list[Any], attribute: str) -> Floats | None:
    values = _values_of_all_or_none(items, attribute)
    if values is None:
        return None
    rows = [[float(number) for number in str(value).replace(",", " ").split()] for value in values]
    if len({len(row) for row in rows}) > 1:
        raise InputError(
            f"particles have vectors {attribute} of different lengths {sorted({len(row) for row in rows})}; "
            "join only sets that were analysed with the same modes"
        )
    return np.array(rows, dtype=np.float64)


def _amplitudes(items: list[Any], image_set: SetOfParticles) -> tuple[tuple[int, ...], Floats | None]:
    amplitudes = _vectors(items, AMPLITUDES_ATTRIBUTE)
    if amplitudes is None:
        return (), None
    named = _vectors(items, MODE_IDS_ATTRIBUTE)
    if named is None:
        return modes_of_its_amplitudes(image_set, items[0].getObjId(), amplitudes[0]), amplitudes
    if len(np.unique(named, axis=0)) > 1:
        raise InputError(
            f"particles have amplitudes of different modes {np.unique(named, axis=0).astype(int).tolist()}; "
            "join only sets that were analysed with the same modes"
        )
    return tuple(int(mode) for mode in named[0]), amplitudes


def _motion(items: list[Any]) -> str:
    """The motion that the amplitudes are of, straight without the attribute. InputError where they differ."""
    found = {value or STRAIGHT for value in _values(items, _MOTION_ATTRIBUTE)}
    if len(found) > 1:
        raise InputError(
            f"particles have amplitudes of different motions, {' and '.join(sorted(found))}, with which the same "
            "numbers mean different conformations; join only sets of one motion"
        )
    return found.pop()


def _poses(items: list[Any]) -> tuple[Floats, Floats]:
    lacking = [item.getObjId() for item in items if not item.hasTransform()]
    if lacking:
        raise InputError(
            f"the set has projection alignment, but {len(lacking)} particles have no pose, for example {lacking[:5]}"
        )
    return matrix_to_pose(np.array([item.getTransform().getMatrix() for item in items], dtype=np.float64))


def _ctf(items: list[Any], acquisition: Acquisition) -> Ctf | None:
    lacking = [item.getObjId() for item in items if not item.hasCTF()]
    if len(lacking) == len(items):
        return None
    if lacking:
        raise InputError(
            f"{len(lacking)} of {len(items)} particles have no CTF, for example ids {lacking[:5]}; "
            "assign a CTF to all of them or to none"
        )
    models = [item.getCTF() for item in items]
    # an item may have the acquisition of its own optics group
    optics = [item.getAcquisition() if item.hasAcquisition() else acquisition for item in items]
    return Ctf(
        defocus_u_A=np.array([m.getDefocusU() for m in models], dtype=np.float64),
        defocus_v_A=np.array([m.getDefocusV() for m in models], dtype=np.float64),
        defocus_angle_deg=np.array([m.getDefocusAngle() for m in models], dtype=np.float64),
        voltage_kV=np.array([a.getVoltage() for a in optics], dtype=np.float64),
        cs_mm=np.array([a.getSphericalAberration() for a in optics], dtype=np.float64),
        amplitude_contrast=np.array([a.getAmplitudeContrast() for a in optics], dtype=np.float64),
        phase_shift_deg=np.array([m.getPhaseShift() or 0.0 for m in models], dtype=np.float64),
    )


# --------------------------------------------------------------------------------------------- Particles -> Scipion


def fill_set(
    output: SetOfParticlesFlex, particles: Particles, *sources: SetOfParticles, new_images: bool = False
) -> None:
    """Append one item per particle to ``output``.

    With ``sources``, items are copies of their items with the same ids, with all that Scipion knows about them; poses,
    amplitudes, scores, landscape coordinates and, if known, half sets are taken from ``particles``, and with
    ``new_images`` the images, too. InputError if a particle is in none of the sources. Without sources, items are made
    from ``particles`` alone.
    """
    if sources:
        output.copyInfo(sources[0])
        output.setHasCTF(sources[0].hasCTF())
        if len({source.getAcquisition().opticsGroupInfo.get() for source in sources}) > 1:
            output.getAcquisition().opticsGroupInfo.set("")  # one table cannot describe the groups of several sets
        items = _items_of(sources, particles)
    else:
        _describe_new_set(output, particles)
        items = (_new_item(particles, row) for row in range(len(particles)))
    if new_images:
        output.setSamplingRate(particles.pixel_size_A)
        output.setIsPhaseFlipped(particles.phase_flipped)
    output.getFlexInfo().setProgName(PACKAGE)
    if particles.euler_deg is not None and particles.shift_A is not None:
        output.setAlignmentProj()
        # shifts in pixels of the set's images, which may differ from the images on which the poses were found
        shift_px = particles.shift_A / float(output.getSamplingRate())
        matrices: Floats | None = pose_to_matrix(particles.euler_deg, shift_px)
    else:
        matrices = None
    rows = {int(number): row for row, number in enumerate(particles.ids)}
    for item in items:
        row = rows[item.getObjId()]
        if new_images:
            _set_image(item, particles, row)
        if matrices is not None:
            item.setTransform(Transform(matrices[row]))
        if particles.half is not None:
            setattr(item, _HALF_SET_ATTRIBUTE, Integer(int(particles.half[row])))
        _set_results(item, particles, row)
        output.append(item)


def _items_of(sources: Sequence[SetOfParticles], particles: Particles) -> Iterator[ParticleFlex]:
    wanted = set(particles.ids.tolist())
    missing = wanted - {int(number) for source in sources for number in source.getIdSet()}
    if missing:
        raise InputError(
            f"{len(missing)} of {len(wanted)} particle ids are not in the input set, for example "
            f"{sorted(missing)[:5]}; the result must come from exactly that set"
        )
    names = [_attribute_names(source.getFirstItem()) for source in sources]
    shared = names[0].intersection(*names[1:])
    for source, own in zip(sources, names, strict=True):
        for item in source.iterItems():
            if item.getObjId() in wanted:
                flexible = ParticleFlex(progName=PACKAGE)
                flexible.copy(item)  # the iteration reuses one object
                for name in own - shared:  # the set has one table, so attributes of only some sources cannot be kept
                    delattr(flexible, name)
                yield flexible


def _attribute_names(item: Any) -> set[str]:
    return {name for name, _ in item.getAttributes()}


def _describe_new_set(output: SetOfParticlesFlex, particles: Particles) -> None:
    output.setSamplingRate(particles.pixel_size_A)
    output.setIsPhaseFlipped(particles.phase_flipped)
    output.setHasCTF(particles.ctf is not None)
    if particles.ctf is not None:
        output.setAcquisition(_acquisition(particles.ctf, row=0))
    if OPTICS_GROUP in particles.extra:
        output.getAcquisition().opticsGroupInfo.set(optics_text(particles))


def _acquisition(ctf: Ctf, row: int) -> Acquisition:
    return Acquisition(
        magnification=10000,
        voltage=float(ctf.voltage_kV[row]),
        sphericalAberration=float(ctf.cs_mm[row]),
        amplitudeContrast=float(ctf.amplitude_contrast[row]),
    )


def _new_item(particles: Particles, row: int) -> ParticleFlex:
    item = ParticleFlex(progName=PACKAGE)
    item.setObjId(int(particles.ids[row]))
    _set_image(item, particles, row)
    if particles.ctf is not None:
        model = CTFModel()
        c = particles.ctf
        model.setStandardDefocus(float(c.defocus_u_A[row]), float(c.defocus_v_A[row]), float(c.defocus_angle_deg[row]))
        if c.phase_shift_deg.any():
            model.setPhaseShift(float(c.phase_shift_deg[row]))
        item.setCTF(model)
        item.setAcquisition(_acquisition(c, row))
    for attribute in _COLUMNS:
        _set_column(item, particles, row, attribute)
    return item


def _set_column(item: ParticleFlex, particles: Particles, row: int, attribute: str) -> None:
    """Set the attribute for a column of the particle file, if there is such a column."""
    column, kind = _COLUMNS[attribute]
    if column not in particles.extra:
        return
    text = particles.extra[column][row]
    if kind is Integer and not text.lstrip("-").isdigit():
        raise InputError(f"column {column}, particle {particles.ids[row]}: got '{text}', expected a whole number")
    setattr(item, attribute, kind(int(text) if kind is Integer else text))


def _set_image(item: ParticleFlex, particles: Particles, row: int) -> None:
    stack = os.path.relpath(particles.stacks[row])  # Scipion's paths are relative to the project
    item.setLocation(int(particles.indices[row]) + 1, stack)
    item.setSamplingRate(particles.pixel_size_A)


def _set_results(item: ParticleFlex, particles: Particles, row: int) -> None:
    for name in _RESULT_ATTRIBUTES & _attribute_names(item):
        delattr(item, name)  # of the result that is replaced
    item.setZFlex([])
    item.setZRed([])
    if particles.amplitudes is not None:
        setattr(item, AMPLITUDES_ATTRIBUTE, _csv(particles.amplitudes[row], float))
        setattr(item, MODE_IDS_ATTRIBUTE, _csv(particles.mode_ids, int))
        # straight, too: Scipion's unions keep only attributes that all sets have
        setattr(item, _MOTION_ATTRIBUTE, String(particles.motion))
        item.setZFlex([float(value) for value in particles.amplitudes[row]])
    coordinates = [particles.extra[name][row] for name in _coordinate_columns(particles)]
    if coordinates:
        item.setZRed([float(value) for value in coordinates])
    for attribute, field in _VECTORS.items():
        values = getattr(particles, field)
        if values is not None:
            setattr(item, attribute, _csv(values[row], float))
    if particles.score is not None:
        setattr(item, COST_ATTRIBUTE, Float(1 - float(particles.score[row])))
    for attribute, field in _NUMBERS.items():
        column = getattr(particles, field)
        if column is not None:
            setattr(item, attribute, Float(float(column[row])))
    if particles.ambiguous is not None:
        setattr(item, _AMBIGUOUS_ATTRIBUTE, Boolean(bool(particles.ambiguous[row])))


def _coordinate_columns(particles: Particles) -> list[str]:
    """Names of the columns with the particles' coordinates in a landscape, in order."""
    names = [f"cfd{kind}{number}" for kind in ("PC", "Dim") for number in range(1, len(particles.extra) + 1)]
    return [name for name in names if name in particles.extra]


def _csv(values: Iterable[Any], kind: type) -> CsvList:
    numbers = CsvList(pType=kind)
    numbers.set([kind(value) for value in values])
    return numbers
