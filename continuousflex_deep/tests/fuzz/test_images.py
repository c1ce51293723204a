"""Damaged image files: each is refused in words, or gives images and maps of the shape that its header has."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.io.maps import read_map, read_volume, volume_origin_A
from continuousflex_deep.io.stacks import check_images, read_images_with_reasons, stack_info
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.image_dialects import mrc_bytes, spider_bytes
from continuousflex_deep.tests.helpers.mutation import BYTES, cases, mutated, survives, words

_RNG = np.random.default_rng(0)
IMAGES = _RNG.integers(-100, 100, size=(3, 8, 8)).astype(np.int8)
FILES = {
    "MRC": mrc_bytes(IMAGES.astype(np.float32)),
    "MRC, big-endian": mrc_bytes(IMAGES.astype(np.int16), order=">", nxstart=3),
    "MRC, bytes": mrc_bytes(IMAGES, dmin=-100, dmax=99),
    "MRC, half": mrc_bytes(IMAGES.astype(np.float16), map=b"", machst=b"\0\0\0\0"),
    "MRC, axes": mrc_bytes(IMAGES.astype(np.float32), axes=(3, 1, 2), origin=(1, 2, 3)),
    "MRC, NaN": mrc_bytes(np.full((3, 8, 8), 0x7F800001, np.uint32).view(np.float32)),  # one that signals
    "MRC, half NaN": mrc_bytes(np.full((3, 8, 8), 0x7C01, np.uint16).view(np.float16), origin=(1, 1, 1)),
    "MRC, extended": mrc_bytes(IMAGES.astype(np.uint16), extended=bytes(160), exttyp=b"SERI"),
    "IMOD": mrc_bytes(IMAGES, imod_flags=1, origin=(4, 0, 0), nversion=0),
    "Spider": spider_bytes(IMAGES),
    "Spider, big-endian": spider_bytes(IMAGES, order=">"),
    "Spider map": spider_bytes(IMAGES, as_map=True),
}
# words of the header count more than labels and pixels
MUTATIONS = (*BYTES, words(108), words(224), words(1024), words(108))


def read_stack(path: Path) -> None:
    info = stack_info(path)
    assert info.n >= 1
    assert info.box_px >= 1
    assert info.pixel_size_A is None or 0 < info.pixel_size_A < np.inf
    indices = np.array([0, info.n - 1])
    names = np.array([str(path)] * 2, dtype=object)
    particles = Particles(
        ids=np.arange(2), stacks=names, indices=indices, pixel_size_A=info.pixel_size_A or 1.0, box_px=info.box_px
    )
    check_images(particles)
    images, reasons = read_images_with_reasons(particles)
    assert images.shape == (2, info.box_px, info.box_px)
    assert images.dtype == np.float32
    assert np.isfinite(images).all()
    assert len(reasons) == 2


def read_as_map(path: Path) -> None:
    volume, voxel_A = read_volume(path)
    assert volume.ndim == 3
    assert volume.dtype == np.float32
    assert volume.size <= path.stat().st_size
    assert 0 <= voxel_A < np.inf
    origin_A = volume_origin_A(path, voxel_A or 1.0)
    assert origin_A.shape == (3,)
    assert np.isfinite(origin_A).all()
    again, given_A = read_map(path, 2.0)
    assert given_A == 2.0
    assert np.isfinite(again).all()


@pytest.mark.parametrize("read", [read_stack, read_as_map])
def test_damaged_files_are_read_or_refused(tmp_path: Path, read) -> None:
    """Case by case the same files for both readers. What is refused is most of it, but not all."""
    outcomes = [
        survives(case, tmp_path / f"{case.number}.dat", read)
        for case in mutated(FILES, MUTATIONS, count=cases(400), seed=1)
    ]
    assert outcomes.count("read") > 0.1 * len(outcomes)
    assert outcomes.count("read") < 0.9 * len(outcomes)


def test_valid_files_are_read(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
        if name not in ("MRC, axes", "Spider map"):
            read_stack(tmp_path / name)
        if name not in ("Spider", "Spider, big-endian", "MRC, NaN", "MRC, half NaN"):
            read_as_map(tmp_path / name)
