"""One module a revision; see `kiosk.ca.migrations`."""
