"""The doctor command: what is installed, and a check of the numerical core."""

import importlib.metadata
import os
import platform
import time

import numpy as np

from continuousflex_deep._version import __version__
from continuousflex_deep.errors import DeepError, MissingDependencyError
from continuousflex_deep.options import DoctorOptions
from continuousflex_deep.programs import (
    ELNEMO,
    ELNEMO_DIAGRTB,
    RELION,
    RELION_RECONSTRUCT,
    XMIPP,
    XMIPP_ALIGN,
    XMIPP_ALIGN_MPI,
    XMIPP_PSEUDOATOMS,
    XMIPP_RECONSTRUCT,
)

_NEEDED = ("numpy", "scipy", "gemmi", "mrcfile", "tqdm", "torch", "torchvision", "scikit-learn", "matplotlib")
# optional packages: the extra that installs each, and when it helps
_OPTIONAL = {
    "plotly": ("compute", "reports"),
    "dash-molstar": ("compute", "reports"),
    "umap-learn": ("umap", "landscape --method umap"),
    "scipion-app": ("scipion", "protocols and windows"),
    "scipion-em": ("scipion", "protocols and windows"),
    "scipion-pyworkflow": ("scipion", "protocols and windows"),
    "scipion-em-xmipp": ("xmipp", "Xmipp's programs through Scipion, for --engine xmipp"),
    "scipion-em-continuousflex": ("continuousflex", "exchange of modes and particles with ContinuousFlex"),
}
_PROGRAMS = (
    (RELION, RELION_RECONSTRUCT, "reconstruct --engine relion"),
    (XMIPP, XMIPP_ALIGN, "align --engine xmipp"),
    (XMIPP, XMIPP_ALIGN_MPI, "the same with --xmipp-processes"),
    (XMIPP, XMIPP_PSEUDOATOMS, "pseudoatoms --engine xmipp"),
    (XMIPP, XMIPP_RECONSTRUCT, "reconstruct --engine xmipp"),
    (ELNEMO, ELNEMO_DIAGRTB, "nma --engine elnemo"),
)


def run(options: DoctorOptions) -> None:
    """Print versions, devices and optional programs, then compute something small.

    Raises MissingDependencyError if a required library is absent and DeepError if the computation is wrong.
    """
    print(f"continuousflex_deep {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"{os.cpu_count()} CPU cores, {_memory_gb():.0f} GB memory")
    missing = [name for name in _NEEDED if not _report(name, "MISSING")]
    for name, (extra, purpose) in _OPTIONAL.items():
        _report(name, f"not installed (optional, extra '{extra}': {purpose})")
    for package, program, purpose in _PROGRAMS:
        found = package.find(program)
        version = f", version {package.version(found)}" if found and package.version(found) else ""
        print(f"  {program} ({purpose}): {f'{found}{version}' if found else 'not found (optional)'}")
    if missing:
        raise MissingDependencyError(f"missing: {', '.join(missing)}; install the package with its 'compute' extra")
    for line in _devices():
        print(line)
    started = time.perf_counter()
    deviation = self_check()
    print(
        f"self-check: projection of a shifted structure agrees to {deviation:.1e} in "
        f"{time.perf_counter() - started:.2f} s"
    )


def self_check() -> float:
    """Largest relative deviation between the projection of a moved structure and the moved projection.

    Raises DeepError if it exceeds rounding errors: then scattering, Fourier transforms or their conventions are broken.
    """
    import torch

    from continuousflex_deep.imaging.scattering import project, scatterers
    from continuousflex_deep.io.structures import Structure

    rng, n, box_px, pixel_size_A = np.random.default_rng(0), 50, 49, 1.5
    carbon, name = np.full(n, 6), np.array(["C"] * n, dtype=object)
    structure = Structure(
        rng.normal(scale=6, size=(n, 3)), carbon, carbon.astype(float), name, name, np.arange(n), name
    )
    atoms, xy = scatterers(structure), torch.as_tensor(structure.coords_A[:, :2])
    still = project(atoms, xy, box_px, pixel_size_A)
    moved = project(atoms, xy + pixel_size_A * torch.tensor([3.0, -2.0]), box_px, pixel_size_A)
    deviation = float((moved - still.roll((-2, 3), dims=(0, 1))).abs().max() / still.abs().max())
    if not deviation < 1e-3:
        raise DeepError(
            f"self-check failed: projections deviate by {deviation:.2g}, expected below 0.001; reinstall torch"
        )
    return deviation


def _report(name: str, absent: str) -> bool:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        print(f"  {name}: {absent}")
        return False
    print(f"  {name} {version}")
    return True


def _devices() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return [
            f"no GPU for torch (built for CUDA {torch.version.cuda or 'none'}); computing on {torch.get_num_threads()} "
            "CPU threads"
        ]
    names = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [f"GPU {i}: {p.name}, {p.total_memory / 1e9:.0f} GB" for i, p in enumerate(names)]


def _memory_gb() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
