"""What is drawn with matplotlib, for commands and viewers alike; windows and views that follow the mouse are viewers'.

draw_X(content, figure) draws into a figure, X_size(content) is what suits it in inches, save_X(path, content) writes a
PNG.
"""
