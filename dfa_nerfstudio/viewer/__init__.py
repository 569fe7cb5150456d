"""Controls for nerfstudio's viewer."""
