"""One frozen dataclass of options for each command: the only place of defaults, help texts, units and bounds, of which
engine an option belongs to, and of whether it changes a result.

The command line, Scipion's forms, option files and their validation are derived from these fields.
"""

from continuousflex_deep.options.alignment import AUTO, AlignOptions, CompareOptions
from continuousflex_deep.options.assessment import EvaluateOptions, ReportOptions
from continuousflex_deep.options.images import ConvertOptions, PreprocessOptions, SimulateOptions
from continuousflex_deep.options.installation import DoctorOptions
from continuousflex_deep.options.landscape import (
    ClustersOptions,
    DensityKind,
    GroupOptions,
    LandscapeOptions,
    ReductionMethod,
    TrajectoryOptions,
)
from continuousflex_deep.options.maps import ReconstructOptions, UnbendOptions
from continuousflex_deep.options.modes import DeformOptions, ModesOptions, NmaOptions, PseudoatomsOptions
from continuousflex_deep.options.network import InferOptions, TrainOptions
from continuousflex_deep.options.schema import (
    REQUIRED,
    Option,
    Traits,
    foreign_options,
    option,
    options_of,
    required,
    required_list,
    result_options,
)
from continuousflex_deep.options.shared import (
    ATOMS_BLOCK_SIZE,
    ATOMS_CUTOFF_A,
    PSEUDOATOMS_BLOCK_SIZE,
    PSEUDOATOMS_CUTOFF_PERCENT,
    Fit,
)
from continuousflex_deep.options.validation import (
    from_mapping,
    read_options_file,
    require_own_options,
    value_from_text,
    write_options_file,
)

__all__ = [
    "ATOMS_BLOCK_SIZE", "ATOMS_CUTOFF_A", "AUTO", "PSEUDOATOMS_BLOCK_SIZE", "PSEUDOATOMS_CUTOFF_PERCENT", "REQUIRED",
    "AlignOptions", "ClustersOptions", "CompareOptions", "ConvertOptions", "DeformOptions", "DensityKind",
    "DoctorOptions", "EvaluateOptions", "Fit", "GroupOptions", "InferOptions", "LandscapeOptions", "ModesOptions",
    "NmaOptions", "Option", "PreprocessOptions", "PseudoatomsOptions", "ReconstructOptions", "ReductionMethod",
    "ReportOptions", "SimulateOptions", "TrainOptions", "Traits", "TrajectoryOptions", "UnbendOptions",
    "foreign_options", "from_mapping", "option", "options_of", "read_options_file", "require_own_options", "required",
    "required_list", "result_options", "value_from_text", "write_options_file",
]  # fmt: skip
