"""The comparisons of an assessment: results with the truth and with each other, groups' maps with their centroids."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuousflex_deep.assessment.article_tables import Cell, Table, article_tables, write_tables
from continuousflex_deep.assessment.evaluation import Evaluation, format_comparison, format_evaluation
from continuousflex_deep.figures.assessment import save_errors, save_groups
from continuousflex_deep.io.error_table import ERRORS_FILE, write_errors
from continuousflex_deep.io.file_names import FSC_CSV, TABLES_TXT
from continuousflex_deep.io.fsc_table import ALLOWED, CENTROID, MASKED, THRESHOLDS, resolution_title
from continuousflex_deep.io.names import distinct

if TYPE_CHECKING:
    from continuousflex_deep.assessment.centroids import GroupAgreement

TRUTH, VERSUS = "truth", " vs. "
GROUP_FILES = (FSC_CSV, "centroid.pdb", "centroid.mrc")  # in the folder of each group
_NOTE = (
    f"{ALLOWED.capitalize()}: √(2F/(1 + F)), where F is the FSC of the half maps; an estimate, not a bound. Poses and "
    "amplitudes were estimated with this very structure, which raises both F and the FSC with the centroid. Both are "
    "independent of the structure only beyond --finest-resolution-A of the alignment. With very noisy images the "
    "estimated centroid can agree better than the true one. Not reported at 0.143, where F is dominated by chance."
)


@dataclass(frozen=True, eq=False)
class Assessment:
    """results: comparisons with the truth, by the name of the result, which is never "truth". between: comparisons of
    results with each other, by 'second vs. first'. bound: errors expected at the Cramér-Rao bound. groups: their
    maps."""

    results: dict[str, Evaluation]
    between: dict[str, Evaluation]
    bound: dict[str, float] | None = None
    groups: "Sequence[GroupAgreement]" = field(default=())

    def comparisons(self) -> dict[str, Evaluation]:
        """All comparisons by what they compare; equal names are numbered."""
        found = [(f"{name}{VERSUS}{TRUTH}", one) for name, one in self.results.items()] + [*self.between.items()]
        return dict(zip(distinct(name for name, _ in found), (one for _, one in found), strict=True))

    def tables(self) -> list[Table]:
        """The tables of the article, and those of the groups."""
        return article_tables(self.comparisons(), self.bound) + (group_tables(self.groups) if self.groups else [])

    def files(self) -> list[str]:
        """The files that write_assessment writes."""
        files = [TABLES_TXT, "tables.md", *(f"{table.name}.csv" for table in self.tables())]
        files += [ERRORS_FILE, "errors.png"] if self.comparisons() else []
        files += ["fsc.png"] if self.groups else []
        return files + [f"{g.group.name}/{name}" for g in self.groups for name in GROUP_FILES]

    def facts(self) -> dict[str, Any]:
        """All numbers for the record: comparisons, all together and by what they are with, and the tables."""
        named = {"comparisons": self.comparisons(), "results": self.results, "between": self.between}
        facts: dict[str, Any] = {key: {n: one.as_dict() for n, one in found.items()} for key, found in named.items()}
        facts |= {"bound": self.bound, "tables": [dataclasses.asdict(table) for table in self.tables()]}
        return facts | {"groups": [group.as_dict() for group in self.groups]}


def group_tables(groups: "Sequence[GroupAgreement]") -> list[Table]:
    """A table for each FSC threshold: the particles of each group, their spread about its centroid, and the resolution
    in Å at which its map agrees with each conformation."""
    tables = []
    for threshold in (f"{value:g}" for value in sorted(THRESHOLDS, reverse=True)):
        known = (name for g in groups for name, found in g.resolutions_A().items() if threshold in found)
        curves = [name for name in dict.fromkeys(known) if MASKED not in name]
        rows: list[tuple[Cell, ...]] = []
        for g in groups:
            resolutions, label = g.resolutions_A(), f" ({g.group.label})" if g.group.label else ""
            found = [resolutions.get(curve, {}).get(threshold) for curve in curves]
            rows.append((f"{g.group.name}{label}", len(g.group.particles), g.models[CENTROID].spread_A, *found))
        head = ("", "particles", "spread [Å]", *curves)
        note = _NOTE if ALLOWED in curves else ""
        tables.append(Table(f"resolution_{threshold}", resolution_title(threshold), head, tuple(rows), note))
    return tables


def write_assessment(folder: Path, assessment: Assessment) -> None:
    """Write tables, errors of every particle, curves and figures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tables(folder, assessment.tables())
    comparisons = assessment.comparisons()
    if comparisons:
        write_errors(folder / ERRORS_FILE, comparisons)
        errors = {name: one.errors for name, one in comparisons.items()}
        save_errors(folder / "errors.png", errors)
    if assessment.groups:
        from continuousflex_deep.assessment.centroids import write_centroids  # imports torch

        write_centroids(folder, assessment.groups)
        curves = {g.group.name: {n: (g.frequency, c) for n, c in g.curves.items()} for g in assessment.groups}
        save_groups(folder / "fsc.png", curves)


def format_assessment(assessment: Assessment) -> str:
    """An assessment as text; empty where nothing could be compared."""
    results, bound, parts = assessment.results, assessment.bound, list[str]()
    if len(results) == 1 and bound is None:
        parts.append(format_evaluation(next(iter(results.values()))))
    elif results:
        parts.append(_format_all_and_found("of their true orientation", results, bound))
    if assessment.between:
        parts.append(_format_all_and_found("of each other's orientation", assessment.between))
    parts += [f"\n{table.text()}" for table in (group_tables(assessment.groups) if assessment.groups else ())]
    return "\n".join(parts)


def _format_all_and_found(where: str, results: dict[str, Evaluation], bound: dict[str, float] | None = None) -> str:
    """A table over all particles, and one without the misaligned ones."""
    lost_deg = next(iter(results.values())).lost_deg
    return (
        f"all particles:\n{format_comparison(results, bound=bound)}\n\nparticles within {lost_deg:g}° {where}:\n"
        f"{format_comparison(results, found_only=True, bound=bound)}\n"
    )
