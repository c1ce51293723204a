"""What each column of FREALIGN's parameter files means here, after its versions 8 and 9, FrealignX and cisTEM."""

from continuousflex_deep.io.meanings import Fields, applied, each, not_applied, unused

FREALIGN_FIELDS: Fields = {
    "NO": applied("position of the image in the stack, from 1: the particle's id"),
    **each(applied("pose"), "PSI THETA PHI"),
    **each(applied("shift: px in version 8, Å since"), "SHX SHY"),
    **each(applied("CTF"), "DF1 DF2 ANGAST PSHIFT"),
    "FILM": applied("micrograph; particles with a negative number are left out"),
    "INCLUDE": applied("particles with a negative number are left out"),
    "OCC": applied("particles below --min-occupancy-percent are left out"),
    "MAG": not_applied("magnification of the particle, where it is not the same for all", None),
    **each(unused("quality of the fit, and its change"), "PRESA DPRES LOGP SIGMA SCORE CHANGE"),
}
