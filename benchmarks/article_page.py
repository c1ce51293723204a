"""Tables of the article's figures beside ours, as text and as a page."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from article_published import (
    BOXES,
    CARD_HOURS,
    CONDITIONS,
    CORE_HOURS,
    DEPTHS,
    DEPTHS_COST,
    GOALS,
    GROUPS_OF_ANY_SIZE,
    GROUPS_OF_EQUAL_SIZE,
    HEMNMA_TRUTH,
    LARGE_SET,
    LEFT_OUT,
    MILLION,
    NETWORK_HEMNMA,
    NETWORK_TRUTH,
    POLISHED_TRUTH,
    ROTATIONS,
    SMALL_SET,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
)

from continuousflex_deep.assessment.article_tables import Cell, Table
from continuousflex_deep.io.fsc_table import CENTROID, TRUE_CENTROID

Figures = Mapping[str, Any]
_MODES = ("amplitude_7", "amplitude_8", "amplitude_9")
_DISTANCES = (*_MODES, "angle_deg", "shift_x_A", "shift_y_A")
_KINDS = {"amplitude": "amplitude", "angle": "angle_deg", "shift": "shift_A"}  # of goals
_RMSD = ("rmsd_amplitude_A", "rmsd_angle_A", "rmsd_shift_A")
_OF_MODES = ("q [Å]", "q7 [Å]", "q8 [Å]", "q9 [Å]")
_OF_POSES = ("angle [°]", "shift x [Å]", "shift y [Å]")
_ARTICLE, _OURS = "article: ", "ours: "
_COMPARISONS = (NETWORK_TRUTH, NETWORK_HEMNMA, HEMNMA_TRUTH, POLISHED_TRUTH)
_HOUR = 3600.0
_PICTURES = {
    "small/assessment/errors.png": "Errors of the small test set",
    "small/amplitudes.png": "Amplitudes of the small test set (Figure 6, Supplementary Figure 2)",
    "groups/network/landscape/landscape.png": "The network's landscape of the large test set (Figure 7)",
    "groups/network/assessment/fsc.png": "FSC of groups of the network's landscape (Supplementary Figure 3)",
    "groups/polished/assessment/fsc.png": "FSC of groups of the polished landscape",
    "model/curves.png": "Losses of the training (Supplementary Figure 6)",
}


def all_tables(figures: Figures) -> list[Table]:
    """The tables of all parts that were measured, in the article's order, the goals first."""
    return [table for make in _TABLES for table in make(figures)]


def page(figures: Figures, conditions: str, folder: Path) -> str:
    """The tables and pictures as Markdown. conditions: how everything was measured."""
    parts = ["# The article's experiment", conditions, *(table.markdown() for table in all_tables(figures))]
    parts += [f"![{title}]({name})" for name, title in _PICTURES.items() if (folder / name).is_file()]
    return "\n\n".join(parts) + "\n"


def measured_goals(figures: Figures) -> dict[str, float | None]:
    """What each goal is compared with, None where it was not measured. Errors of HEMNMA and of polished results are of
    particles within 5° of the truth, as misaligned ones have goals of their own; those of the network are of all."""
    found: dict[str, float | None] = dict.fromkeys(GOALS)
    if "tables" in figures:
        hemnma = figures["tables"]["labels"]["comparisons"][HEMNMA_TRUTH]
        large = figures["tables"]["large"]
        found |= {f"hemnma_{name}": hemnma["not_lost"][kind]["mean"] for name, kind in _KINDS.items()}
        found["hemnma_lost"] = _lost_percent(hemnma)
        found |= {f"network_{n}": large["comparisons"][NETWORK_TRUTH]["all"][k]["mean"] for n, k in _KINDS.items()}
        polished = large["comparisons"][POLISHED_TRUTH]
        means = {kind: polished["not_lost"][kind]["mean"] for kind in _KINDS.values()}
        if None not in means.values():
            found["polished_over_bound"] = max(mean / large["bound"][kind] for kind, mean in means.items())
        found["polished_lost"] = _lost_percent(polished)
    if "groups" in figures:
        found["worst_group"] = _worst(figures["groups"]["polished"]["polished"], CENTROID, "0.5")
    if "times" in figures:
        seconds = figures["times"]["training"]["seconds"]
        found["training_minutes"] = None if seconds is None else seconds / 60
    if {"tables", "groups"} <= set(figures):
        spent = figures["seconds"].values()
        found["whole_minutes"] = None if None in spent else sum(spent) / 60
    return found


