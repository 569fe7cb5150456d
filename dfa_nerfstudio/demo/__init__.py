"""The demo subject: an animated public-domain portrait that speaks, with its ground truth."""
