"""``fairseq2 mt export``: a model as a folder for transformers."""
