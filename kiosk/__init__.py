"""The renewal kiosk: everything that is not a picture."""
