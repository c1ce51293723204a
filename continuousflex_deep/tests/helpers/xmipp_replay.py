"""Xmipp's HEMNMA program without Xmipp: gives the results that the real one was recorded to find for the same images.

The recordings in tests/data were made by Xmipp's xmipp_nma_alignment, built from its sources of July 2025 (release
3.25.06.0 and later changes). Where Xmipp is installed,
`python -m continuousflex_deep.tests.helpers.xmipp_replay` makes new ones.
What the stand-in checks and writes, and in which order, is what the real program does. It is started many times, so
it imports no more than it needs.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[1] / "data"
METHODS = {"wavelets": "xmipp_ak12_wavelets.xmd", "projections": "xmipp_ak12_projections.xmd"}
_SIDE = 8  # an image is known by its means over 8 × 8 squares

_SCRIPT = """#!{python}
import sys
from continuousflex_deep.tests.helpers.xmipp_replay import replay

sys.exit(replay(sys.argv[1:], {recordings!r}, {signatures!r}))
"""
OPTIONS = (
    "-i", "-o", "--pdb", "--odir", "--resume", "--modes", "--sampling_rate", "--filterVol", "--centerPDB",
    "--fixed_Gaussian", "--trustradius_scale", "--mask", "--projMatch", "--discrAngStep",
)  # fmt: skip
_SWITCHES = ("--resume", "--centerPDB", "--projMatch")


def install(folder: Path, images: np.ndarray, recordings: dict[str, Path]) -> Path:
    """Make folder/bin with the serial and the MPI program, which know these phase-flipped, bright images (n, d, d), in
    the order of the recordings. Returns the folder, for --xmipp-home."""
    (folder / "bin").mkdir(parents=True)
    np.save(folder / "signatures.npy", signatures(images))
    text = _SCRIPT.format(
        python=sys.executable,
        recordings={k: str(v) for k, v in recordings.items()},
        signatures=str(folder / "signatures.npy"),
    )
    for name in ("xmipp_nma_alignment", "xmipp_mpi_nma_alignment"):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    return folder


def install_for(inputs: Path, folder: Path) -> Path:
    """The same for the images of the engines' contract, in the folder of its inputs."""
    import torch

    from continuousflex_deep.imaging.preprocessing import phase_flip
    from continuousflex_deep.io.particle_files import read_particles
    from continuousflex_deep.io.stacks import read_images

    particles = read_particles(inputs / "images" / "particles.star")
    images = phase_flip(torch.as_tensor(read_images(particles)), particles).numpy()
    return install(folder, images, {method: DATA / file for method, file in METHODS.items()})


def signatures(images: np.ndarray) -> np.ndarray:
    """(n, 64) by which images (n, d, d) are known."""
    n, d = images.shape[0], images.shape[-1] // _SIDE * _SIDE
    means = images[:, :d, :d].reshape(n, _SIDE, d // _SIDE, _SIDE, d // _SIDE).mean(axis=(2, 4)).reshape(n, -1)
    means = means - means.mean(axis=1, keepdims=True)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


def replay(arguments: list[str], recordings: dict[str, str], known_file: str) -> int:
    """The program. The environment's REPLAY_DIES_AFTER makes it and who started it be killed after so many rows,
    in the middle of one, and REPLAY_DIES_AT makes it fail at the image of this number."""
    import os

    import mrcfile

    from continuousflex_deep.io.star import read_star

    if "--help" in arguments:
        print("\n".join(OPTIONS))
        return 0
    given: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        if word not in OPTIONS:
            print(f"XMIPP_ERROR 14: unknown parameter {word}", file=sys.stderr)
            return 1
        given[word] = "" if word in _SWITCHES else next(words)
    modes = read_star(given["--modes"])["noname"]
    atoms = [line for line in Path(given["--pdb"]).read_text().splitlines() if line.startswith(("ATOM", "HETATM"))]
    for name in modes["nmaModefile"]:
        if len(np.loadtxt(name)) != len(atoms):
            print(f"XMIPP_ERROR: {name} does not fit {given['--pdb']}", file=sys.stderr)
            return 1
    recording = recordings["projections" if "--projMatch" in given else "wavelets"]
    lines = Path(recording).read_text().splitlines(keepends=True)
    header = [line for line in lines if "@" not in line]
    known = {int(line.split("@")[0].split()[-1]): line for line in lines if "@" in line}
    done = Path(given["--odir"]) / "nmaDone.xmd"
    if "--resume" not in given or not done.exists():
        done.write_text("".join(header))
    finished = {w for line in done.read_text().splitlines() if "@" in line for w in line.split() if "@" in w}
    table = read_star(given["-i"])["noname"]
    stack = table["image"][0].partition("@")[2]
    images = np.array(mrcfile.read(stack))
    ground = np.concatenate([images[:, :2].reshape(len(images), -1), images[:, -2:].reshape(len(images), -1)], axis=1)
    if (np.abs(ground.mean(axis=1)) > 0.5).any() or (np.abs(images.std(axis=(1, 2)) - 1) > 0.01).any():
        print("XMIPP_ERROR: images with a constant in them are not aligned well", file=sys.stderr)
        return 1
    agreement = signatures(images) @ np.load(known_file).T
    todo = [name for name in table["image"] if name not in finished]
    dies_after = int(os.environ.get("REPLAY_DIES_AFTER", "-1"))
    if Path(sys.argv[0]).name.startswith("xmipp_mpi"):
        todo.reverse()  # workers finish in any order
    for count, name in enumerate(todo):
        row = agreement[int(name.partition("@")[0]) - 1]
        if row.max() < 0.99:
            print(f"XMIPP_ERROR: image {name} was not recorded (likeness {row.max():.3f})", file=sys.stderr)
            return 1
        if name.partition("@")[0] == os.environ.get("REPLAY_DIES_AT"):
            print("XMIPP_ERROR: no shift was found", file=sys.stderr)
            return 1
        recorded = known[int(row.argmax()) + 1]
        old = next(word for word in recorded.split() if "@" in word)
        with open(done, "a") as out:
            line = recorded.replace(old, name)
            out.write(line[: len(line) // 2] if count == dies_after else line)
        if count == dies_after:
            os.kill(os.getppid(), 9)
            os.kill(os.getpid(), 9)
    done.rename(given["-o"])
    return 0


def record() -> None:
    """Record what the real programs find for the contract's images."""
    from continuousflex_deep.hemnma.alignment import align
    from continuousflex_deep.hemnma.engines.choice import make_engine
    from continuousflex_deep.io.particle_files import read_particles
    from continuousflex_deep.options import AlignOptions
    from continuousflex_deep.tests.helpers.engine_contract import make_inputs, reference

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(folder)
        particles = read_particles(folder / "images" / "particles.star")
        for method, file in METHODS.items():
            options = AlignOptions(engine="xmipp", xmipp_method=method, modes="given", batch=len(particles))
            align(make_engine(*reference(folder), options, folder / method), particles)
            (result,) = (folder / method).glob("xmipp-*/result.xmd")
            DATA.mkdir(exist_ok=True)
            (DATA / file).write_text(result.read_text())
            print(f"{file}: {len(particles)} images")


if __name__ == "__main__":
    record()
