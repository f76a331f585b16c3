"""`kiosk token`: what a teller or an installer needs to look into a USB, and to prepare a new one for an ID."""
