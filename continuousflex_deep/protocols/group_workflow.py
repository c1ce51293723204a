"""From encircled particles to maps: runs that the landscape's viewer starts in a project."""

from pathlib import Path
from typing import Any

from pyworkflow.object import Pointer

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.groups import read_groups
from continuousflex_deep.protocols.group_base import CfdProtGroupBase
from continuousflex_deep.protocols.protocol_group import CfdProtGroup
from continuousflex_deep.protocols.protocol_reconstruct import GROUPS, PARTICLES, CfdProtReconstruct

# before a scheduled run first looks for its inputs, so that small groups are ready; each further look is minutes later
_HEAD_START_S = 10


def make_groups(project: Any, landscape_protocol: Any, groups_file: str | Path, wait: bool = False) -> CfdProtGroup:
    """Launch the protocol that makes a set of particles of each group of a file; it reads the file once it runs.

    Outliers are taken where they are in a group, since whoever chose them saw them. With `wait`, return when it is
    done. Raises InputError or FormatError where the file holds no groups.
    """
    groups = read_groups(groups_file)
    if not groups:
        raise InputError(f"'{groups_file}' has no groups; save some first")
    protocol = project.newProtocol(CfdProtGroup, groups=str(groups_file), keep_outliers=True)
    protocol.setObjLabel(f"groups: {', '.join(group.name for group in groups)}")
    protocol.inputLandscape.set(landscape_protocol)
    protocol.inputLandscape.setExtended("outputLandscape")
    project.launchProtocol(protocol, wait=wait)
    return protocol


def reconstruct_groups(
    project: Any, group_protocol: CfdProtGroupBase, images: Any = None, wait: bool = False
) -> CfdProtReconstruct:
    """Launch the reconstruction of all groups of a protocol; it is scheduled where a file's groups are not made yet.

    images: an output of the project, the same particles at original size, say. The CTF is corrected for where the
    images have one. With `wait`, return when it is done. Raises InputError where there are no groups and none will be,
    and where groups have to be there: clusters, whose number is not known before, and with `wait`.
    """
    if group_protocol.isActive():  # what is known here may be older than what its run wrote
        project._updateProtocol(group_protocol)
    if group_protocol.isFailed() or group_protocol.isAborted():
        raise InputError(f"'{group_protocol.getObjLabel()}' made no groups; see its log and run it again")
    ready = group_protocol.isFinished()
    if not ready and (wait or not isinstance(group_protocol, CfdProtGroup)):  # clusters are not known beforehand
        raise InputError(f"'{group_protocol.getObjLabel()}' has not made its groups yet; wait for it first")
    names = [name for name, _ in group_protocol.iterOutputAttributes(includePossible=True)]
    if not names:
        raise InputError(f"'{group_protocol.getObjLabel()}' will make no groups; see its file of groups")
    pointers = [Pointer(group_protocol, extended=name) for name in names]
    protocol = project.newProtocol(CfdProtReconstruct, source=PARTICLES if len(names) == 1 else GROUPS)
    protocol.setObjLabel(f"maps of {group_protocol.getObjLabel()}")
    if len(names) == 1:
        protocol.inputParticles.copy(pointers[0], copyId=False)
    else:
        protocol.inputGroups.set(pointers)
    if images is not None:
        owner = project.getProtocol(images.getObjParentId())
        protocol.inputImages.copy(Pointer(owner, extended=images.getLastName()), copyId=False)
    protocol.ctf.set((images or group_protocol.getImages()).hasCTF())
    if ready:
        project.launchProtocol(protocol, wait=wait)
    else:
        project.scheduleProtocol(protocol, initialSleepTime=_HEAD_START_S)
    return protocol
