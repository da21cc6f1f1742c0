"""One fairseq2 recipe per command."""
