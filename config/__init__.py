"""Settings, addresses and the processes around them."""
