"""`python -m continuousflex_deep.demo`, which `make demo` calls."""

import argparse
import sys
import time
from pathlib import Path

from continuousflex_deep.demo.pipeline import DemoSize, run_pipeline
from continuousflex_deep.errors import DeepError
from continuousflex_deep.scipion_env import scipion_missing


def main() -> int:
    """Run the demonstration; 0 if everything is written."""
    parser = argparse.ArgumentParser(
        prog="python -m continuousflex_deep.demo",
        description="The whole pipeline on simulated images of adenylate kinase, by the package's commands; then a "
        "Scipion project with the results, where Scipion is installed.",
    )
    parser.add_argument("--output", default="demo_output", help="folder for all results (default demo_output)")
    for name, value in vars(DemoSize()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help=f"default {value}")
    given = vars(parser.parse_args())
    folder = Path(given.pop("output")).resolve()
    started = time.monotonic()
    try:
        size = DemoSize(**given)
        run_pipeline(folder, size)
        _report(folder)
        print(f"\n{_scipion_project(folder, size)}")
    except DeepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\nfinished in {(time.monotonic() - started) / 60:.1f} minutes")
    return 0


def _report(folder: Path) -> None:
    """Print the table of errors and where the results are."""
    print("\nErrors: network and polished on Image set 2, HEMNMA on Image set 1\n")
    print((folder / "assessment" / "tables.txt").read_text(encoding="utf-8"))
    print(f"Results are in {folder}:")
    print("  report.html                  everything on one page, for a browser")
    print("  assessment/tables.txt, .md   errors against the truth, as in the article's tables")
    for picture in sorted(folder.glob("*/*.png")):
        print(f"  {picture.relative_to(folder)}")


def _scipion_project(folder: Path, size: DemoSize) -> str:
    """Make the Scipion project; what to tell about it."""
    if missing := scipion_missing():
        return f"No Scipion project was made: {missing}. Run the demonstration again afterwards; its results are kept."
    from continuousflex_deep.demo.project import make_project  # imports Scipion

    return make_project(folder, size)


if __name__ == "__main__":
    sys.exit(main())
