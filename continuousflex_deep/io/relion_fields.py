"""What each column of RELION's particle and optics tables means here.

After the list of labels of RELION 3.0 to 5.0 (its metadata_label.h), of which a particle file may have these.
"""

from continuousflex_deep.io.meanings import Fields, applied, carried, each, not_applied, refused

_TOMOGRAPHY = "use particles of single-particle analysis: this program aligns single images, not tilt series or volumes"


RELION_FIELDS: Fields = {
    "rlnImageName": applied("number and stack of the image"),
    **each(applied("pose"), "rlnAngleRot rlnAngleTilt rlnAnglePsi"),
    **each(applied("shift, Å"), "rlnOriginXAngst rlnOriginYAngst"),
    **each(applied("shift, px (3.0)"), "rlnOriginX rlnOriginY"),
    **each(
        applied("CTF"),
        "rlnDefocusU rlnDefocusV rlnDefocusAngle rlnPhaseShift rlnVoltage rlnSphericalAberration rlnAmplitudeContrast",
    ),
    **each(applied("pixel size and box"), "rlnImagePixelSize rlnImageSize"),
    **each(applied("pixel size (3.0)"), "rlnDetectorPixelSize rlnMagnification"),
    "rlnPixelSize": applied("pixel size, where none of these is there"),
    "rlnCtfDataArePhaseFlipped": applied("whether the phases of the images are flipped"),
    **each(applied("optics groups"), "rlnOpticsGroup rlnOpticsGroupName"),
    "rlnRandomSubset": applied("half set"),
    # ------------------------------------------------------------------------------------------------- refused
    "rlnIsFlip": refused("mirrored images", 0, "mirror these images in the stack, and remove the column"),
    "rlnCtfDataAreCtfPremultiplied": refused(
        "the images are premultiplied by their CTF", 0, "extract them without premultiplication"
    ),
    "rlnCtfDataAreCtfCorrected": refused(
        "the images are corrected for their CTF already", 0, "use the images before this correction"
    ),
    "rlnImageDimensionality": refused("records that are volumes, not images", 2, _TOMOGRAPHY),
    **each(refused("shifts along the beam, of subtomograms", 0, _TOMOGRAPHY), "rlnOriginZ rlnOriginZAngst"),
    **each(
        refused("records of a tilt series, not single images", None, _TOMOGRAPHY),
        "rlnTomoName rlnTomoParticleName rlnTomoParticleId rlnTomoVisibleFrames rlnTomoSubtomogramRot "
        "rlnTomoSubtomogramTilt rlnTomoSubtomogramPsi rlnTomoSubtomogramBinning rlnTomoTiltSeriesName "
        "rlnTomoSubTomosAre2DStacks rlnTomoTiltSeriesPixelSize rlnCtfImage",
    ),
    # --------------------------------------------------------------------------------------------- not applied
    **each(not_applied("beam tilt", 0), "rlnBeamTiltX rlnBeamTiltY"),
    **each(not_applied("aberrations of higher order", 0), "rlnOddZernike rlnEvenZernike"),
    **each(not_applied("anisotropic magnification", 1), "rlnMagMat00 rlnMagMat11"),
    **each(not_applied("anisotropic magnification", 0), "rlnMagMat01 rlnMagMat10"),
    "rlnMagnificationCorrection": not_applied("magnification of the particle", 1),
    "rlnCtfBfactor": not_applied("envelope of the CTF", 0),
    "rlnCtfScalefactor": not_applied("scale of the CTF", 1),
    "rlnImageWeight": not_applied("weight of the image", 1),
    **each(not_applied("marks of particles to leave out", 1), "rlnEnabled rlnSelected"),
    "rlnHelicalTubeID": not_applied("segments of filaments, whose helical symmetry is not used", None),
    # ------------------------------------------------------------------------------------------------- carried
    **each(
        carried("origin of the image"),
        "rlnMicrographName rlnMicrographNameNoDW rlnMicrographId rlnMicrographMovieName rlnMicrographMetadata "
        "rlnMicrographPixelSize rlnMicrographOriginalPixelSize rlnMicrographBinning rlnMicrographTiltAngle "
        "rlnMicrographTiltAxisDirection rlnMicrographTiltAxisOutOfPlane rlnMicrographPreExposure "
        "rlnMicrographFrameNumber rlnMicrographIceThickness rlnMicrographGainName rlnMicrographDefectFile "
        "rlnCoordinateX rlnCoordinateY rlnCoordinateZ rlnImageOriginalName rlnOriginalImageSize rlnImageId "
        "rlnParticleName rlnOriginalParticleName rlnParticleId rlnSamplingRate rlnReconstructImageName "
        "rlnAreaId rlnAreaName rlnSortedIndex rlnComment rlnMovieFrameNumber rlnNrOfFrames "
        "rlnAverageNrOfFrames rlnMovieFramesRunningAverage",
    ),
    **each(
        carried("picking and selection"),
        "rlnAutopickFigureOfMerit rlnParticleSelectionType rlnParticleFigureOfMerit rlnParticleSelectZScore "
        "rlnParticleDiameter",
    ),
    **each(
        carried("classification and its statistics"),
        "rlnClassNumber rlnLogLikeliContribution rlnMaxValueProbDistribution rlnNrOfSignificantSamples "
        "rlnKullbackLeiblerDivergence rlnKullbackLeibnerDivergence",
    ),
    **each(
        carried("normalisation; the contrast of each image is estimated"),
        "rlnNormCorrection rlnGroupName rlnGroupNumber rlnGroupNrParticles rlnGroupScaleCorrection",
    ),
    **each(
        carried("prior of a search"),
        "rlnAngleRotPrior rlnAngleTiltPrior rlnAnglePsiPrior rlnAngleRotFlipRatio rlnAnglePsiFlipRatio rlnAnglePsiFlip "
        "rlnOriginXPrior rlnOriginYPrior rlnOriginZPrior rlnOriginXPriorAngst rlnOriginYPriorAngst "
        "rlnOriginZPriorAngst rlnHelicalTrackLength rlnHelicalTrackLengthAngst rlnHelicalTubePitch",
    ),
    **each(
        carried("quality of the CTF's estimation"),
        "rlnCtfMaxResolution rlnCtfFigureOfMerit rlnCtfAstigmatism rlnCtfValidationScore rlnCtfIceRingDensity "
        "rlnCtfPowerSpectrum",
    ),
    **each(
        carried("of the microscope and the optics group"),
        "rlnMtfFileName rlnBeamTiltClass rlnChromaticAberration rlnEnergyLoss rlnLensStability rlnConvergenceCone "
        "rlnLongitudinalDisplacement rlnTransversalDisplacement rlnOpticsGroupNumber rlnOpticsGroupNrParticles "
        "rlnOpticsStarFile",
    ),
    **each(
        carried("statistics of the image"),
        "rlnMinimumValue rlnMaximumValue rlnAverageValue rlnStandardDeviationValue rlnSkewnessValue "
        "rlnKurtosisExcessValue",
    ),
    **each(
        carried("motion of the particle"),
        "rlnAccumMotionTotal rlnAccumMotionEarly rlnAccumMotionLate rlnPerFrameCumulativeWeight "
        "rlnPerFrameRelativeWeight",
    ),
}  # fmt: skip
