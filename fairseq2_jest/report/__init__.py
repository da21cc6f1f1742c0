"""Comparing finished and running fine-tunes from the files they write.

Nothing here imports torch or fairseq2, so that a report takes seconds.
"""
