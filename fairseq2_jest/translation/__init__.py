"""Lines in, translations out: formats, long lines, beam search in batches, blocks that resume."""
