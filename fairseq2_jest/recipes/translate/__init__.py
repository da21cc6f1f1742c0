"""`fairseq2 mt translate`: translate a file by beam search."""
