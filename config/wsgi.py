"""WSGI entry for gunicorn."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
# What is loaded by now stays: a collection need not walk through it. A request makes thousands of objects and hardly a
# cycle, so looking for some every 700 objects finds nothing at a price.
gc.collect()
gc.freeze()
gc.set_threshold(25_000, 20, 20)
