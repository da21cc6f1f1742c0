"""The learner's and the reference's view of a sentence, and the on-disk cache of the latter."""
