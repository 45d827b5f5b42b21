"""People of a project: who they are, inviting, joining, leaving; and one's own page."""

import uuid
from typing import Any

from allauth.account.utils import perform_login
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.forms.people import InviteForm, JoinForm, MeForm, PersonForm
from labeling.models import Invitation, Membership, Project, Role, Withdrawal
from labeling.permissions import ProjectRequest, member
from labeling.services import lineage
from labeling.services import people as service
from labeling.views.frame import PersonRequest, landing


@require_GET
@member(Role.MANAGER)
def people(request: ProjectRequest) -> HttpResponseBase:
    filters = {"q": request.GET.get("q", "").strip()[:100], "role": request.GET.get("role", "")}
    shows_left = request.GET.get("left") == "1"
    rows = service.members(project=request.project, text=filters["q"], role=filters["role"], with_left=shows_left)
    context: dict[str, Any] = {
        "q": filters["q"],
        "role_filter": filters["role"],
        "shows_left": shows_left,
        "rows": rows,
        "roles": Role.choices,
        "num_left": request.project.memberships.filter(is_active=False).count(),
        "invitations": service.waiting_invitations(project=request.project),
        "nav": "people",
    }
    return render(request, "people/list.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def invite(request: ProjectRequest) -> HttpResponseBase:
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        invitation, token = service.invite(project=request.project, by=request.user, **form.cleaned_data)
        link = request.build_absolute_uri(reverse("join", args=[token]))
        return render(request, "people/invited.html", {"invitation": invitation, "link": link, "nav": "people"})
    return render(request, "people/invite.html", {"form": form, "nav": "people"})


@require_POST
@member(Role.MANAGER)
def revoke(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    invitation = get_object_or_404(request.project.invitations, uid=uid)
    if service.revoke(invitation=invitation):
        messages.success(request, "The invitation is withdrawn; its link no longer opens.")
    else:
        messages.warning(request, "That invitation had been used or withdrawn already.")
    return redirect("people", request.project.slug)


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def person(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    membership = _membership(request, uid)
    user = membership.user
    known = {"role": membership.role, "languages": user.languages, "is_held_out": user.is_held_out}
    form = PersonForm(request.POST or None, initial=known)
    if request.method == "POST" and form.is_valid():
        try:
            service.change(membership=membership, **form.cleaned_data)
        except service.LastManagerError as error:
            form.add_error("role", str(error))
        else:
            messages.success(request, f"{user} is saved.")
            return redirect("people", request.project.slug)
    figures = service.figures(user=user, project=request.project)
    context = {
        "membership": membership,
        "person": user,
        "form": form,
        "figures": figures,
        "withdrawal": Withdrawal.objects.filter(project=request.project, labeler=user).first(),
        "made": lineage.from_labeler(user, request.project),
        "nav": "people",
    }
    return render(request, "people/person.html", context)


@require_POST
@member(Role.MANAGER)
def deactivate(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    membership = _membership(request, uid)
    try:
        num_reopened = service.deactivate(membership=membership)
    except service.LastManagerError as error:
        messages.error(request, str(error))
        return redirect("person", request.project.slug, uid)
    freed = f" {num_reopened} held task(s) went back." if num_reopened else ""
    messages.success(request, f"{membership.user} is out and logged out everywhere.{freed} Their rankings stay.")
    return redirect("people", request.project.slug)


@require_POST
@member(Role.MANAGER)
def reactivate(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    membership = _membership(request, uid)
    service.reactivate(membership=membership)
    messages.success(request, f"{membership.user} is back as {membership.get_role_display().lower()}.")
    return redirect("people", request.project.slug)


def _membership(request: ProjectRequest, uid: uuid.UUID) -> Membership:
    return get_object_or_404(request.project.memberships.select_related("user"), user__uid=uid)


@never_cache
@sensitive_post_parameters()
@login_not_required
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """The page behind an invitation link: make an account, or join with the one that is logged in."""
    try:
        invitation = service.find_invitation(token=token)
        if request.user.is_authenticated:
            return _join_as_self(request, invitation, token)
        return _join_as_new(request, invitation, token)
    except service.InvitationGoneError as error:
        return render(request, "410.html", {"reason": str(error)}, status=410)


def _join_as_self(request: HttpRequest, invitation: Invitation, token: str) -> HttpResponse:
    if request.method == "GET":
        return render(request, "people/join.html", {"invitation": invitation})
    membership = service.accept(token=token, user=request.user)  # type: ignore[arg-type]
    messages.success(request, f"Welcome to {membership.project}.")
    return redirect(landing(membership.project, membership.user))


def _join_as_new(request: HttpRequest, invitation: Invitation, token: str) -> HttpResponse:
    form = JoinForm(request.POST or None, invited=invitation.email)
    if request.method == "POST" and form.is_valid():
        try:
            membership = service.accept_as_new(token=token, **form.cleaned_data)
        except (IntegrityError, ValidationError):  # the same address came twice at once; the other was first
            raise service.InvitationGoneError("This invitation has been used. Each link opens once.") from None
        return _logged_in(request, membership)
    return render(request, "people/join.html", {"invitation": invitation, "form": form})


def _logged_in(request: HttpRequest, membership: Membership) -> HttpResponse:
    target = landing(membership.project, membership.user)
    return perform_login(request, membership.user, email_verification="none", redirect_url=target)  # type: ignore[no-any-return]


@require_http_methods(["GET", "POST"])
def me(request: PersonRequest) -> HttpResponse:
    """One's own page."""
    form = MeForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("me")
    request.user.refresh_from_db()
    visible = Project.objects.visible_to(request.user).distinct()
    context = {"form": form, "rows": service.own_figures(user=request.user, projects=visible), "nav": "me"}
    return render(request, "people/me.html", context)
