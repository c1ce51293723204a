"""Names of files in the folders that commands write, as other commands, Scipion's side and the report look for them.

Files that a module of `io` reads have their names there.
"""

RECORD_JSON = "record.json"  # of every command that writes a folder
DENSITY_JSON = "density.json"  # of the amplitudes along learned modes
PARTICLES_STAR, TRUTH_STAR = "particles.star", "truth.star"  # simulate, preprocess, reconstruct
LANDSCAPE_STAR = "landscape.star"
DEPENDENCE_PNG = "dependence.png"  # landscape: coordinates by view, defocus, …
GROUPS_JSON = "groups.json"
FRAMES_PDB = "frames.pdb"  # trajectory, deform
TRAJECTORY_JSON = "trajectory.json"
MAP_MRC, HALF_MAPS_MRC, LOCAL_MRC = "map.mrc", ("half1.mrc", "half2.mrc"), "local.mrc"  # reconstruct, unbend
AVERAGE_MRC = "average.mrc"  # unbend: without correction for the deformation
FSC_CSV, FSC_JSON = "fsc.csv", "fsc.json"
TABLES_TXT = "tables.txt"  # evaluate
