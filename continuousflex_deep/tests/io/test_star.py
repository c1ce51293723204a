"""STAR tables of RELION and Xmipp."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.star import read_star, write_star


def column(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


def test_tables_come_back_as_written(tmp_path: Path) -> None:
    awkward = column("plain", "two words", "", "#hash", "_tag", "data_001.mrc", "loop_", "it's", " 1.0 -2.5 ", "12")
    blocks = {"optics": {"a": column("1")}, "particles": {"name": awkward, "row": column(*map(str, range(10)))}}
    write_star(tmp_path / "x.star", blocks)
    back = read_star(tmp_path / "x.star")
    assert list(back) == ["optics", "particles"]
    assert list(back["particles"]) == ["name", "row"]
    assert [v.strip() for v in back["particles"]["name"]] == [v.strip() for v in awkward]
    assert list(back["particles"]["row"]) == list(map(str, range(10)))


def test_relion_and_xmipp_dialects(tmp_path: Path) -> None:
    (tmp_path / "relion.star").write_text(
        "# version 30001\n\ndata_\n\nloop_ \n_rlnImageName #1 \n_rlnDefocusU #2 \n000001@a.mrcs 1.0e+04 \n\n"
        "data_job\n\n_rlnJobType  Extract\n"
    )
    blocks = read_star(tmp_path / "relion.star")
    assert blocks[""]["rlnDefocusU"][0] == "1.0e+04"
    assert blocks["job"]["rlnJobType"].tolist() == ["Extract"]
    (tmp_path / "x.xmd").write_text(
        "# XMIPP_STAR_1 * \n# \ndata_noname\nloop_\n _image\n _nmaDisplacements\n 000001@a.stk '   -27.1   -28.4 ' \n"
    )
    assert read_star(tmp_path / "x.xmd")["noname"]["nmaDisplacements"][0].split() == ["-27.1", "-28.4"]


def test_bad_files_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_star(tmp_path / "absent.star")
    with pytest.raises(InputError, match="it is a folder"):
        read_star(tmp_path)
    cases = {
        "": "empty",
        "hello world\n": "not a valid STAR file",
        "data_\nloop_\n_a\n_b\n1 2\n3\n": "line 6: this row has 1 value, but the table has 2 columns: '3'",
        "data_\nloop_\n_a\n_b\n1 2 3\n4\n": "line 5: this row has 3 values, but the table has 2 columns",
        "data_\nloop_\n_a\n_b\n_a\n1 2 3\n": "line 5: the table '' has two columns a",
        "data_\n_a 1\n_a 2\n": "line 3: the list '' has a twice",
        "data_\n_a\n": "line 2: got '_a', so it is not a valid STAR file; expected '_label value'",
        "data_\n_a 1\n\nloop_\n_b\n2\n": "data block '' has a list and a table",
        "data_\nloop_\n_a\n1\nloop_\n_b\n2\n": "line 5: data block '' has two tables",
        "data_\n_a 1\ndata_\n_a 2\n": "two data blocks named ''",
        "data_\nloop_\n_a\n_b\n1 #2\n": r"what follows # is a comment, unless it is in quotation marks",
        "# only a comment\n": "no data block",
    }
    for text, message in cases.items():
        (tmp_path / "bad.star").write_text(text)
        with pytest.raises(FormatError, match=message):
            read_star(tmp_path / "bad.star")


def test_columns_of_different_length_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="different lengths"):
        write_star(tmp_path / "x.star", {"t": {"a": column("1", "2"), "b": column("1")}})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_star(tmp_path / "x.star", {"t": {"a": column("1")}})
    with pytest.raises(FormatError):
        write_star(tmp_path / "x.star", {"t": {"a": column("1", "2"), "b": column("1")}})
    assert read_star(tmp_path / "x.star")["t"]["a"].tolist() == ["1"]


def test_large_tables_are_fast(tmp_path: Path) -> None:
    n = 50_000
    table = {"name": np.array([f"{i:06d}@stack.mrcs" for i in range(n)], dtype=object)}
    table |= {f"c{k}": np.array([f"{i * k}" for i in range(n)], dtype=object) for k in range(8)}
    write_star(tmp_path / "big.star", {"particles": table})
    back = read_star(tmp_path / "big.star")["particles"]
    assert all((back[k] == table[k]).all() for k in table)


# ---------------------------------------------------------------------------- one table, written in another way
ROWS = [("000001@s.mrcs", "mics/m1.mrc", "1.5"), ("000002@s.mrcs", "mics/m2.mrc", "-2.5")]


def star_text(rows: Sequence[tuple[str, ...]] = ROWS, blank: str = " ", end: str = "\n") -> str:
    lines = ["# version 30001", "", "data_particles", "", "loop_", "_rlnImageName #1", "_rlnMicrographName #2"]
    lines += ["_rlnDefocusU #3", *(blank.join(row) for row in rows), ""]
    return end.join(lines)


def read_text(tmp_path: Path, text: str | bytes) -> list[tuple[str, ...]]:
    (tmp_path / "x.star").write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(zip(*read_star(tmp_path / "x.star")["particles"].values(), strict=True))


@pytest.mark.parametrize(
    "text",
    [
        star_text(blank="   "),
        star_text(blank="\t"),
        star_text(end="\r\n"),
        star_text(end="\r"),
        star_text().encode("utf-8-sig"),
        star_text(end="\r\n").encode("utf-8-sig"),
        star_text().rstrip("\n"),
        star_text().replace("loop_", "loop_ # a table").replace("data_particles", "DATA_particles  "),
        star_text().replace("_rlnDefocusU #3", "_rlnDefocusU"),
        star_text().replace("000002@", "\n# picked again\n\n  000002@"),
        star_text([tuple(f'"{v}"' for v in row) for row in ROWS]),
        star_text([tuple(f"'{v}'" for v in row) for row in ROWS]),
        star_text([(*row[:2], f"{row[2]}  # good") for row in ROWS]),
    ],
)
def test_one_table_in_many_ways(tmp_path: Path, text: str | bytes) -> None:
    assert read_text(tmp_path, text) == ROWS


@pytest.mark.parametrize(
    "name",
    [
        "data_day1/m.mrc", "DATA_X/m.mrc", "save_2/m.mrc", "loop_sample/m.mrc", "stop_me/m.mrc", "global_/m.mrc",
        "_raw/m.mrc", "$HOME/m.mrc", "[grid2]/m.mrc", ";m.mrc", "d'Arc/m.mrc", 'two"/m.mrc', "a#1.mrc", "Å/кадр.mrc",
        "東京/全　角.mrc", "non\u00a0breaking.mrc", "data_", "loop_", "?", ".",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 1])
def test_names_of_files_are_read_and_written(tmp_path: Path, name: str, place: int) -> None:
    """As RELION reads them, in any column; and what is written is read again."""
    rows = [tuple(name if i == place else v for i, v in enumerate(row)) for row in ROWS]
    table = {key: column(*values) for key, values in zip("abc", zip(*rows, strict=True), strict=True)}
    if place == 1 or not name.startswith("_"):  # at the beginning of the first line it would be a label
        assert read_text(tmp_path, star_text(rows)) == rows
    write_star(tmp_path / "y.star", {"particles": table})
    assert {k: v.tolist() for k, v in read_star(tmp_path / "y.star")["particles"].items()} == {
        k: v.tolist() for k, v in table.items()
    }


@pytest.mark.parametrize("name", ["two words.mrc", "#1", "'quoted'", '"a b" c', "it's a b", "", " 1 2 ", "a' b"])
def test_values_that_need_quotation_marks(tmp_path: Path, name: str) -> None:
    write_star(tmp_path / "y.star", {"p": {"a": column(name, "x"), "b": column("1", "2")}})
    assert read_star(tmp_path / "y.star")["p"]["a"].tolist() == [name, "x"]


def test_what_no_star_file_can_hold_is_not_written(tmp_path: Path) -> None:
    for value, message in (("a\nb", "line end"), ("a' b\" c", "both quotation marks"), ("\udce9.mrc", "not UTF-8")):
        with pytest.raises(FormatError, match=message):
            write_star(tmp_path / "y.star", {"p": {"a": column(value)}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (star_text().encode("utf-16"), "got UTF-16; save it as UTF-8"),
        (star_text([("1@s.mrcs", "Zürich.mrc", "1")]).encode("latin-1"), "byte 0xfc is not part of UTF-8 text"),
        (star_text([("1@s.mrcs", "a\0b", "1")]), "NUL characters"),
        (star_text([*ROWS, ("9",)]), "line 11: this row has 1 value, but the table has 3 columns"),
        (star_text([*ROWS, ("3@s.mrcs", "m")]), "line 11: this row has 2 values"),
        (star_text([(*ROWS[0], "1"), ROWS[1][:2]]), "line 9: this row has 4 values"),
    ],
)
def test_text_that_is_torn_or_in_another_encoding(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_text(tmp_path, text)


def test_columns_of_numbers(tmp_path: Path) -> None:
    (tmp_path / "x.star").write_text(star_text())
    numbers = read_star(tmp_path / "x.star", "rlnDefocusU".__eq__)["particles"]["rlnDefocusU"]
    assert numbers.dtype == np.float64
    assert numbers.tolist() == [1.5, -2.5]
    (tmp_path / "x.star").write_text(star_text([ROWS[0], ("2@s.mrcs", "m", "1_0")]))
    with pytest.raises(FormatError, match="line 10, column rlnDefocusU: got '1_0', expected a number"):
        read_star(tmp_path / "x.star", "rlnDefocusU".__eq__)


def test_parts_of_a_large_table_are_one(tmp_path: Path) -> None:
    """Longer than what is read at a time, with rows that need quotation marks here and there."""
    n = 45_000
    table = {"a": column(*(f"name {i}" if i % 20_001 == 7 else f"n{i % 10}" for i in range(n)))}
    table["b"] = column(*map(str, range(n)))
    write_star(tmp_path / "y.star", {"p": table})
    back = read_star(tmp_path / "y.star", "b".__eq__)["p"]
    assert back["a"].tolist() == table["a"].tolist()
    assert back["b"].tolist() == list(range(n))
