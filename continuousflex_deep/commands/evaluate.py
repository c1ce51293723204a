"""The `evaluate` command: results against the truth and against each other, and groups' maps against their centroids.

The command writes into a folder: tables.txt, tables.md, distances.csv and rmsd.csv (Tables 1 to 4 of the article),
errors.csv and errors.png (errors of every particle), and record.json; for groups also resolution_0.5.csv,
resolution_0.143.csv, fsc.png, and a folder for each group with fsc.csv, centroid.pdb and centroid.mrc. It first removes
the files of an earlier run.
"""

from contextlib import nullcontext
from pathlib import Path

from continuousflex_deep.assessment.assessment import format_assessment, write_assessment
from continuousflex_deep.assessment.comparisons import assess
from continuousflex_deep.errors import DeepError
from continuousflex_deep.io.file_names import RECORD_JSON
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.records import read_record, write_record
from continuousflex_deep.options import EvaluateOptions
from continuousflex_deep.runs.sole_writer import writing_alone

COMMAND = "evaluate"


def run(options: EvaluateOptions) -> None:
    """Print the tables and, if an output is given, write them."""
    as_file = Path(options.output).suffix == ".json"
    folder = require_writable_folder(options.output) if options.output and not as_file else None
    assessment = assess(options)
    if text := format_assessment(assessment):
        print(text)
    if options.output:
        facts = assessment.facts()
        with nullcontext() if folder is None else writing_alone(folder):
            if folder is not None:
                remove_earlier(folder)
                write_assessment(folder, assessment)
                facts["files"] = assessment.files()
            record = Path(options.output) if folder is None else folder / RECORD_JSON
            write_record(record, COMMAND, options, **facts)
        print(f"written: {options.output}")


def remove_earlier(folder: Path) -> None:
    """Remove the files that an earlier run wrote into the folder, which its record lists, so that they are not mistaken
    for new results. Other files, and folders that contain any, stay."""
    try:
        record = read_record(folder / RECORD_JSON)
    except DeepError:  # there is no record of ours
        return
    files = record.get("files")
    if record["command"] != COMMAND or not isinstance(files, list):
        return
    for path in [folder / name for name in files if isinstance(name, str)]:
        # the record may have been edited, and the folder may be a link
        if path.is_file() and path.parent.resolve().is_relative_to(folder.resolve()):
            path.unlink()
            if path.parent != folder and not any(path.parent.iterdir()):
                path.parent.rmdir()
