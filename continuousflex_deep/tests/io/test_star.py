"""STAR tables of RELION and Xmipp."""

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
        "data_\nloop_\n_a\n_b\n1 2\n3\n": "not a valid STAR file",
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
