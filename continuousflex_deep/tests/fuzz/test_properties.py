"""Properties of files for any content: what is written comes back; the same in another layout is read as the same."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuousflex_deep.arrays import as_column
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.groups import COLOURS, NamedGroup, read_groups, write_groups
from continuousflex_deep.io.image_names import locate_images
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.star import read_star, write_star
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.mutation import cases
from continuousflex_deep.tests.helpers.particle_texts import N, write_stack_of, written_particles

settings.register_profile(
    "files", max_examples=cases(60), deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
settings.load_profile("files")

LINE_ENDS = "\n\r\0"
values = st.text(st.characters(exclude_characters=LINE_ENDS, exclude_categories=["Cs"]), max_size=12)
words = st.text(st.characters(exclude_characters=LINE_ENDS + " \t\v\f'\"#", exclude_categories=["Cs"]), min_size=1)
labels = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@st.composite
def tables(draw: st.DrawFn, cells: st.SearchStrategy[str] = values) -> dict[str, list[str]]:
    """Columns of equal length by name."""
    names, rows = draw(st.lists(labels, min_size=1, max_size=4, unique=True)), draw(st.integers(1, 4))
    return {name: draw(st.lists(cells, min_size=rows, max_size=rows)) for name in names}


@given(tables())
def test_tables_come_back(table: dict[str, list[str]]) -> None:
    """Any text but line ends; what no STAR file can hold is refused when it is written."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.star"
        try:
            write_star(file, {"particles": {name: as_column(column) for name, column in table.items()}})
        except FormatError:
            assert any("'" in value and '"' in value for column in table.values() for value in column)
            return
        assert {k: v.tolist() for k, v in read_star(file)["particles"].items()} == table


@given(
    tables(words), st.sampled_from([" ", "\t", "   \t"]), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(),
    st.data(),
)  # fmt: skip
def test_layout_does_not_count(
    table: dict[str, list[str]], blank: str, end: str, marked: bool, data: st.DataObject
) -> None:
    """Blanks, line ends, quotation marks, comments, empty lines and a byte order mark."""
    lines = ["# comment", "", "data_particles", "loop_", *(f"_{name} #{i}" for i, name in enumerate(table, start=1))]
    for row in zip(*table.values(), strict=True):
        shown = [data.draw(st.sampled_from(["", "'", '"'])) for _ in row]
        # alone, or at the beginning of the first row, a word may be what begins a block or a label
        shown = [mark or "'" for mark in shown] if len(row) == 1 else [shown[0] or "'", *shown[1:]]
        cells = [f"{mark}{value}{mark}" for mark, value in zip(shown, row, strict=True)]
        lines += [blank.join(cells) + data.draw(st.sampled_from(["", " ", " # comment"]))]
        lines += data.draw(st.sampled_from([[], [""], ["# comment"]]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.star"
        file.write_bytes(end.join(lines).encode("utf-8-sig" if marked else "utf-8"))
        assert {k: v.tolist() for k, v in read_star(file)["particles"].items()} == table


@given(st.integers(1, 10**9), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_images_of_any_name(number: int, stack: str) -> None:
    found = locate_images(Path("/data/p.star"), as_column([f"{number:06d}@{stack}"]))
    assert found.indices[0] == number - 1
    assert found.files[0] == stack.removesuffix(":mrcs") or ":" in stack


@given(
    st.lists(st.integers(1, 2**62), min_size=N, max_size=N, unique=True),
    st.lists(st.tuples(finite, finite, finite), min_size=N, max_size=N),
    st.sampled_from([".star", ".xmd"]),
)
def test_particles_come_back(ids: list[int], triples: list[tuple[float, float, float]], suffix: str) -> None:
    numbers = np.array(triples)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_stack_of(folder / "s.mrcs")
        particles: Particles = written_particles(folder).replace(
            ids=np.array(ids), euler_deg=numbers, shift_A=numbers[:, :2], amplitudes=numbers[:, 1:]
        )
        write_particles(particles, folder / f"p{suffix}")
        back = read_particles(folder / f"p{suffix}")
    assert back.ids.tolist() == ids
    for field in ("euler_deg", "shift_A", "amplitudes"):
        np.testing.assert_allclose(getattr(back, field), getattr(particles, field), rtol=1e-7, atol=1e-6)


@given(st.lists(st.tuples(values, st.lists(st.integers(-(2**62), 2**62), unique=True)), max_size=4))
def test_groups_come_back(content: list[tuple[str, list[int]]]) -> None:
    names = [name for name, _ in content]
    sound = all(name.strip() and name.isprintable() for name in names) and len(set(names)) == len(names)
    if not sound:
        return
    groups = [NamedGroup(name, COLOURS[0], np.array(ids, dtype=np.int64)) for name, ids in content]
    with tempfile.TemporaryDirectory() as folder:
        write_groups(Path(folder) / "groups.json", groups)
        back = read_groups(Path(folder) / "groups.json")
    assert [(g.name, g.ids.tolist()) for g in back] == [(name, sorted(ids)) for name, ids in content]
