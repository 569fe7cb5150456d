"""Trains from folders of the AD-NeRF family: imports the folder, trains its attribute models, parses the result."""
