"""The comparisons that the options of `evaluate` ask for: which results with which, along which modes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from continuousflex_deep.assessment.assessment import TRUTH, VERSUS, Assessment
from continuousflex_deep.assessment.evaluation import Evaluation, comparable, evaluate, evaluate_between
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.modes import NormalModes, parse_mode_list
from continuousflex_deep.io.names import distinct, telling_names
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.reference import no_modes, read_reference, read_rigid_reference
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.messages import note
from continuousflex_deep.options import AlignOptions, EvaluateOptions
from continuousflex_deep.particles import Particles, join
from continuousflex_deep.symmetry import point_group

if TYPE_CHECKING:
    from continuousflex_deep.assessment.centroids import GroupAgreement


def assess(options: EvaluateOptions) -> Assessment:
    """The comparisons that the options describe. Raises InputError where there is nothing to compare, and as each
    comparison does."""
    if not (options.truth or options.reconstruction or len(options.particles) > 1):
        raise InputError(
            "one particle file alone cannot be compared: give the true parameters by --truth, another result by "
            "--particles, or the maps of groups by --reconstruction"
        )
    if options.bound and not options.truth:
        raise InputError("--bound: the Cramér-Rao bound needs the true parameters; give them by --truth")
    asked = parse_mode_list(options.mode_list) if options.mode_list else None
    sets = {name: read_particles(path, mode_ids=asked) for name, path in _named(options.particles).items()}
    structure, modes = _reference(options, asked or _common_modes(sets))
    truth = read_particles(options.truth, mode_ids=asked) if options.truth else None
    if options.bound and truth is not None and truth.amplitudes is not None and not options.modes:
        raise InputError("--bound: option --modes is required, since the truth has amplitudes")
    _require_symmetric(structure, modes, options)
    how, results = (options.lost_deg, options.symmetry), {}
    if truth is not None:
        results = {name: evaluate(p, truth, structure, modes, *how) for name, p in sets.items()}
    between = _between(sets, structure, modes, *how)
    first = next(iter(sets.values()))
    bound = _bound(join(first, truth), structure, modes, options) if options.bound and truth is not None else None
    return Assessment(results, between, bound, _groups(truth, options))


def _reference(options: EvaluateOptions, mode_ids: tuple[int, ...] | None) -> tuple[Structure, NormalModes]:
    """The structure and its modes, or no modes where there are no amplitudes and no modes are given."""
    if options.modes:
        return read_reference(options.structure, options.modes, mode_ids, options)
    if mode_ids:
        raise InputError(
            f"option --modes is required, a folder with modes {list(mode_ids)}; only particles without amplitudes are "
            "compared without modes"
        )
    return read_rigid_reference(options.structure, options)


def _common_modes(sets: Mapping[str, Particles]) -> tuple[int, ...] | None:
    """The modes of the results with amplitudes, None without amplitudes. InputError where they differ."""
    found = {name: p.mode_ids for name, p in sets.items() if p.amplitudes is not None}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"'{name}' {list(modes)}" for name, modes in found.items())
        raise InputError(f"the results have different modes, {listed}; select those to compare by --mode-list")
    return next(iter(found.values()), None)


def _require_symmetric(structure: Structure, modes: NormalModes, options: EvaluateOptions) -> None:
    """InputError unless the structure has this symmetry; a wrong symmetry would hide errors."""
    rotations = point_group(options.symmetry)
    if len(rotations) == 1:
        return
    # torch is imported only where it is needed
    import torch

    from continuousflex_deep.devices import choose_device
    from continuousflex_deep.imaging.projector import PointModel, require_symmetric

    model = PointModel.from_structure(structure, modes, choose_device("cpu", options.threads))
    require_symmetric(model, torch.as_tensor(rotations, dtype=torch.float32), options.symmetry)


def _between(
    sets: Mapping[str, Particles], structure: Structure, modes: NormalModes, lost_deg: float, symmetry: str
) -> dict[str, Evaluation]:
    """Each pair of results over the particles that both have. Pairs with nothing in common are reported."""
    found = {}
    for (first, p), (second, other) in combinations(sets.items(), 2):
        if comparable(p, other):
            found[f"{first}{VERSUS}{second}"] = evaluate_between(p, other, structure, modes, lost_deg, symmetry)
        else:
            note(f"'{first}' and '{second}' are not compared: they share no particles, or no type of parameter")
    return found


def _groups(truth: Particles | None, options: EvaluateOptions) -> "Sequence[GroupAgreement]":
    """The groups' maps, along the groups' own modes, independent of the modes along which results are compared."""
    if not options.reconstruction:
        return ()
    # maps need torch
    from continuousflex_deep.assessment.centroids import assess_groups, modes_needed
    from continuousflex_deep.assessment.group_maps import read_group_maps
    from continuousflex_deep.devices import choose_device

    choose_device("cpu", options.threads)
    groups = read_group_maps(options.reconstruction)
    structure, modes = _reference(options, modes_needed(groups, truth) or None)
    return assess_groups(groups, structure, modes, truth, options.b_factor_A2)


def _named(paths: tuple[str, ...]) -> dict[str, str]:
    """The files by their names without suffix, with as much of their paths as distinguishes them. The name "truth" is
    reserved for the truth; a file with this name gets another one. InputError for a file that is given twice."""
    for path in paths:
        if paths.count(path) > 1:
            raise InputError(
                f"--particles: '{path}' is given twice; give different results"
            )
    bare = [Path(path).with_suffix("") for path in paths]
    names = telling_names(bare if len(set(bare)) == len(bare) else paths)
    return dict(zip(distinct(names, taken=(TRUTH,)), paths, strict=True))


def _bound(truth: Particles, structure: Structure, modes: NormalModes, options: EvaluateOptions) -> dict[str, float]:
    """Expected absolute errors at the Cramér–Rao bound, by kind of error."""
    # the bound needs torch, and the images
    from continuousflex_deep.hemnma.alignment import calibration_for
    from continuousflex_deep.hemnma.bound import cramer_rao_bound
    from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine

    settings = AlignOptions(init="local", device=options.device, threads=options.threads)
    modes = no_modes(structure) if truth.amplitudes is None else modes.moving(truth.motion)
    # what other particles tell is not in the images that the bound is of
    engine = EmbeddedEngine(structure, replace(modes, density=None), settings)
    return cramer_rao_bound(engine, truth, calibration_for(engine, truth)).as_errors()
