"""What one sees of the protocols' results."""

from continuousflex_deep.viewers.viewer_assess import CfdAssessViewer
from continuousflex_deep.viewers.viewer_landscape import CfdLandscapeViewer
from continuousflex_deep.viewers.viewer_modes import CfdModesViewer
from continuousflex_deep.viewers.viewer_reconstruction import CfdReconstructionViewer
from continuousflex_deep.viewers.viewer_report import CfdReportViewer
from continuousflex_deep.viewers.viewer_training import CfdTrainingViewer

__all__ = [
    "CfdAssessViewer",
    "CfdLandscapeViewer",
    "CfdModesViewer",
    "CfdReconstructionViewer",
    "CfdReportViewer",
    "CfdTrainingViewer",
]
