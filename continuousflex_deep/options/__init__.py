"""One frozen dataclass of options per command: the only home of defaults, help texts and units.

The command line, Scipion's forms, the JSON option files and their validation are all derived from these fields.
"""

from continuousflex_deep.options.alignment import AlignOptions, CompareOptions
from continuousflex_deep.options.assessment import EvaluateOptions, ReportOptions
from continuousflex_deep.options.images import ConvertOptions, PreprocessOptions, SimulateOptions
from continuousflex_deep.options.installation import DoctorOptions
from continuousflex_deep.options.landscape import ClustersOptions, GroupOptions, LandscapeOptions, TrajectoryOptions
from continuousflex_deep.options.maps import ReconstructOptions, UnbendOptions
from continuousflex_deep.options.modes import DeformOptions, ModesOptions, NmaOptions, PseudoatomsOptions
from continuousflex_deep.options.network import InferOptions, TrainOptions
from continuousflex_deep.options.schema import (
    REQUIRED,
    from_mapping,
    option,
    read_options_file,
    required,
    required_list,
    value_from_text,
    write_options_file,
)
from continuousflex_deep.options.shared import (
    ATOMS_BLOCK_SIZE,
    ATOMS_CUTOFF_A,
    PSEUDOATOMS_BLOCK_SIZE,
    PSEUDOATOMS_CUTOFF_PERCENT,
    Fit,
    ReductionMethod,
)

__all__ = [
    "ATOMS_BLOCK_SIZE", "ATOMS_CUTOFF_A", "PSEUDOATOMS_BLOCK_SIZE", "PSEUDOATOMS_CUTOFF_PERCENT", "REQUIRED",
    "AlignOptions", "ClustersOptions", "CompareOptions", "ConvertOptions", "DeformOptions", "DoctorOptions",
    "EvaluateOptions", "Fit", "GroupOptions", "InferOptions", "LandscapeOptions", "ModesOptions", "NmaOptions",
    "PreprocessOptions", "PseudoatomsOptions", "ReconstructOptions", "ReductionMethod", "ReportOptions",
    "SimulateOptions", "TrainOptions", "TrajectoryOptions", "UnbendOptions", "from_mapping", "option",
    "read_options_file", "required", "required_list", "value_from_text", "write_options_file",
]  # fmt: skip
