"""Who is in a project: invitations, roles, leaving."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import transaction
from django.db.models import Aggregate, Count, FloatField, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from labeling.models import Demonstration, Invitation, Membership, Project, Ranking, Role, Slot, User
from labeling.services import tasks


class Median(Aggregate):
    """Postgres' percentile_cont at one half; NULLs do not count."""

    function = "percentile_cont"
    template = "percentile_cont(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


class InvitationGoneError(Exception):
    """The invitation does not open any more; the message says why."""


class LastManagerError(Exception):
    """The project would be left without anybody who can manage it."""


def invite(*, project: Project, role: Role, email: str, by: User) -> tuple[Invitation, str]:
    """A single-use link. The token is returned once and only its SHA-256 is kept."""
    token = secrets.token_urlsafe(32)
    invitation = Invitation(
        project=project,
        role=role,
        email=User.objects.normalize_email(email),
        token_hash=_hashed(token),
        invited_by=by,
        expires_at=timezone.now() + timedelta(hours=settings.INVITATION_HOURS),
    )
    invitation.full_clean()
    invitation.save()
    return invitation, token


def find_invitation(*, token: str) -> Invitation:
    """The invitation that this link opens, or `InvitationGoneError` with the reason."""
    found = Invitation.objects.select_related("project", "invited_by").filter(token_hash=_hashed(token)).first()
    if found is None:
        raise InvitationGoneError("This link is not one of ours. Perhaps a part of it was lost on the way.")
    if found.revoked_at:
        raise InvitationGoneError("This invitation was withdrawn.")
    if found.accepted_at:
        raise InvitationGoneError("This invitation has been used. Each link opens once.")
    if found.expires_at <= timezone.now():
        raise InvitationGoneError(f"This invitation has run out: links are good for {settings.INVITATION_HOURS} hours.")
    return found


@transaction.atomic
def accept(*, token: str, user: User) -> Membership:
    """Join. Of two at once, one finds the link open: the update is the gate."""
    invitation = find_invitation(token=token)
    opened = Invitation.objects.filter(
        pk=invitation.pk, accepted_at__isnull=True, revoked_at__isnull=True, expires_at__gt=Now()
    ).update(accepted_at=Now(), accepted_by=user)
    if not opened:
        raise InvitationGoneError("This invitation has been used. Each link opens once.")
    return _join(invitation=invitation, user=user)


@transaction.atomic
def accept_as_new(*, token: str, email: str, name: str, password: str) -> Membership:
    """Make the account and join with it; both or neither."""
    find_invitation(token=token)
    user = User.objects.create_user(email, password, name=name)
    return accept(token=token, user=user)


def _join(*, invitation: Invitation, user: User) -> Membership:
    """Whoever is in already keeps the higher of the two roles."""
    membership, created = Membership.objects.get_or_create(
        project=invitation.project, user=user, defaults={"role": invitation.role}
    )
    ladder = [Role.LABELER, Role.REVIEWER, Role.MANAGER]
    was_out = not membership.is_active
    if not created and (was_out or ladder.index(Role(invitation.role)) > ladder.index(Role(membership.role))):
        membership.role = invitation.role
        membership.is_active = True
        membership.save(update_fields=["role", "is_active"])
    return membership


def revoke(*, invitation: Invitation) -> bool:
    """Withdraw a link that nobody has used yet."""
    waiting = Invitation.objects.filter(pk=invitation.pk, accepted_at__isnull=True, revoked_at__isnull=True)
    return waiting.update(revoked_at=Now()) == 1


@transaction.atomic
def change(*, membership: Membership, role: Role, languages: list[str], is_held_out: bool) -> None:
    """The role holds in this project; languages and held-out belong to the person everywhere."""
    _keep_a_manager(membership=membership, stays=role == Role.MANAGER)
    membership.role = role
    membership.save(update_fields=["role"])
    user = membership.user
    user.languages, user.is_held_out = languages, is_held_out
    user.save(update_fields=["languages", "is_held_out"])


