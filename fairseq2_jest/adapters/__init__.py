"""Adapters: small modules that are trained in the place of the model they are attached to."""
