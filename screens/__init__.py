"""What the customer sees: one file a screen, one screen a picture of the manual."""
