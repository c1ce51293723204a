"""All figures that matplotlib draws, for commands and viewers alike. Views that follow the mouse are in viewers/.

draw_X(content, figure) draws into a figure, X_size(content) returns a suitable size in inches, and
save_X(path, content) writes a PNG file.
"""
