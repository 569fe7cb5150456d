"""DFA-NeRF as a nerfstudio method: personalised talking heads by disentangled face attributes."""

__version__ = "0.1.0"
