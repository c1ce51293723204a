"""Movies, GIF and MP4, made of pictures."""

import shutil
import subprocess
from pathlib import Path

from PIL import Image

from continuousflex_deep.errors import DeepError
from continuousflex_deep.io.files import atomic_path


def to_and_fro(pictures: list[Image.Image]) -> list[Image.Image]:
    """The pictures from first to last and back, so that a movie can repeat without a jump."""
    return pictures + pictures[-2:0:-1]


def write_gif(path: Path, pictures: list[Image.Image], frame_ms: int) -> None:
    """Write an endless GIF. All colour pictures get the palette of the middle one, which prevents flicker."""
    if pictures[0].mode == "L":
        frames = [picture.convert("P") for picture in pictures]
    else:
        palette = pictures[len(pictures) // 2].quantize(256, dither=Image.Dither.NONE)
        frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    with atomic_path(path) as temporary:
        frames[0].save(temporary, save_all=True, append_images=frames[1:], duration=frame_ms, loop=0)


def write_mp4(path: Path, pictures: list[Image.Image], per_second: int) -> bool:
    """Write an MP4 by the program ffmpeg. Without ffmpeg nothing is written and the result is False."""
    program = shutil.which("ffmpeg")
    if program is None:
        return False
    width, height = pictures[0].size
    with atomic_path(path) as temporary:
        command = [
            program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
            "-r", str(per_second), "-i", "-", "-an", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(temporary),
        ]  # fmt: skip
        done = subprocess.run(command, input=b"".join(p.tobytes() for p in pictures), capture_output=True, check=False)
        if done.returncode:
            raise DeepError(
                f"ffmpeg could not write '{path}': {done.stderr.decode(errors='replace').strip()[-300:]}; write the "
                "GIF alone by --movie gif"
            )
    return True
