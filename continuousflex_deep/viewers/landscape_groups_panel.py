"""The list of named groups beside a landscape: make, rename, recolour, hide, save and hand them on."""

import tkinter as tk
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tkinter import colorchooser, filedialog, messagebox, ttk
from typing import Any

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.file_names import GROUPS_JSON
from continuousflex_deep.io.groups import read_groups, write_groups
from continuousflex_deep.viewers.dialogs import guarded, succeeds, work_beside
from continuousflex_deep.viewers.groups_file import Changes, GroupsFile, key_of
from continuousflex_deep.viewers.landscape_selection import Selection

_SHOWN, _HIDDEN = "☑", "☐"
_SWATCH = "⬤"
_JSON = [("groups", "*.json")]
_KEEP_MS = 300  # after a change until it is written, so that several are written once


@dataclass(frozen=True)
class GroupActions:
    """What can be done with a file of groups; None where it cannot. Each returns what to tell the user.

    suggest gets a method, a number of clusters (0: chosen from the data) and the file to write; it and write_star,
    which gets a folder, run beside the window.
    """

    suggest: Callable[[str, int, Path], str] | None = None
    write_star: Callable[[Path, Path], str] | None = None
    make_sets: Callable[[Path], str] | None = None
    reconstruct: Callable[[Path], str] | None = None


