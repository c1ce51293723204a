"""Names that the Scipion side shares."""

PACKAGE = "continuousflex_deep"
DISTRIBUTION = "scipion-em-continuousflex-deep"

# Scipion configuration variables
COMPUTE_HOME = "CONTINUOUSFLEX_DEEP_HOME"
COMPUTE_PYTHON = "CONTINUOUSFLEX_DEEP_PYTHON"

# Attributes of particles. The amplitudes' name is Xmipp's, so that ContinuousFlex's protocols and viewers read them.
AMPLITUDES_ATTRIBUTE = "_xmipp_nmaDisplacements"
MODE_IDS_ATTRIBUTE = "_cfdModeIds"
