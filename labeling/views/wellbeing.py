"""What concerns a person and their data: own statistics, the survey, hours, withdrawal."""

import csv
import uuid
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from labeling.forms.wellbeing import HoursForm, WithdrawForm, read_survey
from labeling.models import Role, SurveyAnswer, User, Withdrawal
from labeling.permissions import ProjectRequest, member
from labeling.services import imports, own_statistics, people, survey, withdrawals, work_done
from labeling.services.work_done import Hours


@never_cache
@require_GET
@member(Role.LABELER)
def statistics(request: ProjectRequest) -> HttpResponseBase:
    """One's own work, for oneself alone."""
    found = own_statistics.of(user=request.user, project=request.project)
    return render(request, "people/statistics.html", {"nav": "me", "own": found})


@never_cache
@require_http_methods(["GET", "POST"])
@member(Role.LABELER)
def answer_survey(request: ProjectRequest) -> HttpResponseBase:
    if request.method == "POST":
        return _keep_survey(request)
    said = survey.own(project=request.project, user=request.user)
    sections = [
        {
            "kind": kind,
            "label": SurveyAnswer.Kind(kind).label,
            "questions": [(question, said.get(kind, {}).get(question.name, "")) for question in questions],
        }
        for kind, questions in survey.QUESTIONS.items()
    ]
    context = {"nav": "me", "sections": sections, "has_answered": bool(said), "not_said": survey.NOT_SAID}
    return render(request, "people/survey.html", {**context, "min_people": survey.MIN_PEOPLE})


def _keep_survey(request: ProjectRequest) -> HttpResponseBase:
    kind = request.POST.get("kind", "")
    if request.POST.get("action") == "forget":
        survey.forget(project=request.project, user=request.user)
        messages.success(request, "Your answers are deleted.")
    elif kind in survey.QUESTIONS:
        try:
            answers = read_survey(request.POST, kind)
            survey.answer(project=request.project, user=request.user, kind=kind, answers=answers)
        except survey.SurveyError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, "Thank you. Your answers are kept; you can change or delete them here.")
    return redirect("survey", request.project.slug)


@require_GET
@member(Role.MANAGER)
def survey_counts(request: ProjectRequest) -> HttpResponseBase:
    """Counts alone, and only where enough people answered."""
    sections = [
        (SurveyAnswer.Kind(kind).label, survey.counts(project=request.project, kind=kind)) for kind in survey.QUESTIONS
    ]
    context = {"nav": "people", "sections": sections, "min_people": survey.MIN_PEOPLE}
    return render(request, "people/survey_counts.html", context)


# --- hours ---------------------------------------------------------------------------------------------------------


@require_GET
@member(Role.MANAGER)
def hours(request: ProjectRequest) -> HttpResponseBase:
    """Active hours and tasks per hour of each person and week."""
    form = HoursForm(request.GET)
    weeks, rows = _hours(request, form.num_weeks())
    total = Hours()
    for _, _, sum_of_person in rows:
        total.add(sum_of_person)
    context = {"nav": "people", "form": form, "num_weeks": len(weeks), "weeks": weeks, "rows": rows, "total": total}
    return render(request, "people/hours.html", context)


@require_GET
@member(Role.MANAGER)
def hours_csv(request: ProjectRequest) -> HttpResponseBase:
    """One line per person and week, addresses only when asked for. No cell starts a formula."""
    form = HoursForm(request.GET)
    weeks, rows = _hours(request, form.num_weeks())
    lines = _csv(weeks, rows, with_addresses=form.cleaned_data["emails"] if form.is_valid() else False)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="hours-{request.project.slug}.csv"'
    return response


def _hours(request: ProjectRequest, num_weeks: int) -> tuple[list[date], list[tuple[User, list[Hours], Hours]]]:
    """Mondays, newest first; and for each person their weeks in that order and the sum."""
    found = work_done.hours_by_week(request.project, weeks=num_weeks)
    today = timezone.localdate()
    weeks = [today - timedelta(days=today.weekday(), weeks=back) for back in range(num_weeks)]
    users = User.objects.in_bulk({pk for pk, _ in found})
    rows = []
    for user in sorted(users.values(), key=lambda user: (str(user).lower(), user.pk)):
        of_weeks = [found.get((user.pk, monday), Hours()) for monday in weeks]
        total = Hours()
        for week in of_weeks:
            total.add(week)
        rows.append((user, of_weeks, total))
    return weeks, rows


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, line: str) -> str:
        return line


def _csv(weeks: list[date], rows: list[tuple[User, list[Hours], Hours]], *, with_addresses: bool) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(
        ["name", *(["e-mail"] if with_addresses else []), "week of", "tasks", "active hours", "tasks per hour"]
    )
    for user, of_weeks, _ in rows:
        who = [imports.cell(user.name or f"person {user.uid}")]
        who += [imports.cell(user.email)] if with_addresses else []
        for monday, week in zip(weeks, of_weeks, strict=True):
            if week.num_done or week.seconds:
                rate = f"{week.per_hour:.2f}" if week.per_hour is not None else ""
                yield writer.writerow([*who, monday.isoformat(), week.num_done, f"{week.hours:.2f}", rate])


# --- withdrawal ------------------------------------------------------------------------------------------------------


@never_cache
@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def withdraw(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """What taking a person's data out would touch; and doing it."""
    membership = get_object_or_404(request.project.memberships.select_related("user", "project"), user__uid=uid)
    form = WithdrawForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            done = withdrawals.withdraw(membership=membership, reason=form.cleaned_data["reason"], by=request.user)
        except people.LastManagerError as error:
            messages.error(request, str(error))
            return redirect("person", request.project.slug, uid)
        messages.success(request, f"{membership.user} has withdrawn. {_in_words(done)}")
        return redirect("person", request.project.slug, uid)
    context: dict[str, Any] = {
        "nav": "people",
        "membership": membership,
        "person": membership.user,
        "form": form,
        "touched": withdrawals.preview(project=request.project, labeler=membership.user),
        "earlier": Withdrawal.objects.filter(project=request.project, labeler=membership.user).first(),
    }
    return render(request, "people/withdraw.html", context, status=422 if form.errors else 200)


def _in_words(done: Withdrawal) -> str:
    counts = [(done.num_rankings, "ranking"), (done.num_demonstrations, "demonstration")]
    words = " and ".join(f"{num:,} {name}{'s' if num != 1 else ''}" for num, name in counts)
    return f"{words} count no more, and what still was wanted of them is open for others."
