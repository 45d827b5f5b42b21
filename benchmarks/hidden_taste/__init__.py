"""Scripted labelers whose preference is known, for loops whose end can then be judged."""
