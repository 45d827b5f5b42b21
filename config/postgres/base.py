"""Django's Postgres backend, with a cheaper look at whether a kept connection still lives.

Django asks the server (`SELECT 1`) at the start of each request. A server that has gone has closed its end of the
socket, which this machine knows without asking: then, and only then, the question is put.
"""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        has_news = _has_something_to_read(self.connection.fileno())
        return bool(super().is_usable()) if has_news else True


def _has_something_to_read(file: int) -> bool:
    """Between requests the server has nothing to say but farewell."""
    watch = select.poll()
    watch.register(file, select.POLLIN)
    return bool(watch.poll(0))
