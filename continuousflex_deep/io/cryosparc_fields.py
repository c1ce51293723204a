"""What each field of a cryoSPARC particle dataset means here, after datasets of its versions 2 to 4."""

import re

from continuousflex_deep.io.meanings import Fields, applied, each, not_applied, refused, unused

# of each class, each round of picking or each component; their poses are read elsewhere, or do not concern images
_INTERNAL = re.compile(
    r"(alignments(2D|3D|3D_multi|_class_\d+|_class3D_\d+)|pick_stats|ml_properties|location|mscope_params|gain_ref_blob|"
    r"movie_blob|micrograph_blob\w*|background_blob|motion|rigid_motion|spline_motion|dataset|components_mode_\d+|"
    r"particle_selection|template|mask|map\w*|volume|ctf_stats|denoise\w*|manual_extract|fom|cluster|thumbnail\w*)/\w+"
)


def is_internal(name: str) -> bool:
    """Whether a field belongs to a group that changes neither images nor poses, or whose poses are read by name."""
    return _INTERNAL.fullmatch(name) is not None


CRYOSPARC_FIELDS: Fields = {
    "uid": applied("particle id"),
    **each(applied("image"), "blob/path blob/idx"),
    **each(applied("pixel size and box"), "blob/psize_A blob/shape"),
    "blob/sign": applied("contrast of the images: one for all, else refused"),
    **each(unused("import and storage of the image"), "blob/import_sig blob/minmax blob/is_background_subtracted"),
    **each(
        applied("CTF"),
        "ctf/df1_A ctf/df2_A ctf/df_angle_rad ctf/phase_shift_rad ctf/accel_kv ctf/cs_mm ctf/amp_contrast ctf/ac",
    ),
    "ctf/exp_group_id": applied("optics group"),
    **each(applied("pose and shift"), "alignments3D/pose alignments3D/shift alignments3D/psize_A"),
    "alignments3D/split": applied("half set"),
    "location/micrograph_path": applied("micrograph"),
    # ------------------------------------------------------------------------------------------------- refused
    **each(
        refused("records of a tilt series, not single images", None, "use particles of single-particle analysis"),
        "tomo/tilt_series_id tomo/particle_id tomo/tilt_angle",
    ),
    # --------------------------------------------------------------------------------------------- not applied
    "ctf/tilt_A": not_applied("beam tilt", 0),
    **each(not_applied("aberrations of higher order", 0), "ctf/trefoil_A ctf/tetra_A ctf/shift_A"),
    "ctf/anisomag": not_applied("anisotropic magnification", 0),
    "ctf/bfactor": not_applied("envelope of the CTF", 0),
    **each(not_applied("scale of the CTF", 1), "ctf/scale"),
    "ctf/scale_const": not_applied("constant of the CTF", 0),
    "alignments3D/alpha": unused("scale of the image; the contrast of each image is estimated"),
    "filament/filament_uid": not_applied("segments of filaments, whose helical symmetry is not used", 0),
    "sym_expand/idx": not_applied("copies of a symmetry expansion", 0),
    # ------------------------------------------------------------------------------------------------- not needed
    **each(
        unused("of the microscope and the estimation of the CTF"),
        "ctf/type ctf/cross_corr_ctffind4 ctf/ctf_fit_to_A ctf/fig_of_merit_gctf ctf/bfactor_sd ctf/split",
    ),
    **each(
        unused("symmetry expansion and filaments: where a record comes from"),
        "sym_expand/src_uid sym_expand/helical sym_expand/symmetry "
        "filament/filament_pose filament/position_A filament/sinuosity "
        "filament/arc_length_A filament/curvature filament/inter_box_dist_A filament/helical_params",
    ),
}  # fmt: skip
