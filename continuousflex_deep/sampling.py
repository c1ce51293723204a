"""Pixel sizes and widths of images and maps, and when two of them count as the same."""

# Programs, headers and people write pixel sizes with two decimals, which is up to 1% of the smallest in use (0.5 Å).
# Within 1%, a point 100 Å from the centre of a particle is misplaced by at most 1 Å, less than a pixel of most images.
_TOLERANCE = 0.01


def same_pixel_size(first_A: float, second_A: float) -> bool:
    """Whether two pixel or voxel sizes in Å agree to 1%. One that is not above 0 is unknown and agrees with nothing."""
    low, high = sorted((first_A, second_A))
    return low > 0 and high <= (1 + _TOLERANCE) * low


def size_text(size_A: float) -> str:
    """A pixel size with the six decimals of RELION, or with all that it has."""
    text = f"{size_A:.6f}"
    return text if float(text) == size_A else repr(size_A)


def same_width(first_box_px: int, first_A: float, second_box_px: int, second_A: float) -> bool:
    """Whether images or maps of these boxes in pixels and pixel sizes in Å are equally wide, to 1%."""
    return same_pixel_size(first_box_px * first_A, second_box_px * second_A)
