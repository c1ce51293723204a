"""Inputs of all commands in one folder, small and of every kind that errors ask for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import torch

from continuousflex_deep.cli import main
from continuousflex_deep.io.file_names import PARTICLES_STAR
from continuousflex_deep.io.groups import COLOURS, NamedGroup, write_groups
from continuousflex_deep.io.landscape_table import read_landscape_table
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.io.modes import read_modes, write_modes
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.records import read_record
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.nn.checkpoint import BEST, load_checkpoint
from continuousflex_deep.nn.preparation import HALVES
from continuousflex_deep.particles import HELICAL, concatenate
from continuousflex_deep.programs import ELNEMO_ARPACK, ELNEMO_DIAGRTB, ELNEMO_PDBMAT, XMIPP_ALIGN, XMIPP_ALIGN_MPI
from continuousflex_deep.tests.helpers.dcd_files import dcd
from continuousflex_deep.tests.helpers.gaussian_particles import true_map
from continuousflex_deep.tests.helpers.landscape_data import make_particles
from continuousflex_deep.tests.helpers.nn_toy import toy_ctf, toy_model_files, toy_particles
from continuousflex_deep.tests.helpers.pdb_text import Line, lines_of, pdb
from continuousflex_deep.tests.helpers.report_inputs import write_helix
from continuousflex_deep.tests.helpers.xmipp_replay import OPTIONS

N = 40


def write_inputs(folder: Path) -> None:
    """Write them, by the commands where they make them. Networks should be narrow (tests.helpers.quick_trainings)."""
    _particles(folder)
    _structures_and_maps(folder)

    def run(line: str) -> None:
        assert main([word.replace("@", f"{folder}/") for word in line.split()]) == 0, line

    run("nma --structure @helix.pdb --output @helix_modes --cutoff-A 12 --block-size 0 --n-modes 9")
    run("landscape --particles @line.star --output @pca")
    run("landscape --particles @toy.star --output @plane")
    run("landscape --particles @toy.star --output @central --outlier-distance 1")
    run("landscape --particles @scored.star --output @scored")
    run("landscape --particles @flat.star --output @flat")
    run("landscape --particles @five.star --output @five")
    run("trajectory --landscape @plane --structure @toy.pdb --modes @modes --output @path --movie none")
    run("reconstruct --particles @small.star --no-ctf --output @maps --threads 1 --device cpu")
    run("group --landscape @plane --expression pc1>0 --output @group.star")
    run("clusters --landscape @pca --output @groups.json --n-clusters 2")
    train = "train --backbone resnet18 --epochs 1 --batch 10 --readers 1 --threads 1 --device cpu --output"
    run(f"{train} @network --particles @toy.star --box 32")
    run(f"{train} @angles --particles @toy.star --targets angles")
    run(f"{train} @second --particles @new.star --start-from @network --second-pass")
    run(f"{train} @rest --particles @toy.star --recipe paper --targets separate")
    run(f"{train} @halves --particles @toy.star --half-sets")
    run(f"{train} @flipped --particles @flipped.star --box 32")
    _results_of_results(folder, run)
    _programs(folder / "programs")
    (folder / "a.html").mkdir()
    (folder / "named").mkdir()
    (folder / "named" / "groups.json").write_bytes((folder / "groups.json").read_bytes())


def _particles(folder: Path) -> None:
    _, toy = toy_particles(folder, n=N, noise=0.3, box_px=64)
    changed = {
        "other": toy.replace(amplitudes=toy.amplitudes + 1),
        "rigid": toy.replace(amplitudes=None, mode_ids=()),
        "bare": toy.replace(amplitudes=None, mode_ids=(), euler_deg=None, shift_A=None),
        "modes_8_9": toy.replace(mode_ids=(8, 9)),
        "few": toy.select(np.arange(11)),
        "three": toy.select(np.arange(3)),
        "negative": toy.replace(amplitudes_sd=np.full((N, 2), -1.0)),
        "helical": toy.replace(motion=HELICAL),
        "scored": toy.replace(score=np.full(N, 0.5)),
        "flat": toy.replace(amplitudes=toy.amplitudes * (1, 0)),
        "seen_through": toy.replace(ctf=toy_ctf(np.full(N, 15000.0))),
        "flipped": toy.replace(ctf=toy_ctf(np.full(N, 15000.0)), phase_flipped=True),
    }
    for name, particles in changed.items():
        write_particles(particles, folder / f"{name}.star")
    write_particles(toy.replace(ids=toy.ids + 10_000), folder / "new.star")
    apart = toy.amplitudes + np.where(np.arange(N) % 2, 1e5, 0)[:, None]
    write_particles(toy.replace(amplitudes=apart), folder / "apart.star")
    five = np.random.default_rng(0).normal(size=(N, 5))
    write_particles(toy.replace(mode_ids=(7, 8, 9, 10, 11), amplitudes=five), folder / "five.star")
    small = folder / "small.mrcs"
    write_stack(small, read_images(toy)[:, 16:48, 16:48], toy.pixel_size_A)
    stacks = np.full(N, str(small), dtype=object)
    write_particles(toy.replace(stacks=stacks, box_px=32), folder / "small.star")
    write_stack(folder / "no_pixel_size.mrcs", read_images(toy), 0.0)
    rows = "".join(f"{i + 1}@no_pixel_size.mrcs {q7} {q8}\n" for i, (q7, q8) in enumerate(toy.amplitudes))
    columns = "_rlnImageName #1\n_cfdAmplitude7 #2\n_cfdAmplitude8 #3\n"
    (folder / "no_pixel_size.star").write_text(f"data_\n\nloop_\n{columns}{rows}")
    # as FREALIGN 9 writes its parameters, of images in small.mrcs
    row = "%7d%8.2f%8.2f%8.2f%10.2f%10.2f%8d%6d%9.1f%9.1f%8.2f%8.2f%10d%11.4f%8.2f%8.2f\n"
    lines = [row % (i + 1, 10 * i, 40, 70, 1, -2, 50000, 1, 15e3, 15e3, 0, 60, -2200, 0.5, 20, 0.5) for i in range(N)]
    (folder / "small.par").write_text("".join(lines))
    (folder / "expanded.star").write_text(f"data_\n\nloop_\n{columns}{rows}{rows}")
    write_particles(make_particles(folder, n=200), folder / "line.star")
    (folder / "other_comparison").mkdir()
    write_particles(toy.select(np.arange(20)), folder / "other_comparison" / PARTICLES_STAR)
    for box in (48, 47):
        stack, images = folder / f"box_{box}.mrcs", read_images(toy)[:, 8 : 8 + box, 8 : 8 + box]
        write_stack(stack, images, toy.pixel_size_A)
        stacks = np.full(N, str(stack), dtype=object)
        write_particles(toy.replace(stacks=stacks, box_px=box), folder / f"box_{box}.star")


def _results_of_results(folder: Path, run: Callable[[str], None]) -> None:
    """The particles that a network has been trained on, those of one half of a training with few new ones, a group of
    outliers, and an evaluation that compares nothing."""
    toy, network = read_particles(folder / "toy.star"), load_checkpoint(folder / "network" / BEST)
    write_particles(toy.select(toy.rows_of(network.training_ids.numpy())), folder / "seen.star")
    half = load_checkpoint(folder / "halves" / HALVES[0] / BEST)
    of_half = toy.select(toy.rows_of(torch.cat([half.training_ids, half.validation_ids]).numpy()))
    new = read_particles(folder / "new.star").select(np.arange(6))
    write_particles(concatenate([of_half, new]), folder / "one_half.star")
    table = read_landscape_table(folder / "central")
    write_groups(folder / "far.json", [NamedGroup("far", COLOURS[0], table.ids[table.outlier])])
    run("evaluate --structure @toy.pdb --modes @modes --particles @toy.star --truth @other.star --output @compared")
    record = read_record(folder / "compared" / "record.json")
    (folder / "nothing.json").write_text(json.dumps(record | {"results": {}, "comparisons": {}}))


def _programs(folder: Path) -> None:
    """Stand-ins for Xmipp's and elNemo's programs, which can be started but do no more than name Xmipp's options. What
    is wrong with an input is found before they work."""
    (folder / "bin").mkdir(parents=True)
    for name in (XMIPP_ALIGN, XMIPP_ALIGN_MPI, ELNEMO_PDBMAT, ELNEMO_DIAGRTB, ELNEMO_ARPACK):
        (folder / "bin" / name).write_text(f"#!/bin/sh\necho '{' '.join(OPTIONS)}'\n")
        (folder / "bin" / name).chmod(0o755)


def _structures_and_maps(folder: Path) -> None:
    toy_model_files(folder)
    modes = read_modes(folder / "modes")
    write_modes(folder / "modes_8_9", modes.__class__((8, 9), modes.vectors))
    write_modes(folder / "modes_helical", modes.moving(HELICAL))
    write_modes(folder / "taken_modes", modes)
    write_modes(folder / "one_mode", modes.select((7,)))
    upright = np.linalg.qr(modes.vectors.reshape(2, -1).T)[0].T.reshape(modes.vectors.shape)
    write_modes(folder / "upright_modes", modes.__class__((7, 8), upright))
    third = np.roll(modes.vectors[:1], 1, axis=2)  # in other directions
    write_modes(folder / "modes_7_9", modes.__class__((7, 8, 9), np.concatenate([modes.vectors, third])))
    single, turned = read_structure(folder / "toy.pdb"), (-1, -1, 1)  # about z
    write_structure(folder / "gaussians.pdb", replace(single, sigma_A=3.0))
    atoms, names = np.tile(np.arange(len(single)), 2), np.repeat(["A", "B"], len(single)).astype(object)
    coords_A = np.concatenate([single.coords_A, single.coords_A * turned])
    write_structure(folder / "dimer.pdb", replace(single.select(atoms), coords_A=coords_A, chain_ids=names))
    write_modes(folder / "dimer_modes", modes.__class__((7, 8), modes.vectors[:, atoms] / np.sqrt(2)))
    write_helix(folder / "helix.pdb")
    longer = read_structure(folder / "helix.pdb")
    (folder / "frames.dcd").write_bytes(dcd(frames_A=longer.coords_A[None]))
    _helices(folder, longer)
    atoms = np.r_[np.arange(len(longer)), len(longer) - 1]
    for name, moved_A in (("twice", 0.0), ("longer", 3.8)):
        numbers = np.r_[longer.residue_numbers, len(longer) + 1]
        coords_A = longer.coords_A[atoms] + np.where(numbers > len(longer), moved_A, 0)[:, None]
        changed = replace(longer.select(atoms), coords_A=coords_A, residue_numbers=numbers)
        write_structure(folder / f"{name}.pdb", changed)
    for name, apart_A in (("ensemble", 0.1), ("assembly", 25.0)):
        write_structure(folder / f"{name}.pdb", longer, [longer.coords_A, longer.coords_A + apart_A])
    volume = true_map(24, 4.0).astype(np.float32)
    write_volume(folder / "even.mrc", np.ones_like(volume), 4.0)
    write_volume(folder / "moved.mrc", volume, 4.0, np.array([400.0, 0.0, 0.0]))
    write_volume(folder / "density.mrc", volume, 4.0)
    write_volume(folder / "dark.mrc", -volume, 4.0)
    write_volume(folder / "no_voxel_size.mrc", volume, 0.0)
    write_volume(folder / "stretched.mrc", volume, 4.0)
    with mrcfile.open(folder / "stretched.mrc", "r+") as mrc:
        mrc.voxel_size = (4.0, 4.0, 6.0)
    assert len(read_particles(folder / "toy.star")) == N


def _helices(folder: Path, trace: Structure) -> None:
    """The same helix with Cβ atoms, after all others or each in its residue, with a ligand, with an atom of unknown
    element, and with einsteinium."""
    lines, beside = lines_of(trace), [
        Line("CB", "ALA", "A", i + 1, (x + 1.5, y, z), "C") for i, (x, y, z) in enumerate(trace.coords_A.tolist())
    ]  # fmt: skip
    x, y, z = trace.coords_A[-1].tolist()
    at = (x + 3.0, y, z)
    more = {
        "beside": [*lines, *beside],
        "both": [line for pair in zip(lines, beside, strict=True) for line in pair],
        "ligand": [*lines, Line("C1", "LIG", "B", 1, at, "C")],
        "unknown": [*lines, Line("X1", "UNL", "B", 1, at, "X")],
        "heavy": [*lines, Line("ES", "ES", "B", 1, at, "ES")],
    }
    for name, of_file in more.items():
        (folder / f"{name}.pdb").write_text(pdb(of_file))
