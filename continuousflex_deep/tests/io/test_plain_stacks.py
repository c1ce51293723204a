"""Copies of stacks that other programs would read otherwise."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.io.plain_stacks import with_plain_stacks
from continuousflex_deep.io.stacks import read_images, stack_info, write_stack
from continuousflex_deep.tests.helpers.image_dialects import particles_of, write_mrc

IMAGES = np.random.default_rng(1).integers(-90, 90, size=(5, 6, 6))


@pytest.mark.parametrize(
    ("dtype", "given"),
    [
        ("uint8", {"dmin": 0, "dmax": 255}),
        ("int8", {"dmin": -90, "dmax": 90}),
        ("float16", {}),
        ("float32", {"machst": b"\0\0\0\0"}),
        ("float32", {"axes": (2, 1, 3)}),
    ],
)
def test_unusual_stacks_are_copied(tmp_path: Path, dtype: str, given: dict) -> None:
    path = write_mrc(tmp_path / "s.mrcs", (np.abs(IMAGES) if dtype == "uint8" else IMAGES).astype(dtype), **given)
    unusual, plain = particles_of(path, 5, 6), particles_of(write_stack_at(tmp_path / "p.mrcs"), 5, 6)
    mixed = plain.replace(
        stacks=np.where(np.arange(5) % 2, unusual.stacks, plain.stacks), indices=np.array([0, 3, 2, 1, 4])
    )
    copied = with_plain_stacks(mixed, tmp_path / "copy.mrcs")
    np.testing.assert_array_equal(read_images(copied), read_images(mixed))
    assert set(copied.stacks) == {str(tmp_path / "copy.mrcs"), str(tmp_path / "p.mrcs")}
    assert all(stack_info(stack).is_plain for stack in set(copied.stacks))
    assert stack_info(tmp_path / "copy.mrcs").n == 2


def test_plain_stacks_are_left_where_they_are(tmp_path: Path) -> None:
    particles = particles_of(write_stack_at(tmp_path / "p.mrcs"), 5, 6)
    assert with_plain_stacks(particles, tmp_path / "copy.mrcs") is particles
    assert not (tmp_path / "copy.mrcs").exists()


def write_stack_at(path: Path) -> Path:
    write_stack(path, IMAGES.astype(np.float32), 2.0)
    return path
