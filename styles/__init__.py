"""The stylesheets: one a screen, and the palette, where colours and sizes are named by purpose."""
