"""The protocols: each is one command of the package."""

from continuousflex_deep.protocols.protocol_align import CfdProtAlign
from continuousflex_deep.protocols.protocol_nma import CfdProtNma

__all__ = ["CfdProtAlign", "CfdProtNma"]
