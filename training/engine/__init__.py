"""The parts that the stages are made of."""
