"""Django's static files, less what no page asks for."""

from django.contrib.staticfiles.apps import StaticFilesConfig


class StaticFiles(StaticFilesConfig):
    # htmx's extensions name a module in their comments that is not shipped; hashing their imports stumbles over it.
    ignore_patterns = [*StaticFilesConfig.ignore_patterns, "hx-*.js"]