def deactivate(*, membership: Membership) -> int:
    """Take somebody out: sessions end, held tasks go back, what they ranked stays. Returns the slots given back."""
    with transaction.atomic():
        _keep_a_manager(membership=membership, stays=False)
        membership.is_active = False
        membership.save(update_fields=["is_active"])
        held = Slot.objects.filter(project=membership.project, holder=membership.user, state="held")
        task_ids = list(held.values_list("task", flat=True))
        num_reopened = held.update(state="open", holder=None, lease_until=None, claimed_at=None)
        tasks.fit_slots(task_ids)  # none of a closed task, nor of one that was made for this person alone
    end_sessions(user=membership.user)
    return num_reopened


def reactivate(*, membership: Membership) -> None:
    membership.is_active = True
    membership.save(update_fields=["is_active"])


def end_sessions(*, user: User) -> int:
    """Log the person out everywhere."""
    sessions = list(UserSession.objects.filter(user=user))
    for session in sessions:
        session.end()
    return len(sessions)


def _keep_a_manager(*, membership: Membership, stays: bool) -> None:
    """Locks the project's managers, so that two cannot take each other out at once."""
    managers = Membership.objects.select_for_update().filter(
        project=membership.project, role=Role.MANAGER, is_active=True
    )
    others = [manager for manager in managers.order_by("pk") if manager.pk != membership.pk]
    if not stays and not others and membership.role == Role.MANAGER and membership.is_active:
        raise LastManagerError("This is the project's last manager. Make somebody else a manager first.")


def members(*, project: Project, text: str = "", role: str = "", with_left: bool = False) -> QuerySet[Membership]:
    """Members with what they did here: `num_rankings`, `num_demonstrations`, `last_work`."""
    found = project.memberships.select_related("user").annotate(
        num_rankings=_count(Ranking.objects.of_work().filter(task__project=project)),
        num_demonstrations=_count(Demonstration.objects.counted().filter(prompt__project=project)),
        last_work=_latest(Ranking.objects.filter(task__project=project)),
    )
    if not with_left:
        found = found.filter(is_active=True)
    if role in Role.values:
        found = found.filter(role=role)
    if text:
        found = found.filter(Q(user__name__icontains=text) | Q(user__email__icontains=text))
    return found.order_by("-is_active", "user__name", "user__email")


def waiting_invitations(*, project: Project) -> QuerySet[Invitation]:
    """Links that still open."""
    return project.invitations.filter(accepted_at__isnull=True, revoked_at__isnull=True, expires_at__gt=Now()).order_by(
        "-created_at"
    )


def figures(*, user: User, project: Project) -> dict[str, Any]:
    """What one person did in one project; tests hidden in the work are none of it."""
    return _figures(Ranking.objects.of_work(), Demonstration.objects.counted(), user=user, project=project)


def _figures(
    rankings: QuerySet[Ranking], demonstrations: QuerySet[Demonstration], *, user: User, project: Project
) -> dict[str, Any]:
    rankings = rankings.filter(labeler=user, task__project=project)
    return {
        **rankings.aggregate(num_rankings=Count("pk"), median_seconds=Median("active_seconds"), last=Max("created_at")),
        "num_week": rankings.filter(created_at__gte=timezone.now() - timedelta(days=7)).count(),
        "num_demonstrations": demonstrations.filter(labeler=user, prompt__project=project).count(),
        "num_held": Slot.objects.filter(holder=user, project=project, state="held").count(),
    }


def own_figures(*, user: User, projects: QuerySet[Project]) -> list[tuple[Project, dict[str, Any]]]:
    """What one sees of oneself: all that one did. A count without the hidden tests would tell how many they were."""
    ranked, written = Ranking.objects.current().given_as_labeler(), Demonstration.objects.current()
    return [(project, _figures(ranked, written, user=user, project=project)) for project in projects[:30]]


def _count(rows: QuerySet[Any]) -> Coalesce:
    per_person = rows.filter(labeler=OuterRef("user")).order_by().values("labeler").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(per_person), 0)


def _latest(rows: QuerySet[Any]) -> Subquery:
    return Subquery(rows.filter(labeler=OuterRef("user")).order_by("-created_at").values("created_at")[:1])


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
