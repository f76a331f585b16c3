"""The kiosk's own widgets, one a file."""
