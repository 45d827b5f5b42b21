"""Runs that log all the time, and the pages that follow them."""
