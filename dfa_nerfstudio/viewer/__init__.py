"""Controls of the talking head in nerfstudio's viewer."""
