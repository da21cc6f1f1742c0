"""The command line: parsing, presets, layered configuration, errors in one sentence."""
