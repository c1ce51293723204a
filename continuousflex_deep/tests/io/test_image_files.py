"""Image files are recognised by their content, whatever their names; stacks and maps are not confused."""

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.stacks import check_images, read_images, stack_info, write_stack
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.image_dialects import mrc_bytes, particles_of, spider_bytes, write_mrc

FLOATS = np.random.default_rng(5).normal(size=(4, 6, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(mrc_bytes(FLOATS), mtime=0), "compressed by gzip; decompress it by gunzip"),
        (bz2.compress(mrc_bytes(FLOATS)), "compressed by bzip2; decompress it by bunzip2"),
        (lzma.compress(mrc_bytes(FLOATS)), "compressed by xz; decompress it by unxz"),
        (b"\x89HDF\r\n\x1a\n" + bytes(2000), "an HDF5 file; convert it to MRC"),
        (b"II*\0" + bytes(2000), "a TIFF file; convert it to MRC"),
        (bytes(4000), "unknown format; expected an MRC or Spider file"),
        (b"_rlnImageName #1\n" * 200, "unknown format; expected an MRC or Spider file"),
    ],
)
def test_other_formats_are_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "s.mrc").write_bytes(content)
    for read in (stack_info, read_volume):
        with pytest.raises(FormatError, match=said):
            read(tmp_path / "s.mrc")


def test_a_stack_is_no_map_and_a_map_no_stack(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs", FLOATS, 2.0)
    with pytest.raises(FormatError, match="is a stack of 4 images of 6 × 6 px; expected a 3D map"):
        read_volume(tmp_path / "s.mrcs")
    with pytest.raises(FormatError, match="is a stack of 4 images"):
        read_volume(write_mrc(tmp_path / "s.mrc", FLOATS, ispg=0, mz=1))
    with pytest.raises(FormatError, match="is a single image of 6 × 6 px; expected a 3D map"):
        read_volume(write_mrc(tmp_path / "one.mrc", FLOATS[:1]))
    cubes = [write_mrc(tmp_path / f"{k}.mrc", np.zeros((6, 6, 6), np.float32)) for k in range(3)]
    names = np.array([str(path) for path in cubes], dtype=object)
    subtomograms = Particles(ids=np.arange(3), stacks=names, indices=np.zeros(3, int), pixel_size_A=2.0, box_px=6)
    with pytest.raises(InputError, match="is a map of 6 voxels a side; expected two-dimensional images"):
        check_images(subtomograms)
    check_images(particles_of(cubes[0], 4, 6))  # six images in a file with the header of a map: many programs write so


NAMES = ["частицы 1.mrcs", "粒子.MRCS", "a b'c\"d.Mrc", "user@host.mrcs", "x.st", "x.map", "none", "x.y:z.mrcs"]


@pytest.mark.parametrize("name", NAMES)
def test_files_are_recognised_by_their_content(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "Ordner mit Leerzeichen ✓"
    folder.mkdir()
    path = write_mrc(folder / name, FLOATS, ispg=0)
    np.testing.assert_array_equal(read_images(particles_of(path, 4, 6)), FLOATS)
    assert stack_info(f"{path}:mrcs").n == 4
    if path.suffix.lower() != ".mrcs":
        np.testing.assert_array_equal(read_volume(f"{path}:mrc")[0], FLOATS)
    path.write_bytes(spider_bytes(FLOATS))
    write_stack(folder / "made.mrcs", FLOATS, 2.0)  # forgets what was read
    np.testing.assert_array_equal(read_images(particles_of(path, 4, 6)), FLOATS)
