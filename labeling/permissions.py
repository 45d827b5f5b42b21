"""Who may do what."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class InviteOnlyAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Nobody signs up by themselves: people come by invitation link."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
