"""Figures of the article's experiment beside the article's, and whether goals are met."""

from typing import Any

import pytest

from continuousflex_deep.tests.helpers.benchmarks import BENCHMARKS, figures_of

KINDS = (
    "amplitude", "amplitude_7", "amplitude_8", "amplitude_9", "angle_deg", "shift_A", "shift_x_A", "shift_y_A",
    "rmsd_amplitude_A", "rmsd_angle_A", "rmsd_shift_A",
)  # fmt: skip


@pytest.fixture(autouse=True)
def of_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def compared(error: float, lost: int = 0, of_found: float | None = None) -> dict[str, Any]:
    """A comparison of 1,000 particles in which all kinds of errors have this mean, and those not misaligned another."""
    found = error if of_found is None else of_found
    means = {name: {"mean": mean, "sd": 0.5} for name, mean in (("all", error), ("not_lost", found))}
    return {"particles": 1000, "lost": lost, **{name: dict.fromkeys(KINDS, one) for name, one in means.items()}}


def measured(**changed: Any) -> dict[str, Any]:
    """Figures in which every goal of the tables is met, but for the changed comparisons."""
    met = {"HEMNMA": compared(0.02), "polished": compared(1.05), "network": compared(0.08)}
    found = {f"{name} vs. truth": one for name, one in (met | changed).items()}
    test = {"comparisons": found, "bound": dict.fromkeys(KINDS, 1.0), "from_trajectory_A": {}}
    return {"tables": {"small": test, "large": test, "labels": {"comparisons": found, "left_out": 0.02}}}


def goals(figures: dict[str, Any]) -> dict[str, str]:
    """What is said of each goal."""
    import article_page  # type: ignore[import-not-found]

    (table,) = article_page.goals(figures)
    return {str(row[0]): str(row[-1]) for row in table.rows}


def test_goals_are_met() -> None:
    said = goals(measured())
    assert [said.pop(name) for name in ("training of the network [min]", "worst group, resolution at FSC 0.5 [Å]")] == [
        "not measured", "not measured",
    ]  # fmt: skip
    assert set(said.values()) == {"met", "not measured"}
    assert list(said.values()).count("met") == 9


def test_misaligned_particles_count_for_goals_of_their_own() -> None:
    said = goals(measured(HEMNMA=compared(3.0, lost=2, of_found=0.02), polished=compared(3.0, lost=1, of_found=1.0)))
    assert said["HEMNMA, amplitude [Å]"] == "met"
    assert said["HEMNMA, misaligned [%]"] == "not met"
    assert said["polished, largest of the three errors over the bound"] == "met"
    assert said["polished, misaligned [%]"] == "met"
    assert goals(measured(network=compared(4.0, lost=9, of_found=0.01)))["network, amplitude [Å]"] == "not met"


def test_goals_that_are_missed() -> None:
    said = goals(measured(polished=compared(1.2), network=compared(0.1)))
    assert said["polished, largest of the three errors over the bound"] == "not met"
    assert said["network, shift [Å]"] == "not met"
    assert said["network, angle [°]"] == "met"


def test_one_group_without_a_resolution_is_no_goal() -> None:
    import article_page

    def group(resolution_A: float | None) -> dict[str, Any]:
        curves = {name: {"0.5": resolution_A, "0.143": 3.0} for name in ("centroid", "true centroid")}
        return {"particles": 899, "spread_A": {"centroid": 1.0}, "resolution_A": curves}

    for resolutions, worst, shown in (((3.6, 3.8), 3.8, "3.6 – 3.8"), ((3.6, None), None, "–")):
        figures = {"groups": {"polished": {"polished": [group(r) for r in resolutions]}}}
        assert article_page.measured_goals(figures)["worst_group"] == worst
        (table,) = article_page.groups(figures)
        assert f" {shown} " in table.text().splitlines()[4]


def test_rows_of_the_article_stand_below_ours() -> None:
    import article_page

    text = "\n".join(table.text() for table in article_page.all_tables(measured()))
    assert figures_of(text, "article: HEMNMA vs. truth")[:3] == [2000, 6.6, 5.7]
    assert text.index("ours: network vs. truth") < text.index("article: network vs. truth")
    assert "10.5" in text  # a standard deviation of the article with its digits


def test_parts_of_an_unfinished_run_have_no_tables() -> None:
    import article_page

    assert article_page.all_tables({"seconds": {}}) == []
