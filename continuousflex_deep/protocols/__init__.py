"""The protocols: each is one command of the package, but for the one that hands results to ContinuousFlex."""

from continuousflex_deep.protocols import protocol_continuousflex as _continuousflex
from continuousflex_deep.protocols.protocol_align import CfdProtAlign
from continuousflex_deep.protocols.protocol_assess import CfdProtAssess
from continuousflex_deep.protocols.protocol_clusters import CfdProtClusters
from continuousflex_deep.protocols.protocol_deform import CfdProtDeform
from continuousflex_deep.protocols.protocol_export import CfdProtExport
from continuousflex_deep.protocols.protocol_group import CfdProtGroup
from continuousflex_deep.protocols.protocol_import import CfdProtImport
from continuousflex_deep.protocols.protocol_infer import CfdProtInfer
from continuousflex_deep.protocols.protocol_landscape import CfdProtLandscape
from continuousflex_deep.protocols.protocol_modes import CfdProtModes
from continuousflex_deep.protocols.protocol_nma import CfdProtNma
from continuousflex_deep.protocols.protocol_preprocess import CfdProtPreprocess
from continuousflex_deep.protocols.protocol_pseudoatoms import CfdProtPseudoatoms
from continuousflex_deep.protocols.protocol_reconstruct import CfdProtReconstruct
from continuousflex_deep.protocols.protocol_report import CfdProtReport
from continuousflex_deep.protocols.protocol_synthesize import CfdProtSynthesize
from continuousflex_deep.protocols.protocol_train import CfdProtTrain
from continuousflex_deep.protocols.protocol_trajectory import CfdProtTrajectory
from continuousflex_deep.protocols.protocol_unbend import CfdProtUnbend

__all__ = [
    "CfdProtAlign",
    "CfdProtAssess",
    "CfdProtClusters",
    "CfdProtDeform",
    "CfdProtExport",
    "CfdProtGroup",
    "CfdProtImport",
    "CfdProtInfer",
    "CfdProtLandscape",
    "CfdProtModes",
    "CfdProtNma",
    "CfdProtPreprocess",
    "CfdProtPseudoatoms",
    "CfdProtReconstruct",
    "CfdProtReport",
    "CfdProtSynthesize",
    "CfdProtTrain",
    "CfdProtTrajectory",
    "CfdProtUnbend",
]

if _continuousflex.FlexProtAlignmentNMA is not None:
    CfdProtToContinuousFlex = _continuousflex.CfdProtToContinuousFlex
    __all__.append("CfdProtToContinuousFlex")
