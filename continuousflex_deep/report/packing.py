"""Large things in an HTML page: compressed, as text that cannot end the element that holds it."""

import base64
import gzip
from typing import Any

from numpy.typing import NDArray

# what the page's script makes of them
_KINDS = {"float32": "Float32Array", "uint32": "Uint32Array", "uint8": "Uint8Array", "int64": "BigInt64Array"}
_LEVEL = 6


class Pack:
    """Arrays and files by the ids of the elements that hold them."""

    def __init__(self) -> None:
        self.blocks: dict[str, str] = {}

    def array(self, values: NDArray[Any]) -> dict[str, Any]:
        """Keep an array; what the page's script finds it by, in C order."""
        kind = _KINDS[values.dtype.name]
        little = values.astype(values.dtype.newbyteorder("<"))
        return {"block": self.file(little.tobytes()), "kind": kind, "length": int(values.size)}

    def file(self, content: bytes) -> str:
        """Keep bytes; the id of their element."""
        name = f"block-{len(self.blocks)}"
        self.blocks[name] = packed(content)
        return name


def packed(content: bytes) -> str:
    """gzip, as base64; the same for the same content."""
    return base64.b64encode(gzip.compress(content, _LEVEL, mtime=0)).decode("ascii")
