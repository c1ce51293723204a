"""Structure files as text: compressed or not, with any line ends, and which format they have."""

import gzip
import re
import zlib
from pathlib import Path

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.atom_records import AtomRecords
from continuousflex_deep.io.files import require_file
from continuousflex_deep.io.mmcif_atoms import read_mmcif_atoms
from continuousflex_deep.io.pdb_atoms import read_pdb_atoms

MMCIF_SUFFIXES = (".cif", ".mmcif")
STRUCTURE_SUFFIXES = (".pdb", ".ent", *MMCIF_SUFFIXES)
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_MOST_BYTES = 2**30
_PDB_START = rb"\s*(?:HEADER|TITLE |COMPND|SOURCE|EXPDTA|AUTHOR|REMARK|SEQRES|CRYST1|MODEL |ATOM  |HETATM)"
_OTHERS = {  # the first bytes of what is neither PDB nor mmCIF
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"BZh": "compressed by bzip2; unpack it",
    b"\xfd7zXZ\x00": "compressed by xz; unpack it",
    b"(\xb5/\xfd": "compressed by zstd; unpack it",
    b"{": "JSON; convert it to mmCIF",
}


def read_atom_records(path: str | Path) -> AtomRecords:
    """All atoms of a PDB or mmCIF file, which may be compressed by gzip.

    Raises InputError for a missing file, FormatError for other formats and for damaged files.
    """
    file = require_file(path, "structure")
    data = _plain_bytes(file)
    if _is_mmcif(data, file):
        return read_mmcif_atoms(_as_utf8(data), file)
    return read_pdb_atoms(data.decode("latin-1"), file)  # one byte is one column, whatever the remarks are written in


def suffix_of(path: str | Path) -> str:
    """The suffix that tells the format, in small letters: .cif of s.CIF.gz."""
    name = Path(path).name.lower()
    return Path(name.removesuffix(".gz")).suffix


def _plain_bytes(file: Path) -> bytes:
    data = file.read_bytes()
    if data.startswith(_GZIP):
        try:
            with gzip.open(file) as content:
                data = content.read(_MOST_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"'{file}' is damaged: {error}; copy it again") from error
    if len(data) > _MOST_BYTES:
        raise FormatError(f"'{file}' has more than {_MOST_BYTES / 1e9:.1f} GB of text, more than any structure needs")
    kind = next((text for start, text in _OTHERS.items() if data.startswith(start)), None)
    if kind or b"\0" in data:
        raise FormatError(f"'{file}' is not a PDB or mmCIF file: it is {kind or 'binary'}")
    if _BOM in data:  # also within a file that was joined from several
        data = data.replace(_BOM, b"")
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def _as_utf8(data: bytes) -> bytes:
    """Text in UTF-8; other text is taken for Latin-1, since names of authors are in no column that is read."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1").encode("utf-8")
    return data


def _is_mmcif(data: bytes, file: Path) -> bool:
    """By the first word; the suffix decides where that is of neither format."""
    if re.match(rb"(?:\s|#[^\n]*\n)*data_", data, flags=re.IGNORECASE):
        return True
    return suffix_of(file) in MMCIF_SUFFIXES and re.match(_PDB_START, data) is None
