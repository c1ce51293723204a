"""Names that the Scipion side shares."""

PACKAGE = "continuousflex_deep"
DISTRIBUTION = "scipion-em-continuousflex-deep"

# Scipion configuration variables
COMPUTE_HOME = "CONTINUOUSFLEX_DEEP_HOME"
COMPUTE_PYTHON = "CONTINUOUSFLEX_DEEP_PYTHON"

# Attributes of particles. Those that Xmipp knows have its names, so that ContinuousFlex's protocols and viewers read
# them; its cost is 1 - score.
AMPLITUDES_ATTRIBUTE = "_xmipp_nmaDisplacements"
COST_ATTRIBUTE = "_xmipp_cost"
MODE_IDS_ATTRIBUTE = "_cfdModeIds"

# beside a set of modes, the atoms that they move; the name is ContinuousFlex's
ATOMS_FILE = "atoms.pdb"