def goals(figures: Figures) -> Iterator[Table]:
    """Goals, and whether they are met."""
    rows: list[tuple[Cell, ...]] = []
    for name, value in measured_goals(figures).items():
        goal = GOALS[name]
        met = "not measured" if value is None else "met" if value <= goal.limit else "not met"
        rows.append((f"{goal.what} [{goal.unit}]" if goal.unit else goal.what, goal.limit, value, met))
    if any(row[2] is not None for row in rows):
        yield Table("goals", "Goals", ("", "goal, at most", "ours", ""), tuple(rows))


def errors(figures: Figures) -> Iterator[Table]:
    """Tables 1 to 4, and the labels."""
    if "tables" not in figures:
        return
    sets = {"small": (1, SMALL_SET, TABLE_1, TABLE_2), "large": (3, LARGE_SET, TABLE_3, TABLE_4)}
    for test, (number, particles, distances, rmsd) in sets.items():
        found, bound = figures["tables"][test]["comparisons"], figures["tables"][test]["bound"]
        shown = {name: found[name] for name in _COMPARISONS if name in found}
        rows: list[tuple[Cell, ...]] = [_distances(f"{_OURS}{name}", one) for name, one in shown.items()]
        rows.append(("Cramér-Rao bound", None, None, bound["amplitude"], *(bound[kind] for kind in _DISTANCES)))
        rows += [(f"{_ARTICLE}{name}", particles, None, *_published(values)) for name, values in distances.items()]
        head = ("", "particles", "misaligned", *_OF_MODES, *_OF_POSES)
        yield Table(f"table_{number}", f"Table {number}. Distances of parameters, {test} test set", head, tuple(rows))
        rows = [(f"{_OURS}{name}", one["particles"], *_means(one, _RMSD)) for name, one in shown.items()]
        rows += [(f"{_ARTICLE}{name}", particles, *_pairs(values)) for name, values in rmsd.items()]
        head = ("", "particles", "amplitudes [Å]", "angles [Å]", "shifts [Å]")
        yield Table(f"table_{number + 1}", f"Table {number + 1}. The same as RMSD of the atoms", head, tuple(rows))
    yield from _labels(figures["tables"]["labels"])
    yield from _trajectory(figures["tables"])


def _labels(found: Figures) -> Iterator[Table]:
    hemnma = found["comparisons"][HEMNMA_TRUTH]
    rows = (
        (f"{_OURS}HEMNMA", hemnma["particles"], _lost_percent(hemnma), 100 * found["left_out"]),
        (f"{_ARTICLE}HEMNMA", 20_000, None, 100 * LEFT_OUT),
    )
    head = ("", "particles", "misaligned [%]", "left out of the training [%]")
    yield Table("labels", "Image set 1", head, rows)


def _trajectory(found: Figures) -> Iterator[Table]:
    rows = [
        (f"{name}, {test} set", *values.values())
        for test in ("small", "large")
        for name, values in found[test]["from_trajectory_A"].items()
    ]
    title = "Figure 6. Distance of the amplitudes from the trajectory of Eq. 1 (the article shows a picture)"
    yield Table("figure_6", title, ("", "mean [Å]", "95% below [Å]"), tuple(rows))


def groups(figures: Figures) -> Iterator[Table]:
    """Figure 7 and Supplementary Figure 3."""
    if "groups" not in figures:
        return
    rows: list[tuple[Cell, ...]] = []
    for source, by_poses in figures["groups"].items():
        for poses, found in by_poses.items():
            resolutions = [_range(found, curve, t) for t in ("0.5", "0.143") for curve in (CENTROID, TRUE_CENTROID)]
            sizes, spreads = ([g[key] for g in found] for key in ("particles", "spread_A"))
            spread = _ends([one[CENTROID] for one in spreads])
            rows.append((f"{_OURS}{source} landscape, poses of {poses}", len(found), min(sizes), spread, *resolutions))
    for poses, (at_half, at_0143) in GROUPS_OF_EQUAL_SIZE.items():
        rows.append((f"{_ARTICLE}network landscape, poses of {poses}", 10, 899, None, None, at_half, None, at_0143))
    any_size = (GROUPS_OF_ANY_SIZE[0], None, GROUPS_OF_ANY_SIZE[1], None)
    rows.append((f"{_ARTICLE}the same, groups of any size", 10, "899 or more", None, *any_size))
    curves = (f"{name} at {t} [Å]" for t in ("0.5", "0.143") for name in (CENTROID, TRUE_CENTROID))
    title = "Figure 7. Groups of a landscape: resolution at which their maps agree with their centroids, best – worst"
    yield Table("figure_7", title, ("", "groups", "particles", "spread [Å]", *curves), tuple(rows))


