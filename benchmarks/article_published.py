"""The figures of the article (Hamitouche & Jonić 2022) for simulated images, and the goals that we set ourselves.

Errors are in the order of the article's columns; amplitudes and shifts in Å, angles in degrees.
"""

from dataclasses import dataclass

# Tables 1 and 3: mean over modes; mean and SD of modes 7, 8 and 9, of the angle, of the shifts along x and y
NETWORK_TRUTH, NETWORK_HEMNMA, HEMNMA_TRUTH = "network vs. truth", "network vs. HEMNMA", "HEMNMA vs. truth"
POLISHED_TRUTH = "polished vs. truth"
TABLE_1 = {
    NETWORK_TRUTH: (7.5, 5.4, 6.5, 8.2, 9.2, 8.9, 10.5, 2.5, 3.3, 0.2, 0.1, 0.2, 0.1),
    NETWORK_HEMNMA: (6.9, 5.4, 6.7, 7.3, 9.0, 7.9, 9.6, 1.9, 3.4, 0.2, 0.1, 0.2, 0.1),
    HEMNMA_TRUTH: (6.6, 5.7, 8.4, 6.2, 7.2, 7.8, 7.2, 1.0, 0.9, 0.2, 0.2, 0.2, 0.2),
}
TABLE_3 = {NETWORK_TRUTH: (7.8, 6.6, 8.7, 9.5, 10.6, 7.3, 9.9, 2.6, 3.4, 0.2, 0.2, 0.2, 0.2)}
# Tables 2 and 4: mean and SD of the RMSD of the atoms by amplitudes, angles and shifts
TABLE_2 = {NETWORK_TRUTH: (0.4, 0.2, 0.9, 1.0, 0.3, 0.2)}
TABLE_4 = {NETWORK_TRUTH: (0.4, 0.2, 0.9, 1.2, 0.3, 0.2)}
SMALL_SET, LARGE_SET = 2000, 50_000  # particles of Tables 1 and 2, and of Tables 3 and 4
LEFT_OUT = 1 - 18_055 / 20_000  # of Image set 1, by the Mahalanobis distance of HEMNMA's amplitudes

# Figure 7: resolutions in Å of ten groups of 899 images by the angles and shifts of …, at FSC 0.5 and at 0.143
GROUPS_OF_EQUAL_SIZE = {
    "network": ("3.7 – 4.4", "3.1 – 3.3"),
    "HEMNMA": ("3.7 – 4.4", "3.0 – 3.3"),
    "truth": ("3.6 – 3.7", "3.0 – 3.1"),
}
GROUPS_OF_ANY_SIZE = ("3.6 – 4", "3.1 – 3.2")  # Supplementary Figure 3

# Supplementary Table 1: mean and SD of the angle, network vs. truth and network vs. HEMNMA, by the representation
ROTATIONS = {"Euler angles": (3.3, 4.0, 2.8, 4.0), "quaternion": (2.5, 3.3, 1.9, 3.4)}
# Supplementary Tables 2 to 4: mean over modes; mean and SD of modes 7, 8 and 9
DEPTHS = {
    "resnet34": (7.5, 5.4, 6.5, 8.2, 9.2, 8.9, 10.5),
    "resnet50": (7.3, 5.1, 6.3, 8.1, 9.0, 8.8, 10.2),
    "resnet101": (7.2, 5.0, 6.2, 8.0, 8.9, 8.7, 10.1),
}
DEPTHS_COST = {"resnet34": (24, 19), "resnet50": (26, 22), "resnet101": (47, 42)}  # million parameters, hours
BOXES = {"256 px": (20.2, 12.6, 16.8, 20.9, 27.4, 27.1, 36.8), "128 px": (7.5, 5.4, 6.5, 8.2, 9.2, 8.9, 10.5)}


@dataclass(frozen=True)
class Condition:
    """How images of Supplementary Table 3 are made: whether they are rotated in their plane, shifted, and have noise
    and a CTF; and whether rotated and shifted copies of them are learned as well (16,000 images instead of 6,000)."""

    rotated: bool
    shifted: bool
    noisy: bool
    copies: bool = False

    @property
    def name(self) -> str:
        """As the first cell of a row."""
        given = {"rotated": self.rotated, "shifted": self.shifted, "noise and CTF": self.noisy, "copies": self.copies}
        return ", ".join(name for name, true in given.items() if true) or "plain"


CONDITIONS = {
    Condition(False, False, False): (2.3, 1.5, 2.1, 3.1, 4.5, 2.3, 2.9),
    Condition(False, False, True): (5.8, 3.6, 4.9, 7.3, 10.7, 6.5, 9.1),
    Condition(False, False, True, copies=True): (4.3, 2.7, 3.5, 5.3, 7.9, 5.0, 6.9),
    Condition(False, True, False): (4.8, 3.0, 4.5, 6.1, 10.1, 5.3, 8.6),
    Condition(False, True, True): (7.9, 4.9, 6.7, 9.8, 14.7, 9.1, 13.3),
    Condition(True, False, False): (16.9, 10.3, 15.4, 19.5, 29.6, 20.7, 33.4),
    Condition(True, False, True): (19.6, 12.0, 17.6, 22.3, 31.9, 24.5, 39.0),
    Condition(True, True, False): (23.5, 14.7, 21.1, 24.4, 34.0, 31.4, 49.1),
    Condition(True, True, False, copies=True): (11.3, 7.0, 13.7, 12.3, 23.8, 14.7, 32.5),
    Condition(True, True, True): (27.6, 17.1, 23.6, 29.1, 39.4, 36.5, 54.5),
    Condition(True, True, True, copies=True): (15.3, 9.5, 16.6, 16.7, 27.8, 19.8, 38.7),
}

# Supplementary Tables 5 to 7, images of 128 px: hours of everything, all cores or cards and all three networks together
MILLION = 10**6
CORE_HOURS = {"HEMNMA": {20_000: 7.7 * 160, MILLION: 400 * 160}}
CARD_HOURS = {
    "training": {6000: 11 * 12, 14_000: 19 * 12, 50_000: 55 * 12},
    "network": {2000: 0.2 / 60 * 3, 50_000: 5 / 60 * 3, MILLION: 1.7 * 3},
}


@dataclass(frozen=True)
class Goal:
    """The largest value that a figure should have, in a unit."""

    what: str
    limit: float
    unit: str


GOALS = {
    "hemnma_amplitude": Goal("HEMNMA, amplitude", 1.5, "Å"),
    "hemnma_angle": Goal("HEMNMA, angle", 0.2, "°"),
    "hemnma_shift": Goal("HEMNMA, shift", 0.025, "Å"),
    "hemnma_lost": Goal("HEMNMA, misaligned", 0.1, "%"),
    "network_amplitude": Goal("network, amplitude", 3.5, "Å"),
    "network_angle": Goal("network, angle", 1.2, "°"),
    "network_shift": Goal("network, shift", 0.09, "Å"),
    "polished_over_bound": Goal("polished, largest of the three errors over the bound", 1.1, ""),
    "polished_lost": Goal("polished, misaligned", 0.1, "%"),
    "worst_group": Goal("worst group, resolution at FSC 0.5", 3.7, "Å"),
    "training_minutes": Goal("training of the network", 5, "min"),
    "whole_minutes": Goal("images, labels, network, predictions and groups", 15, "min"),
}
