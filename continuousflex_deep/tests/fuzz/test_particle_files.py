"""Damaged particle files: each is refused in words, or gives particles that are sound and are written again."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.star import read_star, write_star
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.cryosparc_data import dataset, save
from continuousflex_deep.tests.helpers.mutation import BYTES, TEXT, cases, mutated, record_field, survives, words
from continuousflex_deep.tests.helpers.particle_texts import write_stack_of, written_particles

FORMATS = ("star", "xmd", "cs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the stacks that the files name, below a folder for the cases."""
    base = tmp_path_factory.mktemp("particles")
    write_stack_of(base / "s.mrcs")
    (base / "J1" / "extract").mkdir(parents=True)
    write_stack_of(base / "J1" / "extract" / "a.mrc")
    (base / "cases").mkdir()
    return base


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, dict[str, bytes]]:
    """Valid files of each format."""
    particles = written_particles(folder)
    relion = [folder / "p.star", folder / "few.star"]
    write_particles(particles, relion[0])
    write_particles(particles.replace(ctf=None, euler_deg=None, extra={}), relion[1])
    write_particles(particles, folder / "p.xmd")
    save(folder / "J1" / "p.cs", dataset(4))
    named = {"star": relion, "xmd": [folder / "p.xmd"], "cs": [folder / "J1" / "p.cs"]}
    return {kind: {path.name: path.read_bytes() for path in paths} for kind, paths in named.items()}


def read(path: Path) -> None:
    particles = read_particles(path, pixel_size_A=2.0)
    assert len(particles) >= 1
    assert particles.box_px >= 1
    for values in (particles.euler_deg, particles.shift_A, particles.amplitudes, particles.amplitudes_sd):
        assert values is None or np.isfinite(values).all()
    assert (particles.indices >= 0).all()
    back = written_and_read(particles, path)
    assert back.ids.tolist() == particles.ids.tolist()
    assert back.extra.keys() >= {k for k in particles.extra if path.suffix == ".star"}


def written_and_read(particles: Particles, path: Path) -> Particles:
    again = path.with_name("again.star")
    write_particles(particles, again)
    return read_particles(again, pixel_size_A=2.0)


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_particle_files(folder: Path, files: dict[str, dict[str, bytes]], kind: str) -> None:
    mutations = (*TEXT, *TEXT, *BYTES)
    if kind == "cs":
        mutations = (*BYTES, *[record_field] * 3, words(200))
    outcomes = [
        survives(case, folder / "cases" / f"{case.number}.{kind}", read)
        for case in mutated(files[kind], mutations, count=cases(150), seed=2)
    ]
    assert 0.02 * len(outcomes) < outcomes.count("read") < 0.98 * len(outcomes)


def test_tables_come_back(tmp_path: Path) -> None:
    """Whatever a table holds, it is refused in words, or comes back as it was."""

    def read_table(path: Path) -> None:
        blocks = read_star(path)
        write_star(path.with_name("again.star"), blocks)
        back = read_star(path.with_name("again.star"))
        same = {
            name: {key: column.tolist() for key, column in table.items()} for name, table in blocks.items()
        }
        assert {name: {k: v.tolist() for k, v in table.items()} for name, table in back.items()} == same

    text = b"# version 30001\n\ndata_a\n\n_x 1\n_y 'two words'\n\n"
    text += b"data_b\n\nloop_\n_n #1\n_t #2\n1 a\n2 \"b c\"\n3 d'e\n\n"
    for case in mutated({"text": text}, TEXT, count=cases(150), seed=3):
        survives(case, tmp_path / f"{case.number}.star", read_table)
