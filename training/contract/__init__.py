"""What the web application and the engine share: records, configs, run directory. Standard library alone."""
