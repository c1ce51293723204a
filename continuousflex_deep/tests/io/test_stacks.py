"""Image stacks and maps: MRC and Spider."""

import errno
import os
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from continuousflex_deep.errors import DiskFullError, FormatError, InputError
from continuousflex_deep.io.stacks import (
    check_images,
    read_images,
    read_images_with_reasons,
    stack_info,
    stack_writer,
    write_stack,
)
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.image_dialects import particles_of, write_spider


def images(n: int = 5, box: int = 9, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, box, box)).astype(np.float32)


@pytest.mark.parametrize("box", [8, 9])
def test_stack_round_trip(tmp_path: Path, box: int) -> None:
    data = images(box=box)
    write_stack(tmp_path / "s.mrcs", data, 1.5)
    info = stack_info(tmp_path / "s.mrcs")
    assert (info.n, info.box_px) == (5, box)
    assert info.pixel_size_A == pytest.approx(1.5)
    p = particles_of(tmp_path / "s.mrcs", 5, box)
    np.testing.assert_array_equal(read_images(p), data)
    np.testing.assert_array_equal(read_images(p, [3, 0, 3]), data[[3, 0, 3]])
    np.testing.assert_array_equal(read_images(p.select([4, 1])), data[[4, 1]])


def test_particles_of_several_stacks(tmp_path: Path) -> None:
    first, second = images(seed=1), images(seed=2)
    write_stack(tmp_path / "a.mrcs", first, 1.5)
    write_stack(tmp_path / "b.mrcs", second, 1.5)
    p = particles_of(tmp_path / "a.mrcs", 4, 9)
    p = p.replace(
        stacks=np.array([str(tmp_path / f"{s}.mrcs") for s in "abba"], dtype=object), indices=np.array([2, 0, 4, 1])
    )
    check_images(p)
    np.testing.assert_array_equal(read_images(p), [first[2], second[0], second[4], first[1]])


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float16, np.int8])
def test_other_number_types(tmp_path: Path, dtype: type) -> None:
    data: np.ndarray = (images() * 20).astype(dtype)
    with mrcfile.new(tmp_path / "s.mrcs") as mrc:
        mrc.set_data(data)
    np.testing.assert_allclose(read_images(particles_of(tmp_path / "s.mrcs", 5, 9)), data.astype(np.float32))


def test_gold_spider_stack(shared_data: Path) -> None:
    path = shared_data / "gold10" / "smallstack_img.stk"
    info = stack_info(path)
    assert (info.n, info.box_px, info.pixel_size_A) == (10, 128, None)
    data = read_images(particles_of(path, 10, 128))
    # noise-free projections of one bright particle on an empty ground: about equal mass, near the centre
    mass = data.sum(axis=(1, 2))
    assert mass.std() / mass.mean() < 0.02
    axis = np.arange(128) - 64
    center_x = (data.sum(axis=1) * axis).sum(axis=1) / mass
    center_y = (data.sum(axis=2) * axis).sum(axis=1) / mass
    assert np.abs([center_x, center_y]).max() < 8
    assert data[:, :8].max() < 0.05 * data.max()


@pytest.mark.parametrize("order", ["<", ">"])
def test_spider_of_both_byte_orders_and_odd_boxes(tmp_path: Path, order: str) -> None:
    data = images(box=15)
    write_spider(tmp_path / "s.stk", data, order=order)
    np.testing.assert_array_equal(read_images(particles_of(tmp_path / "s.stk", 5, 15)), data)
    whole = (tmp_path / "s.stk").read_bytes()
    (tmp_path / "cut.stk").write_bytes(whole[:-100])
    with pytest.raises(FormatError, match="truncated"):
        stack_info(tmp_path / "cut.stk")


