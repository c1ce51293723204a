"""Particle files: RELION STAR (3.0, 3.1 and later) and Xmipp xmd are read and written, cryoSPARC datasets are read.

FREALIGN's parameter files are not complete by themselves; `io.frealign` reads them.
"""

from pathlib import Path

from continuousflex_deep.errors import InputError
from continuousflex_deep.io import relion, xmipp
from continuousflex_deep.io.cryosparc import read_cryosparc
from continuousflex_deep.io.star import read_star, write_star
from continuousflex_deep.messages import note_once
from continuousflex_deep.particles import Particles

FREALIGN = ".par"  # parameter files, which only `convert` reads


def read_particles(
    path: str | Path, pixel_size_A: float | None = None, mode_ids: tuple[int, ...] | None = None
) -> Particles:
    """Particles of a RELION `.star`, an Xmipp `.xmd` or a cryoSPARC `.cs` file.

    pixel_size_A: for files without it (Xmipp, bare stacks); it is an error if it contradicts the file.
    mode_ids: the modes of the amplitudes, for xmd files that do not contain them, such as Xmipp's; default 7, 8, ….
    Ids are cfdParticleId or itemId, or cryoSPARC's uid; else the position in the stack (one stack), else a hash of the
    image's name.
    Stack paths are resolved against the file's folder, then its parents, as RELION's project-relative names require.
    Raises InputError or FormatError with the file, the column and the expected value.
    """
    particles = _read(Path(path), pixel_size_A, mode_ids)
    euler_deg = particles.euler_deg
    if euler_deg is not None and len(euler_deg) > 1 and not euler_deg[:, :2].any():
        note_once(
            f"'{Path(path).name}': rot and tilt are 0 for all particles, as after a two-dimensional classification, or "
            "before any alignment; such angles are no poses of a 3D structure"
        )
    return particles


def _read(path: Path, pixel_size_A: float | None, mode_ids: tuple[int, ...] | None) -> Particles:
    if path.suffix.lower() == FREALIGN:
        raise InputError(
            f"'{path}' is a parameter file of FREALIGN, which names neither its stack nor the microscope; convert it "
            "first: convert --particles FILE.par --stack STACK --voltage-kV … --cs-mm … --amplitude-contrast … "
            "--output FILE.star"
        )
    if path.suffix.lower() == ".cs":
        return read_cryosparc(path, pixel_size_A)
    blocks = read_star(path, lambda column: relion.is_number(column) or xmipp.is_number(column))
    if any("image" in table for table in blocks.values()):
        return xmipp.read_xmipp(path, blocks, pixel_size_A, mode_ids)
    return relion.read_relion(path, blocks, pixel_size_A)


def require_particle_suffix(path: str | Path) -> Path:
    """The path of an output particle file, if its suffix is supported; else an InputError, before any work."""
    if Path(path).suffix not in (".star", ".xmd"):
        raise InputError(
            f"particle file '{path}': got suffix '{Path(path).suffix}', expected .star (RELION) or .xmd (Xmipp)"
        )
    if Path(path).is_dir():
        raise InputError(f"particle file '{path}' is a folder; give another name")
    return Path(path)


def write_particles(particles: Particles, path: str | Path) -> None:
    """Write a `.star` (RELION 3.1 with our columns) or `.xmd` (Xmipp) file, atomically; image paths relative to it."""
    if Path(path).suffix == ".xmd":
        xmipp.write_xmd(path, xmipp.xmipp_table(particles, Path(path)))
    else:
        write_star(path, relion.relion_blocks(particles, Path(path)), header="# version 30001\n")
