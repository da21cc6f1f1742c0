"""Influence beside that of its peers: pairs per second, peak memory, and whether scores agree."""
