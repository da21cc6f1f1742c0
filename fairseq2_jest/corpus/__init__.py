"""Parallel text: formats, directions, languages, cleaning, and the prepared table.

Import what you need from the modules; this one imports nothing, so that a command line can name
:class:`~fairseq2_jest.corpus.errors.CorpusError` without loading Arrow or torch.
"""
