"""What all tests share: the test data outside the repository, and one thread per worker."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the data that the repository does not carry; the test is skipped where it is absent."""
    folder = Path(os.environ.get("CFD_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"test data not found: {folder} is no folder (set CFD_SHARED_DATA to where it is)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """Workers that each take all cores slow each other down."""
    try:
        import torch
    except ModuleNotFoundError:
        return
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
