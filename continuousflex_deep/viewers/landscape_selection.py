"""What is selected in a landscape: the selected particles, and groups of particles that have a name and a colour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from continuousflex_deep.arrays import Integers, Mask
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.groups import COLOURS, NamedGroup
from continuousflex_deep.landscape.expressions import evaluate_condition, ranges_of
from continuousflex_deep.viewers.landscape_data import LandscapeData
from continuousflex_deep.viewers.landscape_view import Layer

Combine = Literal["replace", "add", "remove", "intersect"]
CHOSEN_COLOUR = "#ff00ff"  # of particles that are selected and in no group yet
_MOST_UNDO = 50


@dataclass(frozen=True, eq=False)
class Group:
    """Particles (n,) of a landscape under a name; hidden groups are not drawn."""

    name: str
    colour: str
    mask: Mask
    shown: bool = True

    @cached_property
    def rows(self) -> Integers:
        """Rows of the particles."""
        return np.flatnonzero(self.mask)

    def __len__(self) -> int:
        return len(self.rows)


class Selection:
    """The selected particles, ``chosen`` (n,), and ``groups``; nothing here needs a window."""

    def __init__(self, data: LandscapeData) -> None:
        self.data = data
        self.chosen: Mask = np.zeros(len(data), dtype=bool)
        self.groups: list[Group] = []
        self._before: list[tuple[Mask, list[Group]]] = []

    # -------------------------- choosing ------------------------------------
    def choose(self, mask: Mask, how: Combine = "replace") -> None:
        """Take these particles (n,) instead of those chosen, beside them, off them, or what both have in common."""
        self._remember()
        self.chosen = {
            "replace": mask, "add": self.chosen | mask, "remove": self.chosen & ~mask, "intersect": self.chosen & mask,
        }[how]  # fmt: skip

    def choose_by(self, condition: str, how: Combine = "replace") -> None:
        """Choose the particles that fulfil a condition such as "pc1 > 100 and not outlier". Raises InputError for one
        that cannot be read, and where no particle fulfils it."""
        mask, used = evaluate_condition(condition, self.data.named)
        if not mask.any():
            ranges = ranges_of(self.data.named, used) or "none"
            raise InputError(f"no particle fulfils '{condition}'; in this landscape there is {ranges}")
        self.choose(mask, how)

    def undo(self) -> None:
        """Take back the last choice or change of groups; does nothing where there was none."""
        if self._before:
            self.chosen, self.groups = self._before.pop()

    def _remember(self) -> None:
        self._before = [*self._before, (self.chosen, list(self.groups))][-_MOST_UNDO:]

    # -------------------------- groups --------------------------------------
    def group(self, name: str) -> Group:
        """InputError where there is no group of that name."""
        for group in self.groups:
            if group.name == name:
                return group
        raise InputError(f"there is no group '{name}'; there are {[g.name for g in self.groups]}")

    def add_group(self, name: str) -> Group:
        """Make a group of the selected particles; afterwards none is selected. Raises InputError where there are
        none, for a name that says nothing and for one that is taken."""
        if not self.chosen.any():
            raise InputError("no particle is selected: draw around some, or give a condition, first")
        if any(group.name == name for group in self.groups):
            raise InputError(f"a group '{name}' exists already; give another name")
        NamedGroup(name, self._free_colour(), np.empty(0, np.int64))
        self._remember()
        group = Group(name, self._free_colour(), self.chosen)
        self.groups.append(group)
        self.chosen = np.zeros_like(self.chosen)
        return group

    def change(self, name: str, /, **changes: Any) -> None:
        """Change a group's name, colour, mask or whether it is shown. Raises InputError as add_group does."""
        group = self.group(name)
        changed = replace(group, **changes)
        if changed.name != name and any(g.name == changed.name for g in self.groups):
            raise InputError(f"a group '{changed.name}' exists already; give another name")
        NamedGroup(changed.name, changed.colour, np.empty(0, np.int64))
        self._remember()
        self.groups[self.groups.index(group)] = changed

    def remove_group(self, name: str) -> None:
        group = self.group(name)
        self._remember()
        self.groups.remove(group)

    def free_name(self) -> str:
        """A name that no group has yet."""
        taken = {group.name for group in self.groups}
        return next(f"group {number}" for number in range(1, len(taken) + 2) if f"group {number}" not in taken)

    def _free_colour(self) -> str:
        return _free_colour(self.groups)

    def shared(self) -> int:
        """How many particles are in more than one group."""
        return int((np.sum([group.mask for group in self.groups], axis=0) > 1).sum()) if self.groups else 0

    # -------------------------- to and from files ---------------------------
    def named_groups(self) -> list[NamedGroup]:
        """The groups by ids, as files hold them."""
        ids = self.data.table.ids
        return [NamedGroup(group.name, group.colour, ids[group.mask]) for group in self.groups]

    def take(self, groups: Sequence[NamedGroup], beside: Sequence[Group] = ()) -> None:
        """Take groups from a file instead of those that there are, beside some of them, where a name that is taken gets
        a number and a colour that is taken another one. Raises InputError, and changes nothing, where a particle is not
        in the landscape."""
        taken = self._of_this_landscape(groups)
        self._remember()
        self.groups = _joined(beside, taken) if beside else taken

    def load(self, groups: Sequence[NamedGroup]) -> None:
        """Take the groups that were here when the landscape was last open; undoing does not take them back. Raises
        InputError as take does."""
        self.groups = self._of_this_landscape(groups)

    def merge(
        self, added: Sequence[NamedGroup] = (), removed: Sequence[str] = (), recoloured: Mapping[str, str] | None = None
    ) -> list[Group]:
        """Do what others did, as if it had been so before all that can be undone, since undoing takes back only what
        was done here: add groups, which it returns as they are called now, and remove or recolour those of these names.
        Raises InputError as take does."""
        taken = self._of_this_landscape(added)
        gone = {_trace(self.group(name)) for name in removed}  # whatever colour it had, hidden or not
        colours = {_trace(self.group(name)): colour for name, colour in (recoloured or {}).items()}

        def merged(groups: Sequence[Group], new: Sequence[Group]) -> list[Group]:
            kept = [replace(g, colour=colours.get(_trace(g), g.colour)) for g in groups if _trace(g) not in gone]
            for group in new:
                if not _has(kept, group):
                    kept.append(replace(group, name=_free_of(group.name, {g.name for g in kept})))
            return kept

        here = [group for group in self.groups if _trace(group) not in gone]
        new = _joined(here, taken)[len(here) :]
        self.groups = merged(self.groups, new)
        self._before = [(chosen, merged(groups, new)) for chosen, groups in self._before]
        return new

    def _of_this_landscape(self, groups: Sequence[NamedGroup]) -> list[Group]:
        made = []
        for group in groups:
            mask = np.zeros(len(self.data), dtype=bool)
            try:
                mask[self.data.rows_of(group.ids)] = True
            except InputError as error:
                raise InputError(f"group '{group.name}': {error}; it is from another landscape") from error
            made.append(Group(group.name, group.colour, mask))
        return made

    def layers(self) -> list[Layer]:
        """What to draw over the landscape: the visible groups and, on top, the selected particles."""
        layers = [Layer(group.colour, group.rows) for group in self.groups if group.shown]
        return [*layers, Layer(CHOSEN_COLOUR, np.flatnonzero(self.chosen))] if self.chosen.any() else layers


def _trace(group: Group) -> tuple[str, int]:
    """What stays of a group whose colour is changed, or that is hidden."""
    return group.name, id(group.mask)


def _has(groups: Sequence[Group], group: Group) -> bool:
    """Whether one of the groups has its name and its particles."""
    return any(g.name == group.name and np.array_equal(g.mask, group.mask) for g in groups)


def _joined(groups: Sequence[Group], added: Sequence[Group]) -> list[Group]:
    """Groups and others beside them: a name that is taken gets a number, and a colour that is taken is another one."""
    joined = list(groups)
    for group in added:
        colour = _free_colour(joined) if group.colour in {g.colour for g in joined} else group.colour
        joined.append(replace(group, name=_free_of(group.name, {g.name for g in joined}), colour=colour))
    return joined


def _free_colour(groups: Sequence[Group]) -> str:
    """A colour that no group has, as long as there is one."""
    taken = {group.colour for group in groups}
    return next((c for c in COLOURS if c not in taken), COLOURS[len(groups) % len(COLOURS)])


def _free_of(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free