class GroupsPanel:
    """Widgets in a frame; ``changed`` is called when what is drawn may be another.

    Groups are written to ``file`` at every change, and read from it at the start.
    """

    def __init__(
        self, frame: ttk.Frame, selection: Selection, file: Path, actions: GroupActions, changed: Callable[[], None]
    ) -> None:
        self.frame, self.selection, self.file, self.actions, self._changed = frame, selection, file, actions, changed
        self.name = tk.StringVar(frame)
        self.told = tk.StringVar(frame)
        frame.columnconfigure(0, weight=1)
        frame.rowconfigure(1, weight=1)
        self._build_list()
        self._build_buttons()
        self._build_suggestion()
        self._proposed = ""
        self._saver = GroupsFile(file)
        self._timer: str | None = None
        if file.is_file() and not self._succeeds(lambda: selection.load(self._saver.read())):
            self._succeeds(self._put_aside)  # the next change would write over it
        self.refresh()

    # -------------------------- widgets -------------------------------------
    def _build_list(self) -> None:
        ttk.Label(self.frame, text="Groups", font=("TkDefaultFont", 10, "bold")).grid(row=0, column=0, sticky="w")
        self.list = ttk.Treeview(
            self.frame, columns=("shown", "colour", "name", "count"), show="headings", selectmode="browse", height=7
        )
        for column, text, width in (
            ("shown", "show", 44), ("colour", "", 28), ("name", "name", 150), ("count", "particles", 84),
        ):  # fmt: skip
            self.list.heading(column, text=text)
            self.list.column(
                column, width=width, anchor="w" if column == "name" else "center", stretch=column == "name"
            )
        self.list.column("count", anchor="e")
        self.list.grid(row=1, column=0, sticky="nsew")
        bar = ttk.Scrollbar(self.frame, command=self.list.yview)
        self.list.configure(yscrollcommand=bar.set)
        bar.grid(row=1, column=1, sticky="ns")
        self.list.bind("<Button-1>", self._clicked)
        ttk.Label(self.frame, textvariable=self.told, wraplength=320).grid(row=2, column=0, sticky="w")

    def _build_buttons(self) -> None:
        frame = ttk.Frame(self.frame)
        frame.grid(row=3, column=0, sticky="ew")
        frame.columnconfigure((0, 1, 2), weight=1, uniform="buttons")
        entry = ttk.Entry(frame, textvariable=self.name)
        entry.grid(row=0, column=0, columnspan=2, sticky="ew")
        entry.bind("<Return>", lambda _event: self.add())
        rows: list[list[tuple[str, Callable[[], Any] | None]]] = [
            [("Add selected", self.add)],
            [("Rename", self.rename), ("Select", self.choose), ("Remove", self.remove)],
            [("Save as …", self._save_as), ("Open …", self._open), ("STAR files …", self._star)],
            [("Make sets", self.make_sets if self.actions.make_sets else None),
             ("Reconstruct", self.reconstruct if self.actions.reconstruct else None)],
        ]  # fmt: skip
        for row, buttons in enumerate(rows):
            for place, (text, command) in enumerate((t, c) for t, c in buttons if c is not None):
                button = ttk.Button(frame, text=text, command=command)
                button.grid(row=row, column=2 if row == 0 else place, sticky="ew")
        if self.actions.write_star is None:
            self._button(frame, "STAR files …").configure(state="disabled")

    def _build_suggestion(self) -> None:
        if self.actions.suggest is None:
            return
        frame = ttk.Frame(self.frame)
        frame.grid(row=4, column=0, sticky="ew", pady=(6, 0))
        frame.columnconfigure(3, weight=1)
        ttk.Label(frame, text="Suggest").grid(row=0, column=0)
        self.method = tk.StringVar(frame, "gmm")
        ttk.Combobox(frame, textvariable=self.method, values=["gmm", "kmeans"], state="readonly", width=8).grid(
            row=0, column=1
        )
        self.number = tk.StringVar(frame, "auto")
        ttk.Combobox(
            frame, textvariable=self.number, values=["auto", *map(str, range(2, 13))], width=5, state="readonly"
        ).grid(row=0, column=2)
        self.suggest_button = ttk.Button(frame, text="Suggest groups", command=self.suggest)
        self.suggest_button.grid(row=0, column=3, sticky="ew")

    @staticmethod
    def _button(frame: ttk.Frame, text: str) -> Any:
        return next(w for w in frame.winfo_children() if isinstance(w, ttk.Button) and str(w.cget("text")) == text)

    def refresh(self) -> None:
        """Show the groups as they are."""
        picked = self.picked()
        self.list.delete(*self.list.get_children())
        for group in self.selection.groups:
            values = (_SHOWN if group.shown else _HIDDEN, _SWATCH, group.name, f"{len(group):,}")
            self.list.insert("", "end", iid=group.name, values=values, tags=(group.colour,))
            self.list.tag_configure(group.colour, foreground=group.colour)
        if picked in {group.name for group in self.selection.groups}:
            self.list.selection_set(picked)
        if self.name.get().strip() in ("", self._proposed):  # what the user typed stays
            self._proposed = self.selection.free_name()
            self.name.set(self._proposed)
        chosen, shared = int(self.selection.chosen.sum()), self.selection.shared()
        told = f"{chosen:,} of {len(self.selection.data):,} particles selected"
        self.told.set(told + (f"; {shared:,} are in several groups" if shared else ""))

    def picked(self) -> str:
        """The group that is picked in the list; '' for none."""
        rows = self.list.selection()
        return str(rows[0]) if rows else ""

    def _clicked(self, event: Any) -> None:
        row, column = self.list.identify_row(event.y), self.list.identify_column(event.x)
        if not row:
            return
        if column == "#1":
            self._change(row, shown=not self.selection.group(row).shown)
        elif column == "#2":
            colour = colorchooser.askcolor(self.selection.group(row).colour, parent=self.frame)[1]
            if colour:
                self._change(row, colour=colour)

    # -------------------------- what the buttons do -------------------------
    def _succeeds(self, action: Callable[[], Any]) -> bool:
        return succeeds(self.frame, "Groups", action)

    def _after_change(self, keep: bool = True) -> None:
        """Show groups that have changed and, unless only what is drawn has, keep them."""
        self.refresh()
        self._changed()
        if keep and self._timer is None:
            self._timer = self.frame.after(_KEEP_MS, self._keep_beside)

    def undone(self) -> None:
        """Show and keep the groups after a change was taken back."""
        self._after_change()

    def _keep_beside(self) -> None:
        """Write the groups beside the window, which takes most of a second where they have millions of particles."""
        self._timer = None
        if self._saver.is_busy:
            self._timer = self.frame.after(_KEEP_MS, self._keep_beside)
        elif self._succeeds(self.take_others):
            groups = self.selection.named_groups()
            self._saver.thread = work_beside(self.frame, "Groups", lambda: self._saver.write(groups), self._kept)

    def _kept(self, written: bool | None) -> None:
        if written is False and self._timer is None:  # another window was faster
            self._timer = self.frame.after(_KEEP_MS, self._keep_beside)

    def take_others(self) -> None:
        """Where another window has changed the file since, do here what it did; what is no file of this landscape's
        groups is put aside."""
        if self._saver.was_changed():
            try:
                self._merge(self._saver.changes())
            except (FormatError, InputError):
                self._put_aside()

    def _merge(self, changes: Changes) -> None:
        """Add groups beside those of this window, and remove or recolour those that are still the same here."""
        mine = {key_of(group): group.name for group in self.selection.named_groups()}
        removed = [name for key, name in mine.items() if key in changes.removed]
        added = self.selection.merge(
            [group for group in changes.added if key_of(group) not in mine],
            removed,
            {mine[key]: colour for key, colour in changes.recoloured.items() if key in mine},
        )
        self.refresh()
        self._changed()
        told = [f"added {_named(group.name for group in added)}"] if added else []
        told += [f"removed {_named(removed)}"] if removed else []
        if told:
            messagebox.showinfo(
                "Groups", f"Another window on this landscape has {' and '.join(told)}; so it is here now.",
                parent=self.frame,
            )  # fmt: skip

    def _write_now(self) -> None:
        """Write the groups together with what other windows did."""
        self._saver.wait()
        self.take_others()
        while not self._saver.write(self.selection.named_groups()):
            self.take_others()

    def finish(self) -> None:
        """Keep what is not kept yet; to be called before the window is closed."""
        pending = self._timer is not None
        if self._timer is not None:
            self.frame.after_cancel(self._timer)
            self._timer = None
        self._saver.wait()
        if pending or self._saver.was_refused:
            self._succeeds(self._write_now)

    def _put_aside(self) -> None:
        new = self._saver.put_aside()
        messagebox.showinfo("Groups", f"The file that could not be read is kept as '{new}'.", parent=self.frame)

    def _change(self, name: str, /, **changes: Any) -> None:
        if self._succeeds(lambda: self.selection.change(name, **changes)):
            self._after_change(keep=set(changes) != {"shown"})

    def add(self) -> None:
        """Make a group of the selected particles, with the name in the entry."""
        if self._succeeds(lambda: self.selection.add_group(self.name.get().strip())):
            self.name.set("")  # for the next proposal
            self._after_change()

    def rename(self) -> None:
        """Call the picked group as the entry says."""
        name, new = self.picked(), self.name.get().strip()
        if name and self._succeeds(lambda: self.selection.change(name, name=new)):
            self.name.set("")
            self._after_change()

    def choose(self) -> None:
        """Choose the particles of the picked group, for example to add some and make another group."""
        if self.picked():
            self.selection.choose(self.selection.group(self.picked()).mask)
            self.refresh()
            self._changed()

    def remove(self) -> None:
        if self.picked():
            self.selection.remove_group(self.picked())
            self._after_change()

    def save(self, path: str | Path) -> None:
        """Write the groups, which the group command, the report and this window read."""
        write_groups(path, self._some_groups())

    def open(self, path: str | Path) -> None:
        """Take the groups of a file instead of those that there are, which Undo brings back."""
        if self._succeeds(lambda: self.selection.take(read_groups(path))):
            self._after_change()

    def _keep_now(self) -> None:
        """Write the groups before they are handed on."""
        self._some_groups()
        self._write_now()
        self._some_groups()  # another window may have removed them

    def _some_groups(self) -> list[Any]:
        if not self.selection.groups:
            raise InputError("there is no group yet: select particles and press 'Add selected' first")
        return self.selection.named_groups()

    def _save_as(self) -> None:
        path = filedialog.asksaveasfilename(
            parent=self.frame, initialfile=GROUPS_JSON, defaultextension=".json", filetypes=_JSON
        )
        if path:
            self._succeeds(lambda: self.save(path))

    def _open(self) -> None:
        path = filedialog.askopenfilename(parent=self.frame, filetypes=_JSON)
        if path:
            self.open(path)

    def _star(self) -> None:
        folder = filedialog.askdirectory(parent=self.frame, title="Folder for a STAR file of each group")
        if folder:
            self.write_star(Path(folder))

    def write_star(self, folder: Path) -> None:
        """Write a STAR file of each group into a folder, beside the window."""
        write = self.actions.write_star
        if write is not None and self._succeeds(self._keep_now):
            self.told.set("writing STAR files …")
            work_beside(self.frame, "STAR files", lambda: write(self.file, folder), self._told)

    def _told(self, text: str | None) -> None:
        self.refresh()
        if text:
            self.told.set(text)

    def make_sets(self) -> None:
        self._hand_on(self.actions.make_sets)

    def reconstruct(self) -> None:
        self._hand_on(self.actions.reconstruct)

    def _hand_on(self, action: Callable[[Path], str] | None) -> None:
        if action is None:
            return
        if not self._succeeds(self._keep_now):
            return
        said = guarded(self.frame, "Groups", lambda: action(self.file))
        if said:
            messagebox.showinfo("Groups", said, parent=self.frame)

    def suggest(self) -> None:
        """Take clusters of the particles as groups, beside those that there are."""
        suggest = self.actions.suggest
        if suggest is None:
            return
        number = 0 if self.number.get() == "auto" else int(self.number.get())
        file, method = self.file.with_name("suggested_groups.json"), self.method.get()
        self.suggest_button.configure(state="disabled", text="working …")
        work_beside(
            self.frame,
            "Suggest groups",
            lambda: suggest(method, number, file),
            lambda said: self._suggested(said, file),
        )

    def _suggested(self, said: str | None, file: Path) -> None:
        self.suggest_button.configure(state="normal", text="Suggest groups")
        if said:
            messagebox.showinfo("Suggest groups", said, parent=self.frame)
        here = self.selection.groups
        if said is not None and self._succeeds(lambda: self.selection.take(read_groups(file), beside=here)):
            self._after_change()


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
