"""Places of tests may not lie open; the survey's counts come in steps; prompts from before can be looked through.

Places of qualification tasks, known answers and hidden repeats are made for one labeler. What a task is for never
changes, so that a place which was allowed once stays so. New places are checked by statement, however many they are. A
place that comes open again is checked at the end of its transaction: a lapsed hold is opened and then taken away within
one. A claim changes places from open to held, and for that nothing is run.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.conf import settings
from django.db import migrations, models


FORWARD = """
CREATE FUNCTION podium_slots_made_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM made JOIN labeling_task t ON t.id = made.task_id
              WHERE made.state = 'open' AND t.purpose <> 'work') THEN
    RAISE EXCEPTION 'a place of a task that tests labelers must not lie open'
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'slot_of_a_test_is_never_open';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER slots_made_open AFTER INSERT ON labeling_slot
  REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION podium_slots_made_open();

CREATE FUNCTION podium_slot_comes_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM labeling_slot s JOIN labeling_task t ON t.id = s.task_id
              WHERE s.id = NEW.id AND s.state = 'open' AND t.purpose <> 'work') THEN
    RAISE EXCEPTION 'place % of a task that tests labelers must not lie open', NEW.id
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'slot_of_a_test_is_never_open';
  END IF;
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER slot_comes_open AFTER UPDATE OF state, task_id ON labeling_slot
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NEW.state = 'open' AND (OLD.state <> 'open' OR OLD.task_id <> NEW.task_id))
  EXECUTE FUNCTION podium_slot_comes_open();

CREATE FUNCTION podium_task_purpose_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'task % is for %, and stays so', OLD.id, OLD.purpose
    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'task_purpose_never_changes';
END $$;

CREATE TRIGGER task_purpose_stays AFTER UPDATE OF purpose ON labeling_task
  FOR EACH ROW WHEN (OLD.purpose <> NEW.purpose) EXECUTE FUNCTION podium_task_purpose_stays();
"""

BACKWARD = """
DROP TRIGGER task_purpose_stays ON labeling_task;
DROP FUNCTION podium_task_purpose_stays();
DROP TRIGGER slot_comes_open ON labeling_slot;
DROP FUNCTION podium_slot_comes_open();
DROP TRIGGER slots_made_open ON labeling_slot;
DROP FUNCTION podium_slots_made_open();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0008_quality_triggers"),
    ]

    operations = [
        migrations.AddField(
            model_name="prompt",
            name="looked_for",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=40),
                db_default=[],
                default=list,
                editable=False,
                help_text="What the text was looked through for; from before there was anything to look for: nothing.",
                size=None,
            ),
        ),
        migrations.CreateModel(
            name="PromptLook",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "parts",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), size=None),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("running", "Running"), ("done", "Done")], default="running", max_length=7
                    ),
                ),
                ("num_looked", models.PositiveIntegerField(default=0)),
                (
                    "last_prompt",
                    models.PositiveBigIntegerField(default=0, help_text="The id of the last one that was looked at."),
                ),
                ("counts", models.JSONField(default=dict, help_text="What was found, by kind.")),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "asked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="prompt_looks", to="labeling.project"
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("finished_at__isnull", True), ("state", "running")),
                            models.Q(("finished_at__isnull", False), ("state", "done")),
                            _connector="OR",
                        ),
                        name="look_state_and_time_agree",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "running")),
                        fields=("project",),
                        name="look_one_running_per_project",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SurveyRelease",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("satisfaction", "Satisfaction"), ("demographics", "Demographics")], max_length=12
                    ),
                ),
                ("question", models.CharField(max_length=40)),
                ("counts", models.JSONField(help_text="{choice: people}")),
                ("num_people", models.PositiveIntegerField()),
                ("counted", django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ("released_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="survey_releases",
                        to="labeling.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "kind", "question"), name="survey_one_release_per_question"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("num_people__gte", 5)), name="survey_release_of_five_or_more"
                    ),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
