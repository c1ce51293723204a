"""Advice in errors, followed: what raises each error, and the same with its advice."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from continuousflex_deep.errors import DeepError
from continuousflex_deep.hemnma.alignment import Alignment
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.runs.batch import Batch

PAST = "everything was read and checked"  # where the long work would begin


@dataclass(frozen=True)
class Scenario:
    """A piece of an advice, a command line that raises it, and the same with the advice followed. @ stands for the
    folder of the inputs, ^ for a new path.

    around: what else has to be so, for both. to_the_end: also the long work is done.
    """

    piece: str
    wrong: str
    followed: str
    around: Callable[[pytest.MonkeyPatch], None] | None = None
    to_the_end: bool = False


def scenario(
    piece: str, common: str, wrong: str = "", followed: str = "",
    around: Callable[[pytest.MonkeyPatch], None] | None = None, to_the_end: bool = False,
) -> Scenario:  # fmt: skip
    """common: the beginning of both command lines."""
    return Scenario(piece, f"{common} {wrong}", f"{common} {followed}", around, to_the_end)


def _failing_ffmpeg(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shutil, "which", lambda name: "/bin/false")


def _no_umap(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(sys.modules, "umap", None)


def _little_memory(patch: pytest.MonkeyPatch) -> None:
    known, mega = os.sysconf, 2**20
    patch.setattr(os, "sysconf", lambda name: {"SC_PHYS_PAGES": 1, "SC_PAGE_SIZE": mega // 2}.get(name) or known(name))


def _memory_of_small_images(patch: pytest.MonkeyPatch) -> None:
    def calibrate(self: EmbeddedEngine, batch: Batch) -> None:
        raise MemoryError if batch.particles.box_px > 32 else DeepError(PAST)

    patch.setattr(EmbeddedEngine, "calibrate", calibrate)


def _end_before_alignment(patch: pytest.MonkeyPatch) -> None:
    def complete(self: Alignment) -> None:
        raise DeepError(PAST)

    patch.setattr(Alignment, "complete", complete)


_TOY = "--structure @toy.pdb --modes @modes"
_CPU = "--threads 1 --device cpu"
_EVALUATE = f"evaluate {_TOY}"
_ALIGN = f"align --particles @toy.star --structure @toy.pdb --output ^.star {_CPU} --modes @modes --mode-list 7-8"
_XMIPP = ("align --particles @toy.star --structure @gaussians.pdb --modes @modes --mode-list 7-8 --output ^.star "
          "--engine xmipp --xmipp-home @programs")
_FREALIGN = "--stack @small.mrcs --voltage-kV 300 --cs-mm 2.7 --amplitude-contrast 0.07"
_ELNEMO = "--engine elnemo --elnemo-home @programs"
_TRAIN = f"train --output ^ --backbone resnet18 --epochs 1 --readers 1 {_CPU}"
_INFER = f"infer --particles @toy.star --output ^.star {_CPU}"
_LANDSCAPE = "landscape --output ^"
_MAPS = f"reconstruct --output ^ {_CPU}"
_SIMULATE = "simulate --structure @helix.pdb --output ^ --count 2 --box-px 32 --pixel-size-A 4 --final-box-px 0"
_PATH = "trajectory --landscape @plane --structure @toy.pdb --modes @modes --output ^ --movie none"

SCENARIOS = [
    # ------------------------------------------------------------------------------------------------------ evaluate
    scenario("one particle file alone cannot be compared", f"{_EVALUATE} --particles @toy.star",
             followed="--truth @other.star"),
    scenario("one particle file alone cannot be compared", f"{_EVALUATE} --particles @toy.star",
             followed="--particles @other.star"),
    scenario("the Cramér-Rao bound needs the true parameters",
             f"{_EVALUATE} --particles @toy.star --particles @other.star --bound", followed="--truth @toy.star"),
    scenario("--bound: option --modes is required",
             "evaluate --structure @toy.pdb --particles @rigid.star --truth @toy.star --bound",
             followed="--modes @modes"),
    scenario("only particles without amplitudes are compared without modes",
             "evaluate --structure @toy.pdb --particles @toy.star --truth @other.star", followed="--modes @modes"),
    scenario("is given twice; give different results", f"{_EVALUATE} --particles @toy.star",
             "--particles @toy.star", "--particles @other.star"),
    scenario("select those to compare by --mode-list",
             f"{_EVALUATE} --particles @toy.star --particles @modes_8_9.star", followed="--mode-list 8"),
    scenario("but not …; select modes that it has by --mode-list", f"{_EVALUATE.replace('@modes', '@modes_7_9')} "
             "--particles @toy.star --truth @other.star", "--mode-list 9", "--mode-list 8"),
    scenario("the true centroid of", f"{_EVALUATE.replace('@modes', '@modes_7_9')} --particles @toy.star --mode-list 8 "
             "--reconstruction @maps", "--truth @modes_8_9.star", "--truth @other.star"),
    scenario("so that orientations are no longer equivalent; omit", "evaluate --structure @dimer.pdb "
             "--modes @dimer_modes --particles @toy.star --truth @other.star", "--symmetry c2"),
    # ------------------------------------------------------------------------------------- files of the wrong kind
    scenario("is an input file; give another name", "convert --particles @toy.star",
             "--output @toy.star", "--output ^.star"),
    scenario("is for the particles that are not drawn; give --draw, too",
             "convert --particles @toy.star --output ^.star --rest ^.rest.star", followed="--draw 3"),
    scenario("are both '…'; give two names", "convert --particles @toy.star --output ^.star --draw 3",
             "--rest ^.star", "--rest ^.rest.star"),
    scenario("particles; draw fewer", "convert --particles @toy.star --output ^.star", "--draw 9999", "--draw 3"),
    scenario("leaves no particles for --rest; draw fewer", "convert --particles @three.star --output ^.star "
             "--rest ^.rest.star", "--draw 3", "--draw 2"),
    scenario("which names neither its stack nor the microscope; convert it first",
             "", "preprocess --particles @small.par --output ^ --box 16",
             f"convert --particles @small.par --output ^.star {_FREALIGN}"),
    scenario("reduce --min-occupancy-percent, or give the",
             f"convert --particles @small.par --output ^.star {_FREALIGN}",
             "--min-occupancy-percent 100", "--min-occupancy-percent 50"),
    scenario("expected a .json file for the groups", "clusters --landscape @pca", "--output ^", "--output ^.json"),
    scenario("expected a file name that ends in .pdb or .cif", "pseudoatoms --map @density.mrc",
             "--output ^", "--output ^.pdb"),
    scenario("expected the name of an HTML file", "report --landscape @pca", "--output ^", "--output ^.html"),
    scenario("is a folder; give the name of a file", "report --landscape @pca", "--output @a.html",
             "--output @a.html/report.html"),
    scenario("is the folder of the modes, whose record would be overwritten", f"modes {_TOY}",
             "--output @modes", "--output ^"),
    scenario("expected at least 2, or 0 to keep", "preprocess --particles @toy.star --output ^", "--box 1", "--box 32"),
    # -------------------------------------------------------------------------------------------------------- deform
    scenario("both define the motion; give one of them", f"deform {_TOY} --output ^ --mode-list 7-8",
             "--particles @toy.star --amplitudes '5 5'", "--amplitudes '5 5'"),
    scenario("an oscillation needs one; give one mode, or --amplitudes", f"deform {_TOY} --output ^",
             "--mode-list 7-8", "--mode-list 7"),
    scenario("an oscillation needs one; give one mode, or --amplitudes", f"deform {_TOY} --output ^ --mode-list 7-8",
             followed="--amplitudes '5 5'"),
    scenario("the particles have amplitudes along different modes",
             f"deform {_TOY} --output ^ --particles @toy.star --particles @modes_8_9.star",
             followed="--mode-list 8"),
    scenario("give particles of one motion, and leave --motion out", f"deform {_TOY} --output ^ --mode-list 7-8",
             "--particles @toy.star --particles @helical.star", "--particles @toy.star --particles @other.star"),
    scenario("numbers in Å, one for each of the modes", f"deform {_TOY} --output ^ --mode-list 7-8",
             "--amplitudes 5", "--amplitudes '5 5'"),
    # --------------------------------------------------------------------------------------------------------- group
    scenario("already names the particles; give either --groups or", "group --landscape @pca --groups @groups.json",
             "--output ^ --expression pc1>0", "--output ^"),
    scenario("expected a folder for the particle files of --groups", "group --landscape @pca --groups @groups.json",
             "--output ^.star", "--output ^"),
    scenario("contains the file of groups itself", "group --landscape @pca --groups @named/groups.json",
             "--output @named", "--output ^"),
    # -------------------------------------------------------------------------------------------------------- report
    scenario("belong together: the structure is shown moving along its modes",
             "report --landscape @plane --output ^.html --structure @toy.pdb", followed="--modes @modes"),
    scenario("groups are shown in their landscape", f"report --group @group.star --output ^.html {_TOY}",
             followed="--landscape @plane"),
    scenario("leave --structure and --modes away", "report --trajectory @path --output ^.html",
             "--structure @toy.pdb --modes @modes_8_9"),
    scenario("give the landscape of the trajectory", "report --trajectory @path --output ^.html "
             "--structure @toy.pdb --modes @modes_helical", followed="--landscape @plane"),
    scenario("holds no comparison of results or maps", "report --output ^.html", "--evaluation @nothing.json",
             "--evaluation @compared"),
    # ----------------------------------------------------------------------------------------------------- landscape
    scenario("are negative or no numbers", f"{_LANDSCAPE} --particles @negative.star", "--density deconvolved",
             "--density raw"),
    scenario("--method umap needs umap-learn", f"{_LANDSCAPE} --particles @toy.star", "--method umap",
             "--method isomap", around=_no_umap),
    scenario("all … particles that fulfil the condition are outliers", "group --landscape @central "
             "--expression distance>1 --output ^.star", followed="--keep-outliers"),
    scenario("group '…': all … particles are outliers", "group --landscape @central --groups @far.json --output ^",
             followed="--keep-outliers"),
    scenario("modes; give", f"{_LANDSCAPE} --particles @toy.star", "--n-components 3", "--n-components 2"),
    scenario("a Mahalanobis distance of", f"{_LANDSCAPE} --particles @toy.star", "--outlier-distance 1e-9",
             "--outlier-distance 3"),
    scenario("distinct particles are fitted; give", f"{_LANDSCAPE} --particles @toy.star --method isomap",
             "--n-neighbors 60", "--n-neighbors 20"),
    scenario("give more neighbours or fewer dimensions",
             f"{_LANDSCAPE} --particles @toy.star --method hessian-lle --n-components 2",
             "--n-neighbors 4", "--n-neighbors 8"),
    scenario("groups that are not connected", f"{_LANDSCAPE} --particles @apart.star --method isomap",
             "--n-neighbors 3 --outlier-distance 0", "--n-neighbors 30 --outlier-distance 0"),
    scenario("but t-SNE has at most", f"{_LANDSCAPE} --particles @five.star --method tsne",
             "--n-components 4", "--n-components 2"),
    scenario("--perplexity: got", f"{_LANDSCAPE} --particles @few.star --method tsne --n-components 2",
             "--perplexity 60", "--perplexity 3"),
    scenario("distinct particles to fit, expected at least", f"{_LANDSCAPE} --particles @three.star",
             "--method isomap --outlier-distance 0", "--method pca --outlier-distance 0"),
    # ------------------------------------------------------------------------------------------------------ clusters
    scenario("k-means has no probabilities; use --method gmm", "clusters --landscape @pca --output ^.json",
             "--method kmeans --min-probability 0.5", "--method gmm --min-probability 0.5"),
    scenario("give a smaller number", "clusters --landscape @plane --output ^.json", "--n-clusters 30",
             "--n-clusters 2"),
    scenario("but the highest probability", "clusters --landscape @five --output ^.json --n-clusters 2",
             "--min-probability 1", "--min-probability 0.5"),
    # ----------------------------------------------------------------------------------------------------------- nma
    scenario("or leave the atoms out by", "nma --structure @unknown.pdb --output ^ --block-size 0 --cutoff-A 12",
             followed="--select 'not B'"),
    scenario("--select '…': cannot read '…' (…); …", "nma --structure @helix.pdb --output ^ --cutoff-A 12 "
             "--block-size 0", "--select 'A/(('", "--select A"),
    scenario("part of the structure besides the polymer", "nma --structure @ligand.pdb --output ^ --cutoff-A 12 "
             "--block-size 0", followed="--select ';polymer'"),
    scenario("if they move these, read these alone", "deform --structure @both.pdb --modes @helix_modes --output ^",
             followed="--select '//*//CA,P'"),
    scenario("blocks (--block-size 10) or a smaller cutoff", "nma --structure @helix.pdb --output ^ --cutoff-A 12",
             "--block-size 0", "--block-size 10", around=_little_memory),
    scenario("no electron scattering factors", "align --particles @rigid.star --structure @heavy.pdb "
             f"--output ^.star --fit pose {_CPU}", followed="--select 'not [Es]'"),
    # ------------------------------------------------------------------------------------------------------ simulate
    scenario("only conformations of files need none", _SIMULATE.replace("@helix.pdb", "@toy.pdb"),
             "--conformations uniform", "--conformations uniform --modes @modes --mode-list 7"),
    scenario("only conformations of files need none", _SIMULATE, followed="--conformations @ensemble.pdb"),
    scenario("give conformations of exactly these atoms", _SIMULATE, "--conformations @longer.pdb",
             "--conformations @longer.pdb --select 'not A/41'"),
    scenario("give as --structure the file that the trajectory was made from",
             _SIMULATE.replace("--structure @helix.pdb", "--conformations @frames.dcd"), "--structure @toy.pdb",
             "--structure @helix.pdb"),
    scenario("has no structures; expected", _SIMULATE, "--conformations @named", "--conformations @ensemble.pdb"),
    # ---------------------------------------------------------------------------------------------------- moved maps
    scenario("the structure may be placed by any of", "deform --structure @helix.pdb --modes @helix_modes --output ^ "
             "--n-frames 1 --mode-list 7 --map @even.mrc", followed="--place centre"),
    scenario("are outside the map with the placement", f"deform {_TOY} --output ^ --n-frames 1 --mode-list 7 "
             "--map @moved.mrc", "--place header", "--place centre"),
    scenario("are two cutoffs; give one", "nma --structure @helix.pdb --output ^ --block-size 0",
             "--cutoff-A 12 --cutoff-percent 5", "--cutoff-A 12"),
    scenario("or 0 for the default of atoms or pseudoatoms", "nma --structure @toy.pdb --output ^ --n-modes 7",
             "--cutoff-A 1", "--cutoff-A 0"),
    scenario("two atoms have the same position", "nma --structure @twice.pdb --output ^ --cutoff-A 12 --block-size 0",
             followed="--select 'not A/40'"),
    scenario("--models all takes all of them as one molecule", "nma --structure @assembly.pdb --output ^ "
             "--block-size 0", "--cutoff-A 12", "--cutoff-A 60 --models all"),
    scenario("read the first model (--models first)", "nma --structure @ensemble.pdb --output ^ --block-size 0 "
             "--cutoff-A 12", "--models all", "--models first"),
    scenario("has the same conformation as", "modes --structure @helix.pdb --modes @helix_modes --output ^",
             "--target @helix.pdb"),
    scenario("lower --collectivity-threshold", "modes --structure @helix.pdb --modes @helix_modes --output ^",
             "--collectivity-threshold 1", "--collectivity-threshold 0.1"),
    scenario("--select '…': cannot read '…'; …", "nma --structure @helix.pdb --output ^ --cutoff-A 12 --block-size 0",
             "--select 'A and'", "--select A"),
    scenario("is selected; its chains are", "nma --structure @helix.pdb --output ^ --cutoff-A 12 --block-size 0",
             "--select B", "--select A"),
    scenario("compute the modes from exactly this structure", "deform --structure @longer.pdb --modes @helix_modes "
             "--output ^", followed="--select 'not A/41'"),
    # --------------------------------------------------------------------------------------------------- pseudoatoms
    scenario("resample the map for other values", "pseudoatoms --map @density.mrc --output ^.pdb",
             "--sigma-A 500", "--sigma-A 6"),
    scenario("expected a density or auto", "pseudoatoms --map @density.mrc --output ^.pdb --sigma-A 6",
             "--threshold high", "--threshold 0.1"),
    scenario("its density appears to be", "pseudoatoms --map @dark.mrc --output ^.pdb --sigma-A 6",
             followed="--invert"),
    scenario("its header has no voxel size; give it by --voxel-size-A",
             "pseudoatoms --map @no_voxel_size.mrc --output ^.pdb --sigma-A 6", followed="--voxel-size-A 4"),
    scenario("if only the header is wrong, give the voxel size by --voxel-size-A",
             "pseudoatoms --map @stretched.mrc --output ^.pdb --sigma-A 6", followed="--voxel-size-A 4"),
    scenario("the map has finer details than Gaussians", "pseudoatoms --map @density.mrc --output ^.pdb "
             "--target-error-percent 50", "--sigma-A 14", "--sigma-A 6", to_the_end=True),
    # --------------------------------------------------------------------------------------------------- reconstruct
    scenario("give particle files by --particles or a landscape by --landscape", f"{_MAPS} --no-ctf",
             "--particles @toy.star --landscape @pca", "--particles @toy.star"),
    scenario("give all groups the same images by --images", f"{_MAPS} --no-ctf --particles @toy.star",
             "--particles @small.star", "--particles @small.star --images @toy.star"),
    scenario("fewer --groups or --split numbers", f"{_MAPS} --landscape @plane --no-ctf --split widths", "--groups 30",
             "--groups 2"),
    scenario("--no-ctf turns it off", f"{_MAPS} --particles @toy.star", followed="--no-ctf"),
    scenario("the box is only", f"{_MAPS} --particles @toy.star --no-ctf", "--mask-diameter-A 500",
             "--mask-diameter-A 100"),
    scenario("--local-window-A: got", f"{_MAPS} --particles @toy.star --no-ctf --local-filter",
             "--local-window-A 1000", "--local-window-A 40"),
    scenario("--axis: got '…', but this landscape has", f"{_MAPS} --landscape @pca --groups 2", "--axis pc9",
             "--axis pc1"),
    scenario("particles have the value …; select another axis", f"{_MAPS} --landscape @scored --groups 2 --no-ctf",
             "--axis score", "--axis pc1"),
    # ---------------------------------------------------------------------------------------------------- trajectory
    scenario("are equal along one of", f"{_PATH.replace('@plane', '@flat')} --kind points --points '-5 0;5 0'",
             "--dimensions 2", "--dimensions 1"),
    scenario("ffmpeg could not write", f"{_PATH} --n-frames 2", "--movie gif+mp4", "--movie gif",
             around=_failing_ffmpeg),
    scenario("as many as the landscape has coordinates", f"{_PATH}", "--axis 5", "--axis 1"),
    scenario("expected two increasing numbers from 0 to 100", f"{_PATH}", "--percentiles 90 10",
             "--percentiles 10 90"),
    scenario("give points either by --points or by --points-file", f"{_PATH} --kind points",
             followed="--points '-10 0;10 0'"),
    scenario("give a smaller --min-prominence-kT or --bandwidth, or another --kind", f"{_PATH}",
             "--kind density --min-prominence-kT 50", "--kind axis"),
    scenario("the density has one maximum only", f"{_PATH} --kind mep", "--min-prominence-kT 50",
             "--points '-10 0;10 0' --dimensions 2"),
    scenario("a minimum-energy path needs 2 points in", f"{_PATH} --kind mep --points '-10 0;10 0'", "--dimensions 1",
             "--dimensions 2"),
    # --------------------------------------------------------------------------------------------------------- align
    scenario("without modes only poses can be found (--fit pose)",
             f"align --particles @rigid.star --structure @toy.pdb --output ^.star {_CPU}", followed="--fit pose"),
    scenario("without modes only poses can be found (--fit pose)",
             f"align --particles @toy.star --structure @toy.pdb --output ^.star {_CPU}",
             followed="--modes @modes --mode-list 7-8"),
    scenario("so that equivalent poses of the structure are no longer equivalent; leave it out", _ALIGN,
             "--symmetry c2"),
    scenario("learns the modes by the embedded engine", f"{_ALIGN} --fit pose", "--mode-list auto"),
    scenario("chooses among many modes, but the folder has", f"{_ALIGN} --mode-list auto", "--modes @one_mode",
             "--modes @upright_modes"),
    scenario("needs orthogonal modes", _ALIGN, "--mode-list auto"),
    scenario("has modes already, which those that", f"{_ALIGN} --modes @upright_modes --mode-list auto",
             "--output @taken.star"),
    scenario("rings of images", _ALIGN.replace("@toy.star", "@three.star"), "--finest-resolution-A 500",
             "--finest-resolution-A 30", to_the_end=True),
    scenario("or take what belongs to … motion", _ALIGN.replace("@toy.star", "@helical.star"), "--motion straight",
             "--motion helical"),
    scenario("a start from known poses (--init local or --fit conformation)",
             _ALIGN.replace("@toy.star", "@bare.star"), "--init local", "--init global"),
    scenario("holds particles to given poses while they are refined", f"{_ALIGN} --given-pose-sd-A 2", "--init global",
             "--init local"),
    scenario("for some of them; leave one of the two out", f"{_ALIGN} --given-pose-sd-A 2 --init local",
             "--search-above-deg 20"),
    scenario("to align each in its own conformation", "align --particles @toy.star --structure @toy.pdb --output "
             f"^.star {_CPU} --fit pose", followed="--modes @modes --mode-list '7 8'"),
    scenario("there is no pixel size in the file or in its stack's header",
             _ALIGN.replace("@toy.star", "@no_pixel_size.star"), followed="--pixel-size-A 4"),
    scenario("there is no pixel size in the file or in its stack's header",
             "preprocess --particles @no_pixel_size.star --output ^ --box 16", followed="--pixel-size-A 4"),
    scenario("use the particles before the expansion, each image in one row",
             _ALIGN.replace("@toy.star", "@expanded.star"), "--pixel-size-A 4", "--particles @toy.star"),
    scenario("finished or begun parts of a run", _ALIGN.replace("^.star", "@begun.star"), followed="--output ^.star"),
    scenario("is being written by", f"{_LANDSCAPE.replace('^', '@busy')} --particles @toy.star",
             followed="--output ^"),
    scenario("are several ways to get workers", f"{_ALIGN} --workers 2", "--cluster slurm", "--cluster none"),
    scenario("does not support", _ALIGN, "--engine xmipp --init local", "--engine embedded --init local"),
    scenario("even one particle at a time", "align --structure @toy.pdb --output ^.star --threads 1 --modes @modes "
             "--mode-list 7-8 --device cpu", "--particles @toy.star", "--particles @small.star",
             around=_memory_of_small_images, to_the_end=True),
    # ---------------------------------------------------------------------------------------- engines of other programs
    scenario("Xmipp's wavelets need a box", _XMIPP.replace("@toy.star", "@box_48.star"), "--xmipp-method wavelets",
             "--xmipp-method projections"),
    scenario("Xmipp's HEMNMA halves the images", "", f"{_XMIPP.replace('@toy.star', '@box_47.star')} "
             "--xmipp-method projections", "preprocess --particles @box_47.star --box 46 --output ^"),
    scenario("Xmipp's program does not start on", f"{_XMIPP} --xmipp-launcher false", "--xmipp-processes 2",
             "--xmipp-processes 1"),
    scenario("Xmipp's program does not start on", f"{_XMIPP} --xmipp-processes 2", "--xmipp-launcher false",
             "--xmipp-launcher env"),
    scenario("this folder has another comparison", "compare --particles @toy.star --structure @gaussians.pdb "
             "--modes @modes --mode-list 7-8 --xmipp-home @programs --threads 1", "--output @other_comparison",
             "--output ^"),
    scenario("elNemo's blocks are consecutive", "nma --structure @beside.pdb --output ^ --cutoff-A 12 --n-modes 9",
             f"--block-size 10 {_ELNEMO}", "--block-size 10 --engine embedded"),
    scenario("elNemo's blocks must have", "nma --structure @helix.pdb --output ^ --cutoff-A 12 --n-modes 9",
             f"--block-size 2 {_ELNEMO}", "--block-size 2 --engine embedded"),
    scenario("and one mode for every two unknowns", "nma --structure @helix.pdb --output ^ --cutoff-A 12 "
             "--block-size 0 --n-modes 70", _ELNEMO, "--engine embedded"),
    # --------------------------------------------------------------------------------------------------------- train
    scenario("already contains a training; continue it by --resume",
             f"train --output @network --particles @toy.star --box 32 --backbone resnet18 --epochs 1 --batch 10 {_CPU}",
             followed="--resume"),
    scenario("simulated images need both the structure", f"{_TRAIN} --particles @toy.star --structure @toy.pdb",
             followed="--modes @modes"),
    scenario("simulated images need the structure and its modes: give", f"{_TRAIN} --particles @toy.star "
             "--simulated-images 20", followed=_TOY),
    scenario("leave whiten=true, or --simulated-images 0", f"{_TRAIN} --particles @toy.star --change whiten=false "
             f"{_TOY}", "--simulated-images 20", "--simulated-images 0"),
    scenario("expected 2 or more; batch normalisation", f"{_TRAIN} --particles @toy.star", "--batch 1", "--batch 2"),
    scenario("expected NAME=VALUE with NAME of", f"{_TRAIN} --particles @toy.star", "--change drop=0.1",
             "--change dropout=0.1"),
    scenario("option --change: got …=…, expected … or less", f"{_TRAIN} --particles @toy.star",
             "--change dropout=2", "--change dropout=0.5"),
    scenario("option --change: got …=…, expected … or more", f"{_TRAIN} --particles @toy.star",
             "--change weight_decay=-1", "--change weight_decay=0"),
    scenario("the network's box can only be smaller", f"{_TRAIN} --particles @toy.star", "--box 128", "--box 32"),
    scenario("from which the networks on halves would have to start", f"{_TRAIN} --particles @other.star "
             "--start-from @network", "--half-sets"),
    scenario("give --targets …, or train without --start-from", f"{_TRAIN} --particles @other.star "
             "--start-from @angles", "--targets shifts", "--targets angles"),
    scenario("leave that option out or train from the beginning", f"{_TRAIN} --particles @new.star "
             "--start-from @network", "--box 48", "--box 32"),
    scenario("and none is left to validate it", f"{_TRAIN} --particles @seen.star", "--start-from @network"),
    scenario("give labels for the same modes, or train without --start-from", f"{_TRAIN} --particles @modes_8_9.star",
             "--start-from @network"),
    scenario("name it by --start-from", f"{_TRAIN} --particles @new.star --second-pass", "",
             "--start-from @network"),
    scenario("give the network that it started from", f"{_TRAIN} --particles @new.star --second-pass",
             "--start-from @second", "--start-from @network"),
    scenario("leave out --second-pass", f"{_TRAIN} --particles @other.star --start-from @angles --targets angles",
             "--second-pass"),
    scenario("fine-tuning uses no simulated images unless", f"{_TRAIN} --particles @new.star --start-from @network "
             f"{_TOY}", followed="--simulated-images 20"),
    scenario("label more particles, or leave out --half-sets", f"{_TRAIN} --particles @one_half.star "
             "--start-from @halves", "--half-sets"),
    scenario("learns only from labelled images", f"{_TRAIN} --particles @toy.star", followed=_TOY),
    scenario("training diverged", f"{_TRAIN} --particles @toy.star --batch 10 --box 32", "--learning-rate 1e30",
             "--learning-rate 1e-4", to_the_end=True),
    # --------------------------------------------------------------------------------------------------------- infer
    scenario("preprocess these with --phase-flip", "", f"{_INFER.replace('@toy.star', '@seen_through.star')} "
             "--model @flipped", "preprocess --particles @seen_through.star --phase-flip --output ^"),
    scenario("--polish needs the structure and its modes", f"{_INFER} --model @network --polish",
             "--structure @toy.pdb", _TOY),
    scenario("these networks predict no uncertainties of angles", "", f"{_INFER} --model @rest --polish {_TOY}",
             f"{_ALIGN} --init global", around=_end_before_alignment, to_the_end=True),
    scenario("are neither predicted nor in the particle file: add a --model",
             f"{_INFER.replace('@toy.star', '@bare.star')} --model @angles --polish {_TOY}",
             followed="--model @rest/amplitudes --model @rest/shifts"),
    scenario("to replace the particles' amplitudes", f"{_INFER.replace('@toy.star', '@modes_8_9.star')} "
             "--model @network", followed="--mode-list '7 8'"),
    scenario("bring them to the same size (preprocess --box", "", f"{_INFER.replace('@toy.star', '@small.star')} "
             "--model @network", "preprocess --particles @small.star --box 64 --output ^"),
    scenario("train with --half-sets, and give the folder of that training", f"{_INFER} --half-sets",
             "--model @network", "--model @halves"),
]  # fmt: skip

# advice that no scenario follows, by what keeps one from it
NOT_FOLLOWED = {
    "is of what Xmipp's program finds: a stand-in that does as the advice says would show nothing": (
        "it could not reduce the error further", "that do not reproduce the map", "found no pseudoatoms; see its log",
    ),
    "is of workers, which tests/nn/test_processes.py starts as the advice says": (
        "workers were started without a connection", "batches of … images leave",
    ),
    "is of thousands of blocks, for which tests/motion/test_joints.py follows it with fewer": (
        "jointed motion: got … rigid blocks",
    ),
    "is of queues and schedulers, which tests/runs/test_slurm.py and test_dask_workers.py configure and start": (
        "the size of a job is not known", "--scheduler …: no connection",
    ),
    "is of more workers than GPUs, where GPUs are": ("workers on this host for",),
    "is no advice, but the note of a table, a page or a line of doctor": (
        "Both are independent of the structure only beyond", "Xmipp's programs through Scipion, for --engine xmipp",
        "the same with --xmipp-processes", "--motion-prior-A is not used", "selections in the page cover only",
        "whose occupancy is below …%", "particles below --min-occupancy-percent",
    ),
    "is to remove a file or to learn anew, which takes long": ("is not the density of amplitudes that",),
    "comes after long work": ("are aligned unambiguously along modes",),
    "is part of errors that other scenarios follow, where --select cannot help": ("since --select cannot name them",),
    "is of Python code: commands require modes before, ask PCA alone for components, and bound --dimensions": (
        "Xmipp's engine needs normal modes", "this landscape has no principal components", "a density needs 1 to",
    ),
    "is of failures of scikit-learn's solvers, which no data of a few modes are known to cause": (
        "kernel-pca: the particles have fewer", "locally linear embedding",
    ),
}