def ablations(figures: Figures) -> Iterator[Table]:
    """Supplementary Tables 1 to 4."""
    if "rotations" in figures:
        rows = [
            (f"{_OURS}{name}", *_means(one["comparisons"][NETWORK_TRUTH], ("angle_deg",)),
             *_means(one["comparisons"][NETWORK_HEMNMA], ("angle_deg",)))
            for name, one in figures["rotations"].items()
        ]  # fmt: skip
        rows += [(f"{_ARTICLE}{name}", *_pairs(values)) for name, values in ROTATIONS.items()]
        head = ("", "angle to the truth [°]", "to HEMNMA [°]")
        yield Table("supplementary_1", "Supplementary Table 1. Representations of rotations", head, tuple(rows))
    if "depths" in figures:
        rows = [
            (f"{_OURS}{name}", *_of_modes(one), one["million_parameters"], _hours(one["seconds"]))
            for name, one in figures["depths"].items()
        ]
        rows += [(f"{_ARTICLE}{name}", *_published(v), *DEPTHS_COST[name]) for name, v in DEPTHS.items()]
        head = ("", *_OF_MODES, "million parameters", "hours")
        yield Table("supplementary_2", "Supplementary Table 2. Depths of the network", head, tuple(rows))
    if "conditions" in figures:
        rows = [
            (f"{_OURS}{name}", one["learned"], *_of_modes(one)) for name, one in figures["conditions"].items()
        ]
        rows += [(f"{_ARTICLE}{c.name}", 16_000 if c.copies else 6000, *_published(v)) for c, v in CONDITIONS.items()]
        title = "Supplementary Table 3. Training on true labels of images that are …"
        yield Table("supplementary_3", title, ("", "images", *_OF_MODES), tuple(rows))
    if "boxes" in figures:
        rows = [(f"{_OURS}{name}", *_of_modes(one)) for name, one in figures["boxes"].items()]
        rows += [(f"{_ARTICLE}{name}", *_published(values)) for name, values in BOXES.items()]
        yield Table("supplementary_4", "Supplementary Table 4. Size of the images", ("", *_OF_MODES), tuple(rows))


def times(figures: Figures) -> Iterator[Table]:
    """Supplementary Tables 5 to 7, in hours of one core or card where the article has many."""
    if "times" not in figures:
        return
    rows: list[tuple[Cell, ...]] = []
    for name, one in figures["times"].items():
        per_second = None if one["seconds"] is None else one["images"] / one["seconds"]
        million = MILLION / per_second / _HOUR if per_second and name != "training" else None
        rows.append((f"{_OURS}{name}", one["images"], _hours(one["seconds"]), million))
    for name, hours in {**CORE_HOURS, **CARD_HOURS}.items():
        rows += [(f"{_ARTICLE}{name}", n, hour, hours.get(MILLION)) for n, hour in hours.items() if n != MILLION]
    title = (
        "Supplementary Tables 5 to 7. Hours on this machine; of the article, hours of one core (HEMNMA) or one card, "
        "all three networks"
    )
    head = ("", "images", "hours", "hours for a million, from the rate")
    yield Table("supplementary_5_7", title, head, tuple(rows))


_TABLES = (goals, errors, groups, ablations, times)


def _distances(name: str, one: Figures) -> tuple[Cell, ...]:
    return (name, one["particles"], one["lost"], one["all"]["amplitude"]["mean"], *_means(one, _DISTANCES))


def _lost_percent(one: Figures) -> float:
    return 100 * one["lost"] / one["particles"]


def _of_modes(row: Figures) -> tuple[Cell, ...]:
    one = row["comparisons"][NETWORK_TRUTH]
    return (one["all"]["amplitude"]["mean"], *_means(one, _MODES))


def _published(values: tuple[float, ...]) -> tuple[Cell, ...]:
    """The article's mean over modes, and means with standard deviations."""
    return (values[0], *_pairs(values[1:]))


def _means(one: Figures, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Mean and standard deviation of each kind of error over all particles."""
    return _pairs([one["all"][kind][value] for kind in kinds for value in ("mean", "sd")])


def _pairs(values: Sequence[float]) -> tuple[str, ...]:
    """Means, each followed by its standard deviation, as cells."""
    return tuple(f"{mean:.3g} ± {sd:.3g}" for mean, sd in zip(values[::2], values[1::2], strict=True))


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / _HOUR


def _resolutions(found: list[Figures], curve: str, threshold: str) -> list[float | None]:
    return [group["resolution_A"].get(curve, {}).get(threshold) for group in found]


def _worst(found: list[Figures], curve: str, threshold: str) -> float | None:
    values = [v for v in _resolutions(found, curve, threshold) if v is not None]
    return max(values) if len(values) == len(found) else None


def _range(found: list[Figures], curve: str, threshold: str) -> str | None:
    values = [v for v in _resolutions(found, curve, threshold) if v is not None]
    return _ends(values) if len(values) == len(found) else None


def _ends(values: list[float]) -> str:
    return f"{min(values):.3g} – {max(values):.3g}"
