"""What each column of Xmipp's particle tables means here, after Xmipp's list of metadata labels."""

from continuousflex_deep.io.meanings import Fields, applied, carried, each, not_applied, refused

XMIPP_FIELDS: Fields = {
    "image": applied("number and stack of the image"),
    "itemId": applied("particle id"),
    "enabled": applied("particles marked -1 or 0 are left out"),
    **each(applied("pose"), "angleRot angleTilt anglePsi"),
    **each(applied("shift, px"), "shiftX shiftY"),
    "flip": applied("the image is mirrored in x: read as the pose from the opposite side"),
    "nmaDisplacements": applied("amplitudes"),
    "cost": applied("1 - score"),
    **each(
        applied("CTF"),
        "ctfDefocusU ctfDefocusV ctfDefocusAngle ctfVoltage ctfSphericalAberration ctfQ0 ctfPhaseShift",
    ),
    "ctfPhaseFlipped": applied("whether the phases of the images are flipped"),
    "samplingRate": applied("pixel size"),
    # ------------------------------------------------------------------------------------------------- refused
    "shiftZ": refused("shifts along the beam, of subtomograms", 0, "use particles of single-particle analysis"),
    "ctfCorrected": refused("the images are corrected for their CTF already", 0, "use the images before it"),
    # --------------------------------------------------------------------------------------------- not applied
    "scale": not_applied("scale of the image", 1),
    **each(not_applied("scale of the image", 0), "continuousScaleX continuousScaleY scaleFactor"),
    **each(not_applied("weight of the image", 1), "weight wRobust weightContinuous2 weightJumper weightSignificant"),
    **each(not_applied("intensity of the image", 1), "continuousA"),
    **each(not_applied("intensity of the image", 0), "continuousB"),
    **each(not_applied("file with the CTF", None), "ctfModel"),
    **each(not_applied("beam tilt", 0), "beamTiltX beamTiltY"),
    "ctfK": not_applied("scale of the CTF", 1),
    **each(
        not_applied("envelope of the CTF", 0),
        "ctfChromaticAberration ctfEnergyLoss ctfLensStability ctfConvergenceCone ctfLongitudinalDisplacement "
        "ctfTransversalDisplacement ctfEnvR0 ctfEnvR1 ctfEnvR2 ctfVPPRadius",
    ),
    # ------------------------------------------------------------------------------------------------- carried
    **each(
        carried("origin of the image"),
        "micrograph micrographId xcoor ycoor zcoor coordinates imageOriginal image1 image2 imageRef imageResidual "
        "imageCovariance particleId tomogramParticle particleIdOriginal comment reference referenceProjection",
    ),
    **each(
        carried("classification, alignment and their statistics"),
        "ref ref3d classCount class refId maxCC maxCCPerc corrDenoisedProjection corrDenoisedNoisyVolume LL pMax "
        "angleDiff angleDiff0 angleDiff2 angleRot2 angleTilt2 anglePsi2 shiftX2 shiftY2 shiftDiff shiftDiff0 zScore "
        "zScoreShape1 zScoreShape2 zScoreSNR1 zScoreSNR2 zScoreHistogram score scoreByVariance scoreByGiniCoeff "
        "cumulativeSSNR neighbors numberOfNeighbors imageIdx randomSeed halfId",
    ),
    **each(
        carried("background, noise and quality of the CTF's estimation"),
        "ctfBgBaseline ctfBgGaussianK ctfBgGaussianSigmaU ctfBgGaussianSigmaV ctfBgGaussianCU ctfBgGaussianCV "
        "ctfBgGaussianAngle ctfBgSqrtK ctfBgSqrtU ctfBgSqrtV ctfBgSqrtAngle ctfBgGaussian2K ctfBgGaussian2SigmaU "
        "ctfBgGaussian2SigmaV ctfBgGaussian2CU ctfBgGaussian2CV ctfBgGaussian2Angle ctfCritFitting ctfCritCorr13 "
        "ctfCritMaxFreq ctfCritDamping ctfCritFirstZero ctfCritPsdStdQ ctfCritPsdPCA1 ctfCritIceness "
        "ctfCritFirstZeroRatio ctfCritFirstMinFirstZeroRatio ctfCritNonAstigmaticValidty ctfCritNormality "
        "ctfSamplingRate ctfMaxResolution ctfGroup localCtfMaxResolution",
    ),
}  # fmt: skip
