"""`kiosk token`, as a teller or an installer runs it."""