def test_truncated_mrc_is_refused(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs", images(), 1.5)
    (tmp_path / "cut.mrcs").write_bytes((tmp_path / "s.mrcs").read_bytes()[:-50])
    with pytest.raises(FormatError, match="not a complete MRC file"):
        stack_info(tmp_path / "cut.mrcs")
    (tmp_path / "text.mrcs").write_text("no images here" * 200)
    with pytest.raises(FormatError, match="unknown format"):
        stack_info(tmp_path / "text.mrcs")


def test_stack_and_table_that_do_not_belong_together(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs", images(), 1.5)
    with pytest.raises(InputError, match="has 5 images, but the particle file refers to image 7"):
        check_images(particles_of(tmp_path / "s.mrcs", 7, 9))
    with pytest.raises(InputError, match="9 px, but other images of this set have 10 px"):
        check_images(particles_of(tmp_path / "s.mrcs", 5, 10))
    with pytest.raises(InputError, match="no such file"):
        check_images(particles_of(tmp_path / "absent.mrcs", 5, 9))
    (tmp_path / "s.png").write_text("x")
    with pytest.raises(FormatError, match="unknown format"):
        stack_info(tmp_path / "s.png")
    with mrcfile.new(tmp_path / "flat.mrcs") as mrc:
        mrc.set_data(np.zeros((2, 8, 9), dtype=np.float32))
    with pytest.raises(FormatError, match="9 × 8 px; expected square"):
        stack_info(tmp_path / "flat.mrcs")


def test_nan_and_constant_images_are_found(tmp_path: Path) -> None:
    data = images()
    data[1, 3, 3] = np.nan
    data[2] = 7.0
    data[4, 0, 0] = np.inf
    write_stack(tmp_path / "s.mrcs", data, 1.5)
    p = particles_of(tmp_path / "s.mrcs", 5, 9)
    with pytest.raises(InputError, match=r"3 of 5 images cannot be used.*2 \(not finite.*3 \(constant\), 5 \("):
        read_images(p)
    found, reasons = read_images_with_reasons(p)
    assert [r.partition(" ")[0] for r in reasons] == ["", "not", "constant", "", "not"]
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[[0, 3]], data[[0, 3]])


def test_a_stack_cut_off_since_it_was_opened_is_an_error(tmp_path: Path) -> None:
    """Not the images are at fault but the file, which somebody can bring back."""
    write_stack(tmp_path / "s.mrcs", images(), 1.5)
    p = particles_of(tmp_path / "s.mrcs", 5, 9)
    read_images(p)
    with open(tmp_path / "s.mrcs", "rb+") as file:
        file.truncate(1024 + 3 * 81 * 4 + 7)
    with pytest.raises(InputError, match="image 4 is truncated"):
        read_images_with_reasons(p)


def test_a_failing_disk_costs_its_images_and_a_missing_one_the_run(tmp_path: Path, monkeypatch) -> None:
    data, pread = images(), os.pread
    write_stack(tmp_path / "s.mrcs", data, 1.5)
    p = particles_of(tmp_path / "s.mrcs", 5, 9)

    def failing(code: int):
        def read(handle: int, count: int, start: int) -> bytes:
            if start == 1024 + 2 * 81 * 4:
                raise OSError(code, os.strerror(code))
            return pread(handle, count, start)

        return read

    monkeypatch.setattr(os, "pread", failing(errno.EIO))
    found, reasons = read_images_with_reasons(p)
    assert [bool(r) for r in reasons] == [False, False, True, False, False]
    np.testing.assert_array_equal(found[3:], data[3:])
    monkeypatch.setattr(os, "pread", failing(errno.ESTALE))
    with pytest.raises(InputError, match="finished work is kept"):
        read_images_with_reasons(p)


def test_writer_leaves_nothing_unfinished(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="images were written, expected"),
        stack_writer(tmp_path / "s.mrcs", 5, 9, 1.5) as writer,
    ):
        writer.write(images(3))

    def fail() -> None:
        with stack_writer(tmp_path / "s.mrcs", 5, 9, 1.5) as writer:
            writer.write(images(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_met_before_images_are_written(tmp_path: Path, monkeypatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with (
        pytest.raises(DiskFullError, match=r"s\.mrcs' cannot be written: No space left"),
        stack_writer(tmp_path / "s.mrcs", 5, 9, 1.5),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_rewritten_stack_is_read_anew(tmp_path: Path) -> None:
    p = particles_of(tmp_path / "s.mrcs", 5, 9)
    for seed in (1, 2):
        write_stack(tmp_path / "s.mrcs", images(seed=seed), 1.5)
        np.testing.assert_array_equal(read_images(p), images(seed=seed))


def test_the_particle_files_pixel_size_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Headers often contain the 1 Å that a program writes by default. One note tells of all of them, once."""
    write_stack(tmp_path / "a.mrcs", images(), 1.5)
    write_stack(tmp_path / "b.mrcs", images(), 3.0)
    write_stack(tmp_path / "c.mrcs", images(), 1.0)
    names = np.array([str(tmp_path / f"{name}.mrcs") for name in "abc"], dtype=object)
    p = Particles(ids=np.arange(3), stacks=names, indices=np.arange(3), pixel_size_A=1.5, box_px=9)
    check_images(p)
    check_images(p)
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 1
    assert "2 of 3 image stacks" in notes[0]
    assert "b.mrcs': the pixel size in the header is 3 Å; the particle file's 1.5 Å are used" in notes[0]
    check_images(p.select([0]))
    assert capsys.readouterr().err == ""


def test_transforms_are_not_images(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "c.mrcs") as mrc:
        mrc.set_data(images().astype(np.complex64))
    with pytest.raises(FormatError, match="complex"):
        stack_info(tmp_path / "c.mrcs")
