"""What goes wrong around a run, done to real workers on real servers."""
