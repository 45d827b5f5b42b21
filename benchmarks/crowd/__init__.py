"""A crowd of labelers in front of a labeling app: what benchmarks/labeling_load.py is made of."""
