"""Training from data folders of the AD-NeRF family: import, attribute models, dataparser."""
