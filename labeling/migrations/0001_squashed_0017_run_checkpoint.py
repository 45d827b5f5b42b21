"""All rows and their rules as migrations 0001 to 0017 leave them, in one step.

A new database takes this one instead of those: a quarter of the time. One that has any of those goes on with them, and
this one then counts as done. When no installation is left before 0017, they and `replaces` can go.
"""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import django.db.models.functions.text
import django.utils.timezone
import labeling.models.projects
import uuid
from django.conf import settings
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION podium_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: add a new revision instead of changing row %', TG_TABLE_NAME, OLD.id
    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END $$;

CREATE TRIGGER ranking_append_only BEFORE UPDATE ON labeling_ranking
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();
CREATE TRIGGER demonstration_append_only BEFORE UPDATE ON labeling_demonstration
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();
CREATE TRIGGER guideline_append_only BEFORE UPDATE ON labeling_guideline
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();
CREATE TRIGGER runevent_append_only BEFORE UPDATE ON labeling_runevent
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();

CREATE FUNCTION podium_ranking_fits_task() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE k integer;
BEGIN
  SELECT num_responses INTO k FROM labeling_task WHERE id = NEW.task_id;
  IF (SELECT array_agg(x::integer ORDER BY x) FROM unnest(NEW.displayed) x)
     IS DISTINCT FROM (SELECT array_agg(x) FROM generate_series(0, k - 1) x) THEN
    RAISE EXCEPTION 'displayed must hold each position 0 to % once', k - 1
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ranking_displayed_is_a_permutation';
  END IF;
  IF cardinality(NEW.ranks) > 0 AND (
       cardinality(NEW.ranks) <> k
       OR (SELECT max(x) FROM unnest(NEW.ranks) x) <> (SELECT count(DISTINCT x) FROM unnest(NEW.ranks) x)
       OR (SELECT min(x) FROM unnest(NEW.ranks) x) <> 1) THEN
    RAISE EXCEPTION 'ranks must give each of % responses a rank from 1, without gaps', k
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ranking_ranks_fit_task';
  END IF;
  IF cardinality(NEW.ratings) NOT IN (0, k) THEN
    RAISE EXCEPTION 'ratings must be none or one per response (%)', k
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ranking_ratings_fit_task';
  END IF;
  IF NEW.slot_id IS NOT NULL AND NEW.task_id <> (SELECT task_id FROM labeling_slot WHERE id = NEW.slot_id) THEN
    RAISE EXCEPTION 'the slot belongs to another task'
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ranking_slot_of_same_task';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER ranking_fits_task BEFORE INSERT ON labeling_ranking
  FOR EACH ROW EXECUTE FUNCTION podium_ranking_fits_task();

CREATE FUNCTION podium_snapshot_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state = 'ready' AND (NEW.sha256, NEW.kind, NEW.state, NEW.storage_key, NEW.num_rows, NEW.filters, NEW.stats, NEW.project_id)
     IS DISTINCT FROM (OLD.sha256, OLD.kind, OLD.state, OLD.storage_key, OLD.num_rows, OLD.filters, OLD.stats, OLD.project_id) THEN
    RAISE EXCEPTION 'snapshot % is ready and never changes', OLD.id
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'snapshot_never_changes';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER snapshot_frozen BEFORE UPDATE ON labeling_snapshot
  FOR EACH ROW EXECUTE FUNCTION podium_snapshot_frozen();

CREATE FUNCTION podium_run_fence_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.fence < OLD.fence THEN
    RAISE EXCEPTION 'the fence of run % may only grow', OLD.id
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'run_fence_grows';
  END IF;
  IF OLD.state IN ('succeeded', 'failed', 'cancelled') AND NEW.state NOT IN (OLD.state, 'queued') THEN
    RAISE EXCEPTION 'run % has ended as %', OLD.id, OLD.state
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'run_ends_once';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER run_fence_grows BEFORE UPDATE ON labeling_run
  FOR EACH ROW EXECUTE FUNCTION podium_run_fence_grows();

CREATE TRIGGER writtenprompt_append_only BEFORE UPDATE ON labeling_writtenprompt
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();
CREATE TRIGGER promptannotation_append_only BEFORE UPDATE ON labeling_promptannotation
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();

CREATE FUNCTION podium_reference_fits_task() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE k integer;
BEGIN
  SELECT num_responses INTO k FROM labeling_task WHERE id = NEW.task_id;
  IF cardinality(NEW.ranks) <> k
     OR (SELECT max(x) FROM unnest(NEW.ranks) x) <> (SELECT count(DISTINCT x) FROM unnest(NEW.ranks) x)
     OR (SELECT min(x) FROM unnest(NEW.ranks) x) <> 1 THEN
    RAISE EXCEPTION 'a reference must give each of % responses a rank from 1, without gaps', k
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'reference_ranks_fit_task';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER reference_fits_task BEFORE INSERT OR UPDATE ON labeling_reference
  FOR EACH ROW EXECUTE FUNCTION podium_reference_fits_task();

CREATE FUNCTION podium_review_fits_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.ranking_id IS NOT NULL AND NEW.task_id <> (SELECT task_id FROM labeling_ranking WHERE id = NEW.ranking_id) THEN
    RAISE EXCEPTION 'the decision ranks another task'
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'review_decides_its_own_task';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER review_fits_task BEFORE INSERT OR UPDATE ON labeling_review
  FOR EACH ROW EXECUTE FUNCTION podium_review_fits_task();

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

CREATE TRIGGER modelevent_append_only BEFORE UPDATE ON labeling_modelevent
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();
"""

BACKWARD = """
DROP TRIGGER modelevent_append_only ON labeling_modelevent;
DROP TRIGGER task_purpose_stays ON labeling_task;
DROP FUNCTION podium_task_purpose_stays();
DROP TRIGGER slot_comes_open ON labeling_slot;
DROP FUNCTION podium_slot_comes_open();
DROP TRIGGER slots_made_open ON labeling_slot;
DROP FUNCTION podium_slots_made_open();
DROP TRIGGER review_fits_task ON labeling_review;
DROP FUNCTION podium_review_fits_task();
DROP TRIGGER reference_fits_task ON labeling_reference;
DROP FUNCTION podium_reference_fits_task();
DROP TRIGGER promptannotation_append_only ON labeling_promptannotation;
DROP TRIGGER writtenprompt_append_only ON labeling_writtenprompt;
DROP TRIGGER run_fence_grows ON labeling_run;
DROP TRIGGER snapshot_frozen ON labeling_snapshot;
DROP TRIGGER ranking_fits_task ON labeling_ranking;
DROP TRIGGER runevent_append_only ON labeling_runevent;
DROP TRIGGER guideline_append_only ON labeling_guideline;
DROP TRIGGER demonstration_append_only ON labeling_demonstration;
DROP TRIGGER ranking_append_only ON labeling_ranking;
DROP FUNCTION podium_run_fence_grows();
DROP FUNCTION podium_snapshot_frozen();
DROP FUNCTION podium_ranking_fits_task();
DROP FUNCTION podium_append_only();
"""

# A cache: nothing is lost with it, so it need not be written twice.
UNLOGGED = "ALTER TABLE labeling_renderedresponse SET UNLOGGED"


class Migration(migrations.Migration):

    replaces = [
        ('labeling', '0001_rows'),
        ('labeling', '0002_triggers'),
        ('labeling', '0003_snapshots_of_the_same_rows'),
        ('labeling', '0004_import_options_and_prompt_prefixes'),
        ('labeling', '0005_slot_index_by_kind'),
        ('labeling', '0006_run_log_offsets'),
        ('labeling', '0007_quality_and_other_tasks'),
        ('labeling', '0008_quality_triggers'),
        ('labeling', '0009_tests_survey_releases_and_looks'),
        ('labeling', '0010_lighter_indexes_and_rendered_responses'),
        ('labeling', '0011_run_usage_line_numbers_and_imported_models'),
        ('labeling', '0012_evaluation_files'),
        ('labeling', '0013_workers'),
        ('labeling', '0014_playground'),
        ('labeling', '0015_human_evaluation'),
        ('labeling', '0016_response_scores'),
        ('labeling', '0017_run_checkpoint'),
    ]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('first_name', models.CharField(blank=True, max_length=150, verbose_name='first name')),
                ('last_name', models.CharField(blank=True, max_length=150, verbose_name='last name')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('email', models.EmailField(max_length=254, unique=True)),
                ('name', models.CharField(blank=True, max_length=120)),
                ('is_held_out', models.BooleanField(default=False, help_text='Rankings of held-out labelers test models and never train them.')),
                ('is_imported', models.BooleanField(default=False, help_text='Stands for a labeler of an imported file; cannot log in.')),
                ('languages', models.JSONField(blank=True, default=list, help_text='ISO codes; empty means any.')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
                ('keys', models.JSONField(blank=True, default=dict, help_text='Own keys of the ranking page: {"tie": "x"}.')),
            ],
            options={
                'verbose_name': 'user',
                'verbose_name_plural': 'users',
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(('is_imported', False), ('is_active', False), _connector='OR'), name='user_imported_is_inactive')],
            },
        ),
        migrations.CreateModel(
            name='Project',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('slug', models.SlugField(max_length=60, unique=True)),
                ('name', models.CharField(max_length=120)),
                ('description', models.TextField(blank=True)),
                ('overlap', models.PositiveSmallIntegerField(default=1, help_text='Judgements wanted per new task.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(50)])),
                ('rate_first', models.BooleanField(default=False, help_text='Labelers rate each response 1 to 7 before they rank.')),
                ('flags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=labeling.models.projects.default_flags, size=None)),
                ('lease_minutes', models.PositiveSmallIntegerField(default=15, help_text='How long a claimed task stays with its labeler.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(240)])),
                ('prompts_per_customer', models.PositiveIntegerField(default=200, help_text='Cap on prompts taken from one customer.')),
                ('max_prompt_chars', models.PositiveIntegerField(default=60000, help_text='Longer prompts are refused at import.')),
                ('is_demo', models.BooleanField(default=False)),
                ('gold_percent', models.PositiveSmallIntegerField(default=0, help_text="How many of a labeler's tasks have a known answer. They look like any other.", validators=[django.core.validators.MaxValueValidator(50)])),
                ('must_read_guidelines', models.BooleanField(default=False, help_text='Nobody gets work before they have read the current guidelines.')),
                ('prompt_labels', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=labeling.models.projects.default_prompt_labels, size=None)),
                ('repeat_percent', models.PositiveSmallIntegerField(default=0, help_text="How many of a labeler's tasks are old ones of their own, to see whether they agree with themselves.", validators=[django.core.validators.MaxValueValidator(50)])),
                ('review_below_percent', models.PositiveSmallIntegerField(default=0, help_text='Tasks whose labelers agree on fewer comparisons go to a reviewer; 0: none go by themselves.', validators=[django.core.validators.MaxValueValidator(100)])),
                ('tasks_ahead', models.PositiveSmallIntegerField(default=4, help_text='Tasks the page fetches ahead, so that work goes on without a network.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(8)])),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.CheckConstraint(condition=models.Q(('overlap__gte', 1), ('overlap__lte', 50)), name='project_overlap_1_to_50'), models.CheckConstraint(condition=models.Q(('lease_minutes__gte', 1), ('lease_minutes__lte', 240)), name='project_lease_1_to_240'), models.CheckConstraint(condition=models.Q(('tasks_ahead__gte', 1), ('tasks_ahead__lte', 8)), name='project_ahead_1_to_8'), models.CheckConstraint(condition=models.Q(('gold_percent__lte', 50), ('repeat_percent__lte', 50)), name='project_hidden_work_up_to_half_each'), models.CheckConstraint(condition=models.Q(('review_below_percent__lte', 100)), name='project_review_is_a_percentage')],
            },
        ),
        migrations.CreateModel(
            name='ImportBatch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('kind', models.CharField(choices=[('prompts', 'Prompts'), ('rankings', 'Rankings'), ('demonstrations', 'Demonstrations')], max_length=16)),
                ('filename', models.CharField(max_length=255)),
                ('file_sha256', models.CharField(max_length=64)),
                ('file_key', models.CharField(blank=True, help_text='Where the uploaded file lies in storage.', max_length=255)),
                ('state', models.CharField(choices=[('preview', 'Preview'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed')], default='preview', max_length=10)),
                ('num_rows', models.PositiveIntegerField(default=0)),
                ('num_taken', models.PositiveIntegerField(default=0)),
                ('num_refused', models.PositiveIntegerField(default=0)),
                ('counts', models.JSONField(default=dict, help_text='Further counts: prompts, responses, rankings, refusals by reason.')),
                ('error', models.TextField(blank=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='imports', to='labeling.project')),
                ('options', models.JSONField(blank=True, default=dict, help_text='How to read it: columns, data set, personal data, …')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['prompts', 'rankings', 'demonstrations'])), name='import_kind_known'), models.CheckConstraint(condition=models.Q(('state__in', ['preview', 'running', 'done', 'failed'])), name='import_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'done'), _negated=True), ('num_rows', django.db.models.expressions.CombinedExpression(models.F('num_taken'), '+', models.F('num_refused'))), _connector='OR'), name='import_taken_and_refused_add_up')],
            },
        ),
        migrations.CreateModel(
            name='ImportRefusal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('line', models.PositiveIntegerField()),
                ('reason', models.CharField(max_length=60)),
                ('detail', models.CharField(blank=True, max_length=500)),
                ('batch', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='refusals', to='labeling.importbatch')),
            ],
            options={
                'ordering': ['line', 'id'],
                'constraints': [models.UniqueConstraint(fields=('batch', 'line'), name='refusal_one_per_line')],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('labeler', 'Labeler'), ('reviewer', 'Reviewer'), ('manager', 'Manager')], max_length=10)),
                ('is_active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='labeling.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'user'), name='membership_one_per_person'), models.CheckConstraint(condition=models.Q(('role__in', ['labeler', 'reviewer', 'manager'])), name='membership_role_known')],
            },
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('role', models.CharField(choices=[('labeler', 'Labeler'), ('reviewer', 'Reviewer'), ('manager', 'Manager')], max_length=10)),
                ('email', models.EmailField(blank=True, max_length=254)),
                ('token_hash', models.CharField(max_length=64, unique=True)),
                ('expires_at', models.DateTimeField()),
                ('accepted_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('accepted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='invitations_accepted', to=settings.AUTH_USER_MODEL)),
                ('invited_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='invitations_sent', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='invitations', to='labeling.project')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('role__in', ['labeler', 'reviewer', 'manager'])), name='invitation_role_known'), models.CheckConstraint(condition=models.Q(models.Q(('accepted_at__isnull', True), ('accepted_by__isnull', True)), models.Q(('accepted_at__isnull', False), ('accepted_by__isnull', False)), _connector='OR'), name='invitation_accepted_by_somebody'), models.CheckConstraint(condition=models.Q(('accepted_at__isnull', True), ('revoked_at__isnull', True), _connector='OR'), name='invitation_accepted_or_revoked'), models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('created_at'))), name='invitation_expires_later')],
            },
        ),
        migrations.CreateModel(
            name='Guideline',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField()),
                ('text', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('author', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='guidelines', to='labeling.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'version'), name='guideline_one_per_version'), models.CheckConstraint(condition=models.Q(('version__gte', 1)), name='guideline_version_from_1')],
            },
        ),
        migrations.CreateModel(
            name='Prompt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('messages', models.JSONField(help_text='[{"role": "user", "content": "…"}, …]')),
                ('use_case', models.CharField(choices=[('generation', 'Generation'), ('open_qa', 'Open QA'), ('brainstorming', 'Brainstorming'), ('chat', 'Chat'), ('rewrite', 'Rewrite'), ('summarization', 'Summarization'), ('classification', 'Classification'), ('closed_qa', 'Closed QA'), ('extract', 'Extract'), ('other', 'Other')], default='other', max_length=16)),
                ('category', models.CharField(blank=True, help_text="The file's own category.", max_length=80)),
                ('language', models.CharField(blank=True, max_length=16)),
                ('source', models.CharField(choices=[('labeler', 'Labeler'), ('customer', 'Customer'), ('import', 'Import')], default='import', max_length=10)),
                ('dataset', models.CharField(blank=True, help_text='The data set an imported prompt came from.', max_length=80)),
                ('external_id', models.CharField(blank=True, max_length=200)),
                ('customer', models.CharField(blank=True, help_text='Who asked; splits are made by customer.', max_length=120)),
                ('split', models.CharField(choices=[('train', 'Train'), ('valid', 'Validation'), ('test', 'Test')], max_length=5)),
                ('is_retired', models.BooleanField(default=False)),
                ('content_hash', models.CharField(editable=False, help_text='SHA-256 of the messages as canonical JSON.', max_length=64)),
                ('text', models.TextField(editable=False, help_text='All messages as one text, for search.')),
                ('num_chars', models.PositiveIntegerField(editable=False)),
                ('author', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='prompts_written', to=settings.AUTH_USER_MODEL)),
                ('batch', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='prompts', to='labeling.importbatch')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='prompts', to='labeling.project')),
                ('personal_data', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), blank=True, default=list, help_text='Kinds of personal data found in it.', size=None)),
                ('looked_for', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), db_default=[], default=list, editable=False, help_text='What the text was looked through for; from before there was anything to look for: nothing.', size=None)),
            ],
            options={
                'indexes': [models.Index(fields=['project', '-created_at'], name='prompt_newest'), models.Index(models.F('project'), django.db.models.functions.text.MD5(django.db.models.functions.text.Left('text', 100)), name='prompt_prefix'), models.Index(condition=models.Q(('customer', ''), _negated=True), fields=['project', 'customer'], name='prompt_by_customer')],
                'constraints': [models.UniqueConstraint(fields=('project', 'content_hash'), name='prompt_unique_content'), models.CheckConstraint(condition=models.Q(('split__in', ['train', 'valid', 'test'])), name='prompt_split_known'), models.CheckConstraint(condition=models.Q(('use_case__in', ['generation', 'open_qa', 'brainstorming', 'chat', 'rewrite', 'summarization', 'classification', 'closed_qa', 'extract', 'other'])), name='prompt_use_case_known'), models.CheckConstraint(condition=models.Q(('source__in', ['labeler', 'customer', 'import'])), name='prompt_source_known'), models.CheckConstraint(condition=models.Q(('num_chars__gte', 1)), name='prompt_not_empty'), models.CheckConstraint(condition=models.Q(('content_hash__regex', '^[0-9a-f]{64}$')), name='prompt_hash_is_sha256')],
            },
        ),
        migrations.CreateModel(
            name='Snapshot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=120)),
                ('kind', models.CharField(choices=[('reward', 'Rankings for the reward model'), ('sft', 'Demonstrations for SFT'), ('prompts', 'Prompts for PPO'), ('text', 'Pretraining text'), ('responses', 'Responses to score')], max_length=9)),
                ('filters', models.JSONField(blank=True, default=dict, help_text='What was asked for: data sets, use cases, languages, …')),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('building', 'Building'), ('ready', 'Ready'), ('same', 'Same as an earlier one'), ('failed', 'Failed')], default='queued', max_length=8)),
                ('sha256', models.CharField(blank=True, help_text="Of the rows' content.", max_length=64, null=True)),
                ('storage_key', models.CharField(blank=True, max_length=255)),
                ('num_rows', models.PositiveIntegerField(default=0)),
                ('num_done', models.PositiveIntegerField(default=0, help_text='Progress while building.')),
                ('stats', models.JSONField(blank=True, default=dict, help_text='Tables of the snapshot page, and what was left out by reason.')),
                ('error', models.TextField(blank=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='snapshots', to='labeling.project')),
                ('same_as', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='repeats', to='labeling.snapshot')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.UniqueConstraint(fields=('project', 'name'), name='snapshot_unique_name'), models.UniqueConstraint(fields=('project', 'sha256'), name='snapshot_unique_content'), models.CheckConstraint(condition=models.Q(models.Q(('sha256__isnull', True), ('state__in', ['queued', 'building', 'failed', 'same'])), models.Q(('finished_at__isnull', False), ('sha256__isnull', False), ('state', 'ready')), _connector='OR'), name='snapshot_ready_has_a_hash'), models.CheckConstraint(condition=models.Q(models.Q(('same_as__isnull', False), ('state', 'same')), models.Q(models.Q(('state', 'same'), _negated=True), ('same_as__isnull', True)), _connector='OR'), name='snapshot_same_names_the_earlier_one'), models.CheckConstraint(condition=models.Q(('kind__in', ['reward', 'sft', 'prompts', 'text', 'responses'])), name='snapshot_kind_known')],
            },
        ),
        migrations.CreateModel(
            name='GuidelineReading',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('read_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('guideline', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='readings', to='labeling.guideline')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='guideline_readings', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('guideline', 'user'), name='reading_once_per_version')],
            },
        ),
        migrations.CreateModel(
            name='PromptBrief',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('style', models.CharField(choices=[('plain', 'Plain'), ('few_shot', 'Instruction with examples'), ('user_based', 'From a use case')], max_length=10)),
                ('use_case', models.CharField(blank=True, choices=[('generation', 'Generation'), ('open_qa', 'Open QA'), ('brainstorming', 'Brainstorming'), ('chat', 'Chat'), ('rewrite', 'Rewrite'), ('summarization', 'Summarization'), ('classification', 'Classification'), ('closed_qa', 'Closed QA'), ('extract', 'Extract'), ('other', 'Other')], help_text='Empty: the writer chooses.', max_length=16)),
                ('language', models.CharField(blank=True, help_text='Empty: the writer chooses.', max_length=16)),
                ('text', models.TextField(blank=True, help_text='What to write about; a described use case for “from a use case”.')),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='prompt_briefs', to='labeling.project')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.CheckConstraint(condition=models.Q(('style__in', ['plain', 'few_shot', 'user_based'])), name='brief_style_known'), models.CheckConstraint(condition=models.Q(('use_case', ''), ('use_case__in', ['generation', 'open_qa', 'brainstorming', 'chat', 'rewrite', 'summarization', 'classification', 'closed_qa', 'extract', 'other']), _connector='OR'), name='brief_use_case_known'), models.CheckConstraint(condition=models.Q(('style', 'user_based'), ('text', ''), _negated=True), name='brief_describes_its_use_case')],
            },
        ),
        migrations.CreateModel(
            name='QualificationSet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('kind', models.CharField(choices=[('rank', 'Ranking'), ('demonstrate', 'Writing answers')], max_length=11)),
                ('name', models.CharField(max_length=120)),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('active', 'Active'), ('retired', 'Retired')], default='draft', max_length=7)),
                ('cutoff_rankings', models.FloatField(default=0.75, help_text='Share of comparisons that agree with the reference.')),
                ('cutoff_flags', models.FloatField(default=0.75, help_text='Share of flags that agree with the reference.')),
                ('cutoff_grade', models.FloatField(default=6.0, help_text='Mean grade of demonstrations, 1 to 7.')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='qualification_sets', to='labeling.project')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'active')), fields=('project', 'kind'), name='qualification_set_one_active_per_kind'), models.UniqueConstraint(fields=('project', 'name'), name='qualification_set_unique_name'), models.CheckConstraint(condition=models.Q(('kind__in', ['rank', 'demonstrate'])), name='qualification_set_kind_known'), models.CheckConstraint(condition=models.Q(('state__in', ['draft', 'active', 'retired'])), name='qualification_set_state_known'), models.CheckConstraint(condition=models.Q(('cutoff_flags__gte', 0), ('cutoff_flags__lte', 1), ('cutoff_grade__gte', 1), ('cutoff_grade__lte', 7), ('cutoff_rankings__gte', 0), ('cutoff_rankings__lte', 1)), name='qualification_set_cutoffs_in_range')],
            },
        ),
        migrations.CreateModel(
            name='Qualification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('passed', 'Passed'), ('failed', 'Failed'), ('waived', 'Let pass')], max_length=6)),
                ('score_rankings', models.FloatField(blank=True, help_text='NULL: nothing to grade by.', null=True)),
                ('score_flags', models.FloatField(blank=True, null=True)),
                ('score_grade', models.FloatField(blank=True, null=True)),
                ('decided_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('labeler', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='qualifications', to=settings.AUTH_USER_MODEL)),
                ('qualification_set', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='qualifications', to='labeling.qualificationset')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('qualification_set', 'labeler'), name='qualification_one_per_person'), models.CheckConstraint(condition=models.Q(('state__in', ['passed', 'failed', 'waived'])), name='qualification_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'waived'), _negated=True), ('decided_by__isnull', False), _connector='OR'), name='qualification_waived_by_somebody')],
            },
        ),
        migrations.CreateModel(
            name='SurveyAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('satisfaction', 'Satisfaction'), ('demographics', 'Demographics')], max_length=12)),
                ('answers', models.JSONField(default=dict, help_text='{question: choice}; a question left out was not answered.')),
                ('answered_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='survey_answers', to='labeling.project')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='survey_answers', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'user', 'kind'), name='survey_one_per_person'), models.CheckConstraint(condition=models.Q(('kind__in', ['satisfaction', 'demographics'])), name='survey_kind_known')],
            },
        ),
        migrations.CreateModel(
            name='Withdrawal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(max_length=300)),
                ('num_rankings', models.PositiveIntegerField(default=0)),
                ('num_demonstrations', models.PositiveIntegerField(default=0)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('labeler', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='withdrawals', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='withdrawals', to='labeling.project')),
                ('withdrawn_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'labeler'), name='withdrawal_once_per_person')],
            },
        ),
        migrations.CreateModel(
            name='PromptLook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('parts', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), size=None)),
                ('state', models.CharField(choices=[('running', 'Running'), ('done', 'Done')], default='running', max_length=7)),
                ('num_looked', models.PositiveIntegerField(default=0)),
                ('last_prompt', models.PositiveBigIntegerField(default=0, help_text='The id of the last one that was looked at.')),
                ('counts', models.JSONField(default=dict, help_text='What was found, by kind.')),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('asked_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='prompt_looks', to='labeling.project')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('state', 'running')), models.Q(('finished_at__isnull', False), ('state', 'done')), _connector='OR'), name='look_state_and_time_agree'), models.UniqueConstraint(condition=models.Q(('state', 'running')), fields=('project',), name='look_one_running_per_project')],
            },
        ),
        migrations.CreateModel(
            name='SurveyRelease',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('satisfaction', 'Satisfaction'), ('demographics', 'Demographics')], max_length=12)),
                ('question', models.CharField(max_length=40)),
                ('counts', models.JSONField(help_text='{choice: people}')),
                ('num_people', models.PositiveIntegerField()),
                ('counted', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('released_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='survey_releases', to='labeling.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'kind', 'question'), name='survey_one_release_per_question'), models.CheckConstraint(condition=models.Q(('num_people__gte', 5)), name='survey_release_of_five_or_more')],
            },
        ),
        migrations.CreateModel(
            name='EvaluationFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('kind', models.CharField(choices=[('truthfulqa', 'TruthfulQA'), ('harmful_prompts', 'Harmful prompts'), ('paraphrases', 'Paraphrases')], max_length=20)),
                ('filename', models.CharField(help_text='As it was called where it came from.', max_length=255)),
                ('sha256', models.CharField(max_length=64)),
                ('num_rows', models.PositiveIntegerField()),
                ('storage_key', models.CharField(max_length=255)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='evaluation_files', to='labeling.project')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.UniqueConstraint(fields=('project', 'kind', 'sha256'), name='evaluation_file_once'), models.CheckConstraint(condition=models.Q(('kind__in', ['truthfulqa', 'harmful_prompts', 'paraphrases'])), name='evaluation_file_kind_known'), models.CheckConstraint(condition=models.Q(('num_rows__gt', 0)), name='evaluation_file_has_rows'), models.CheckConstraint(condition=models.Q(('sha256__regex', '^[0-9a-f]{64}$')), name='evaluation_file_has_a_hash')],
            },
        ),
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200, unique=True)),
                ('queues', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=60), size=None)),
                ('num_processes', models.PositiveIntegerField(help_text='How many jobs it does at once.')),
                ('process_ids', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveIntegerField(), default=list, help_text='Its own and those that do jobs.', size=None)),
                ('gpus', models.JSONField(default=list, help_text='[{"name": "…", "memory_mib": 0, "used_mib": 0, "percent": 0}]')),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('stopped_at', models.DateTimeField(blank=True, help_text='It said that it goes.', null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Model',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=120)),
                ('kind', models.CharField(choices=[('policy', 'Policy'), ('reward', 'Reward model'), ('external', 'External')], max_length=8)),
                ('storage_key', models.CharField(blank=True, max_length=255)),
                ('sha256', models.CharField(blank=True, max_length=64)),
                ('num_parameters', models.PositiveBigIntegerField(blank=True, null=True)),
                ('metrics', models.JSONField(blank=True, default=dict)),
                ('note', models.TextField(blank=True)),
                ('is_current', models.BooleanField(default=False, help_text="The project's policy that samples what is ranked next.")),
                ('is_retired', models.BooleanField(default=False)),
                ('parent', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='labeling.model')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='models', to='labeling.project')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.UniqueConstraint(fields=('project', 'name'), name='model_unique_name'), models.UniqueConstraint(condition=models.Q(('is_current', True)), fields=('project',), name='model_one_current_policy'), models.CheckConstraint(condition=models.Q(('kind__in', ['policy', 'reward', 'external'])), name='model_kind_known'), models.CheckConstraint(condition=models.Q(('is_current', False), models.Q(('is_retired', False), ('kind', 'policy')), _connector='OR'), name='model_current_is_a_policy'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'external'), ('storage_key', '')), models.Q(models.Q(('kind', 'external'), _negated=True), models.Q(('storage_key', ''), _negated=True)), _connector='OR'), name='model_with_weights_has_files')],
            },
        ),
        migrations.CreateModel(
            name='ModelEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(choices=[('registered', 'Registered'), ('promoted', 'Made the current policy'), ('retired', 'Retired'), ('restored', 'Brought back')], max_length=10)),
                ('actor', models.CharField(max_length=120)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='labeling.model')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('action__in', ['registered', 'promoted', 'retired', 'restored'])), name='model_event_known')],
            },
        ),
        migrations.CreateModel(
            name='RankingVoid',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(max_length=300)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('voided_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('stage', models.CharField(choices=[('sft', 'SFT'), ('reward', 'Reward model'), ('ppo', 'PPO'), ('generate', 'Generate'), ('evaluate', 'Evaluate'), ('score', 'Score responses'), ('curve', 'Learning curve'), ('fetch', 'Import a model'), ('talk', 'Talk')], max_length=8)),
                ('name', models.CharField(max_length=120)),
                ('preset', models.CharField(blank=True, max_length=40)),
                ('config', models.JSONField(default=dict, help_text="The stage's config without the paths of its inputs.")),
                ('note', models.TextField(blank=True)),
                ('tags', models.JSONField(blank=True, default=list)),
                ('idempotency_key', models.CharField(max_length=64)),
                ('max_attempts', models.PositiveSmallIntegerField(default=3)),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('queued', 'Queued'), ('running', 'Running'), ('cancelling', 'Cancelling'), ('succeeded', 'Succeeded'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='draft', max_length=10)),
                ('owner', models.CharField(blank=True, help_text='The worker that has it.', max_length=120)),
                ('fence', models.PositiveBigIntegerField(default=0, help_text='Grows with each claim; a write with an older one is void.')),
                ('attempt', models.PositiveSmallIntegerField(default=0)),
                ('queued_at', models.DateTimeField(blank=True, null=True)),
                ('rung_at', models.DateTimeField(blank=True, help_text='When the broker was last told.', null=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('heartbeat_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('phase', models.CharField(blank=True, max_length=40)),
                ('step', models.PositiveIntegerField(default=0)),
                ('num_steps', models.PositiveIntegerField(blank=True, null=True)),
                ('eta_seconds', models.FloatField(blank=True, null=True)),
                ('failure_kind', models.CharField(blank=True, choices=[('failed', 'The stage said so'), ('crashed', 'It did not get to say so')], max_length=8)),
                ('error', models.TextField(blank=True)),
                ('result', models.JSONField(blank=True, default=dict, help_text="The stage's report, in short.")),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='labeling.project')),
                ('checkpoint', models.JSONField(blank=True, default=dict, help_text='Files of the run directory that another machine can go on from.')),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(condition=models.Q(('state', 'queued')), fields=['queued_at'], name='run_waiting'), models.Index(condition=models.Q(('state__in', ['running', 'cancelling'])), fields=['lease_until'], name='run_leased')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('lease_until__isnull', True), ('owner', ''), ('queued_at__isnull', True), ('state', 'draft')), models.Q(('finished_at__isnull', True), ('lease_until__isnull', True), ('owner', ''), ('queued_at__isnull', False), ('state', 'queued')), models.Q(('lease_until__isnull', False), ('started_at__isnull', False), ('state__in', ['running', 'cancelling']), ('finished_at__isnull', True), models.Q(('owner', ''), _negated=True)), models.Q(('finished_at__isnull', False), ('lease_until__isnull', True), ('state__in', ['succeeded', 'failed', 'cancelled'])), _connector='OR'), name='run_state_and_times_agree'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'failed'), models.Q(('failure_kind', ''), _negated=True)), models.Q(models.Q(('state', 'failed'), _negated=True), ('failure_kind', '')), _connector='OR'), name='run_failed_says_how'), models.CheckConstraint(condition=models.Q(('attempt__lte', models.F('max_attempts'))), name='run_attempts_bounded'), models.UniqueConstraint(condition=models.Q(('state__in', ['draft', 'queued', 'running', 'cancelling'])), fields=('project', 'idempotency_key'), name='run_one_live_per_key'), models.CheckConstraint(condition=models.Q(('stage__in', ['sft', 'reward', 'ppo', 'generate', 'evaluate', 'score', 'curve', 'fetch', 'talk'])), name='run_stage_known')],
            },
        ),
        migrations.CreateModel(
            name='Round',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('number', models.PositiveIntegerField()),
                ('preset', models.CharField(default='tiny-cpu', max_length=40)),
                ('responses_per_prompt', models.PositiveSmallIntegerField(default=4)),
                ('is_automatic', models.BooleanField(default=True)),
                ('state', models.CharField(choices=[('running', 'Running'), ('waiting', 'Waiting for you'), ('done', 'Done'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='running', max_length=9)),
                ('step', models.CharField(choices=[('snapshots', 'Freeze the data'), ('sft', 'Train SFT'), ('reward', 'Train the reward model'), ('ppo', 'Train PPO'), ('generate', 'Sample responses'), ('tasks', 'Make ranking tasks')], default='snapshots', max_length=9)),
                ('num_tasks', models.PositiveIntegerField(default=0)),
                ('error', models.TextField(blank=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('policy_before', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.model')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rounds', to='labeling.project')),
                ('generate_run', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.run')),
                ('ppo_run', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.run')),
                ('reward_run', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.run')),
                ('sft_run', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.run')),
                ('prompts_snapshot', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.snapshot')),
                ('reward_snapshot', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.snapshot')),
                ('sft_snapshot', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.snapshot')),
                ('num_evaluation_prompts', models.PositiveIntegerField(default=0, help_text='Held-out prompts on which people compare the new policy with the one before; 0: not.')),
            ],
            options={
                'ordering': ['-number'],
                'constraints': [models.UniqueConstraint(fields=('project', 'number'), name='round_unique_number'), models.UniqueConstraint(condition=models.Q(('state__in', ['running', 'waiting'])), fields=('project',), name='round_one_live_per_project'), models.CheckConstraint(condition=models.Q(('state__in', ['running', 'waiting', 'done', 'failed', 'cancelled'])), name='round_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('state__in', ['running', 'waiting'])), models.Q(('finished_at__isnull', False), ('state__in', ['done', 'failed', 'cancelled'])), _connector='OR'), name='round_state_and_time_agree'), models.CheckConstraint(condition=models.Q(('responses_per_prompt__gte', 2), ('responses_per_prompt__lte', 9)), name='round_responses_2_to_9')],
            },
        ),
        migrations.CreateModel(
            name='Response',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('sample_index', models.PositiveIntegerField(default=0)),
                ('text', models.TextField(blank=True)),
                ('finish_reason', models.CharField(blank=True, max_length=20)),
                ('names_itself', models.BooleanField(default=False, help_text='The text seems to name its own model; a manager should look before it is ranked.')),
                ('num_chars', models.PositiveIntegerField(editable=False)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='responses', to='labeling.model')),
                ('prompt', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='responses', to='labeling.prompt')),
                ('run', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='responses', to='labeling.run')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('prompt', 'model', 'sample_index'), name='response_one_per_sample'), models.CheckConstraint(condition=models.Q(('num_chars__gte', 0)), name='response_num_chars_positive')],
            },
        ),
        migrations.CreateModel(
            name='RunEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('from_state', models.CharField(blank=True, max_length=10)),
                ('to_state', models.CharField(max_length=10)),
                ('fence', models.PositiveBigIntegerField(default=0)),
                ('actor', models.CharField(max_length=120)),
                ('message', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='labeling.run')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='RunLog',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='logs', to='labeling.run')),
                ('end', models.PositiveBigIntegerField(default=0, help_text='Where the piece ends in the log file, in bytes.')),
                ('first_line', models.PositiveIntegerField(default=1, help_text='Number of the line that the piece begins with.')),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(fields=['run', 'id'], name='run_log_stream')],
            },
        ),
        migrations.CreateModel(
            name='RunMetric',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('step', models.PositiveIntegerField()),
                ('phase', models.CharField(blank=True, max_length=40)),
                ('time', models.FloatField(help_text="Seconds since the epoch, by the worker's clock.")),
                ('values', models.JSONField()),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='metrics', to='labeling.run')),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(fields=['run', 'id'], name='run_metric_stream')],
            },
        ),
        migrations.CreateModel(
            name='RunInput',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40)),
                ('model', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='run_inputs', to='labeling.model')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='inputs', to='labeling.run')),
                ('snapshot', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='run_inputs', to='labeling.snapshot')),
                ('folder', models.CharField(blank=True, help_text='Below the folder that models are imported from.', max_length=255)),
                ('upload', models.CharField(blank=True, help_text='Where the archive lies in storage.', max_length=255)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('run', 'name'), name='run_input_once'), models.CheckConstraint(condition=models.Q(models.Q(('folder', ''), ('model__isnull', True), ('snapshot__isnull', False), ('upload', '')), models.Q(('folder', ''), ('model__isnull', False), ('snapshot__isnull', True), ('upload', '')), models.Q(('folder', ''), ('model__isnull', True), ('snapshot__isnull', True), models.Q(('upload', ''), _negated=True)), models.Q(('model__isnull', True), ('snapshot__isnull', True), ('upload', ''), models.Q(('folder', ''), _negated=True)), _connector='OR'), name='run_input_is_one_thing')],
            },
        ),
        migrations.CreateModel(
            name='RenderedResponse',
            fields=[
                ('response', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='rendered', serialize=False, to='labeling.response')),
                ('version', models.CharField(help_text='Of the renderer; what another one made is not shown.', max_length=16)),
                ('text_md5', models.CharField(help_text='Of the text that it was made of.', max_length=32)),
                ('html', models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name='RunUsage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('time', models.FloatField(help_text="Seconds since the epoch, by the worker's clock.")),
                ('values', models.JSONField()),
                ('end', models.PositiveBigIntegerField(default=0, help_text='Where the line ends in the usage file, in bytes.')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='usage', to='labeling.run')),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(fields=['run', 'id'], name='run_usage_stream')],
            },
        ),
        migrations.CreateModel(
            name='RunFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40)),
                ('file', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='run_files', to='labeling.evaluationfile')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='files', to='labeling.run')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('run', 'name'), name='run_file_once')],
            },
        ),
        migrations.CreateModel(
            name='PlaygroundSession',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('num_runs', models.PositiveIntegerField(default=0, help_text='How often its models were woken.')),
                ('first_model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.model')),
                ('opened_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='playground_sessions', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='playground_sessions', to='labeling.project')),
                ('reward_model', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.model')),
                ('run', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='playground_session', to='labeling.run')),
                ('second_model', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.model')),
            ],
            options={
                'indexes': [models.Index(fields=['project', 'opened_by', '-created_at'], name='playground_newest')],
                'constraints': [models.CheckConstraint(condition=models.Q(('second_model__isnull', True), models.Q(('second_model', models.F('first_model')), _negated=True), _connector='OR'), name='playground_models_differ')],
            },
        ),
        migrations.CreateModel(
            name='Evaluation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=120)),
                ('kind', models.CharField(choices=[('baseline', 'Each model against the baseline'), ('pairs', 'Every two models'), ('ranking', 'All models ranked at once')], default='baseline', max_length=8)),
                ('splits', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=5), help_text='Held-out ones, of which prompts are drawn.', size=None)),
                ('num_prompts', models.PositiveIntegerField(help_text='How many prompts are wanted; grows when more are asked for.')),
                ('num_wanted', models.PositiveSmallIntegerField(default=1, help_text='Judgements per task.')),
                ('priority', models.SmallIntegerField(default=0)),
                ('rate_first', models.BooleanField(default=False)),
                ('seed', models.PositiveIntegerField(default=1, help_text='Of the lot that draws prompts, sides and samples.')),
                ('preset', models.CharField(default='tiny-cpu', max_length=40)),
                ('temperature', models.FloatField(default=1.0)),
                ('top_p', models.FloatField(default=1.0)),
                ('max_prompt_tokens', models.PositiveIntegerField()),
                ('max_new_tokens', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='running', max_length=9)),
                ('step', models.CharField(choices=[('prompts', 'Draw prompts'), ('generate', 'Sample responses'), ('tasks', 'Make tasks'), ('judge', 'People judge')], default='prompts', max_length=8)),
                ('wave', models.PositiveSmallIntegerField(default=1, help_text='Each “more” draws prompts once more.')),
                ('error', models.TextField(blank=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='evaluations', to='labeling.project')),
                ('round', models.OneToOneField(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='evaluation', to='labeling.round')),
                ('snapshot', models.ForeignKey(blank=True, help_text="Of this wave's prompts.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.snapshot')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.UniqueConstraint(fields=('project', 'name'), name='evaluation_unique_name'), models.CheckConstraint(condition=models.Q(('kind__in', ['baseline', 'pairs', 'ranking'])), name='evaluation_kind_known'), models.CheckConstraint(condition=models.Q(('step__in', ['prompts', 'generate', 'tasks', 'judge'])), name='evaluation_step_known'), models.CheckConstraint(condition=models.Q(('state__in', ['running', 'failed', 'cancelled']), models.Q(('state', 'done'), ('step', 'judge')), _connector='OR'), name='evaluation_done_after_judging'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('state', 'running')), models.Q(('finished_at__isnull', False), ('state__in', ['done', 'failed', 'cancelled'])), _connector='OR'), name='evaluation_state_and_time_agree'), models.CheckConstraint(condition=models.Q(('splits__contained_by', ['valid', 'test']), ('splits__len__gte', 1)), name='evaluation_prompts_are_held_out'), models.CheckConstraint(condition=models.Q(('num_prompts__gte', 1), ('num_wanted__gte', 1), ('num_wanted__lte', 50), ('wave__gte', 1)), name='evaluation_wants_something'), models.CheckConstraint(condition=models.Q(('max_prompt_tokens__gte', 1), ('temperature__gte', 0), ('top_p__gt', 0), ('top_p__lte', 1), ('max_new_tokens__gte', 1)), name='evaluation_can_sample')],
            },
        ),
        migrations.CreateModel(
            name='Task',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('kind', models.CharField(choices=[('rank', 'Rank responses'), ('compare', 'Compare two'), ('demonstrate', 'Write a demonstration'), ('write_prompt', 'Write a prompt'), ('annotate', 'Annotate a prompt')], max_length=12)),
                ('num_responses', models.PositiveSmallIntegerField(default=0)),
                ('num_wanted', models.PositiveSmallIntegerField(default=1, help_text='Judgements wanted: one slot each.')),
                ('priority', models.SmallIntegerField(default=0, help_text='Higher is handed out first.')),
                ('rate_first', models.BooleanField(default=False)),
                ('state', models.CharField(choices=[('open', 'Open'), ('closed', 'Closed')], default='open', max_length=6)),
                ('is_imported', models.BooleanField(default=False, help_text='Judged before it came here.')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tasks', to='labeling.project')),
                ('prompt', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tasks', to='labeling.prompt')),
                ('round', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='tasks', to='labeling.round')),
                ('purpose', models.CharField(choices=[('work', 'Work'), ('qualification', 'Qualification'), ('gold', 'Known answer'), ('repeat', 'Hidden repeat')], default='work', max_length=13)),
                ('repeats', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='repeated_by', to='labeling.task')),
                ('score', models.FloatField(blank=True, help_text='By which it was chosen; NULL: in order.', null=True)),
                ('stream', models.CharField(choices=[('order', 'In order'), ('active', 'Chosen'), ('random', 'Random control')], default='order', max_length=6)),
                ('brief', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tasks', to='labeling.promptbrief')),
                ('qualification_set', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tasks', to='labeling.qualificationset')),
                ('evaluation', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tasks', to='labeling.evaluation')),
            ],
            options={
                'indexes': [models.Index(fields=['project', '-created_at'], name='task_newest'), models.Index(condition=models.Q(('purpose', 'work'), _negated=True), fields=['project', 'purpose', 'kind'], name='task_not_work'), models.Index(condition=models.Q(('evaluation__isnull', False)), fields=['evaluation'], name='task_of_evaluation')],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['rank', 'compare', 'demonstrate', 'write_prompt', 'annotate'])), name='task_kind_known'), models.CheckConstraint(condition=models.Q(('state__in', ['open', 'closed'])), name='task_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'rank'), ('num_responses__gte', 2), ('num_responses__lte', 32)), models.Q(('kind', 'compare'), ('num_responses', 2)), models.Q(('kind__in', ['demonstrate', 'write_prompt', 'annotate']), ('num_responses', 0)), _connector='OR'), name='task_num_responses_fits_kind'), models.CheckConstraint(condition=models.Q(('kind', 'write_prompt'), ('prompt__isnull', False), _connector='OR'), name='task_has_a_prompt_unless_it_asks_for_one'), models.CheckConstraint(condition=models.Q(('num_wanted__gte', 1)), name='task_wants_at_least_one'), models.CheckConstraint(condition=models.Q(('is_imported', True), ('num_responses__lte', 9), _connector='OR'), name='task_for_people_up_to_9'), models.CheckConstraint(condition=models.Q(models.Q(('purpose', 'work'), ('qualification_set__isnull', True), ('repeats__isnull', True)), models.Q(('is_imported', False), ('purpose', 'gold'), ('qualification_set__isnull', True), ('repeats__isnull', True)), models.Q(('is_imported', False), ('purpose', 'qualification'), ('qualification_set__isnull', False), ('repeats__isnull', True)), models.Q(('is_imported', False), ('purpose', 'repeat'), ('qualification_set__isnull', True), ('repeats__isnull', False)), _connector='OR'), name='task_purpose_says_what_it_repeats_or_qualifies'), models.CheckConstraint(condition=models.Q(models.Q(('score__isnull', True), ('stream', 'order')), ('stream__in', ['active', 'random']), _connector='OR'), name='task_stream_and_score_agree'), models.CheckConstraint(condition=models.Q(models.Q(('brief__isnull', False), ('kind', 'write_prompt')), models.Q(models.Q(('kind', 'write_prompt'), _negated=True), ('brief__isnull', True)), _connector='OR'), name='task_brief_asks_for_a_prompt'), models.CheckConstraint(condition=models.Q(('evaluation__isnull', True), models.Q(('is_imported', False), ('kind__in', ['rank', 'compare']), ('purpose', 'work')), _connector='OR'), name='task_of_an_evaluation_is_work_of_ranking')],
            },
        ),
        migrations.CreateModel(
            name='Slot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('number', models.PositiveSmallIntegerField()),
                ('kind', models.CharField(choices=[('rank', 'Rank responses'), ('compare', 'Compare two'), ('demonstrate', 'Write a demonstration'), ('write_prompt', 'Write a prompt'), ('annotate', 'Annotate a prompt')], max_length=12)),
                ('priority', models.SmallIntegerField(default=0)),
                ('state', models.CharField(choices=[('open', 'Open'), ('held', 'Held'), ('done', 'Done')], default='open', max_length=4)),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('claimed_at', models.DateTimeField(blank=True, null=True)),
                ('done_at', models.DateTimeField(blank=True, null=True)),
                ('holder', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='slots', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='slots', to='labeling.project')),
                ('task', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='slots', to='labeling.task')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state', 'held')), fields=['lease_until'], name='slot_held'), models.Index(condition=models.Q(('state', 'held')), fields=['holder', 'project'], name='slot_held_by'), models.Index(models.F('project'), models.F('kind'), models.OrderBy(models.F('priority'), descending=True), models.F('task'), models.F('number'), condition=models.Q(('state', 'open')), name='slot_open_by_kind')],
                'constraints': [models.UniqueConstraint(fields=('task', 'number'), name='slot_one_per_number'), models.UniqueConstraint(condition=models.Q(('state__in', ['held', 'done'])), fields=('task', 'holder'), name='slot_one_per_task_and_holder'), models.CheckConstraint(condition=models.Q(('state__in', ['open', 'held', 'done'])), name='slot_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('done_at__isnull', True), ('holder__isnull', True), ('lease_until__isnull', True), ('state', 'open')), models.Q(('done_at__isnull', True), ('holder__isnull', False), ('lease_until__isnull', False), ('state', 'held')), models.Q(('done_at__isnull', False), ('holder__isnull', False), ('lease_until__isnull', True), ('state', 'done')), _connector='OR'), name='slot_state_and_holder_agree')],
            },
        ),
        migrations.CreateModel(
            name='Ranking',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('idempotency_key', models.CharField(max_length=64)),
                ('revision', models.PositiveIntegerField(default=1)),
                ('note', models.TextField(blank=True)),
                ('active_seconds', models.FloatField(blank=True, help_text='Time the page was in sight and in use.', null=True)),
                ('client_time', models.DateTimeField(blank=True, help_text="The labeler's clock at submission.", null=True)),
                ('outcome', models.CharField(choices=[('ranked', 'Ranked'), ('none_acceptable', 'None is acceptable')], default='ranked', max_length=16)),
                ('displayed', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), size=None)),
                ('ranks', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), blank=True, default=list, size=None)),
                ('ratings', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(null=True), blank=True, default=list, size=None)),
                ('flags', models.JSONField(blank=True, default=dict, help_text='{"0": ["Hallucination"]}: flags by position.')),
                ('notes', models.JSONField(blank=True, default=dict, help_text='{"0": "…"}: notes by position.')),
                ('batch', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='%(class)ss', to='labeling.importbatch')),
                ('guideline', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.guideline')),
                ('labeler', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='%(class)ss', to=settings.AUTH_USER_MODEL)),
                ('replaces', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaced_by', to='labeling.ranking')),
                ('slot', models.ForeignKey(blank=True, db_index=False, help_text='NULL: surplus', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rankings', to='labeling.slot')),
                ('task', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='rankings', to='labeling.task')),
            ],
            options={
                'indexes': [models.Index(fields=['labeler', '-created_at'], name='ranking_by_labeler')],
                'constraints': [models.UniqueConstraint(fields=('slot', 'revision'), name='ranking_one_per_slot'), models.UniqueConstraint(fields=('task', 'labeler', 'revision'), name='ranking_one_per_task_and_labeler'), models.CheckConstraint(condition=models.Q(models.Q(('replaces__isnull', True), ('revision', 1)), models.Q(('replaces__isnull', False), ('revision__gte', 2)), _connector='OR'), name='ranking_revision_and_replaces_agree'), models.CheckConstraint(condition=models.Q(models.Q(('outcome', 'ranked'), ('ranks__len__gte', 2)), ('outcome', 'none_acceptable'), _connector='OR'), name='ranking_outcome_and_ranks_agree'), models.CheckConstraint(condition=models.Q(('displayed__len__gte', 2)), name='ranking_keeps_displayed_order'), models.CheckConstraint(condition=models.Q(('active_seconds__isnull', True), ('active_seconds__gte', 0), _connector='OR'), name='ranking_time_not_negative'), models.UniqueConstraint(fields=('idempotency_key',), name='ranking_one_per_key')],
            },
        ),
        migrations.CreateModel(
            name='Demonstration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('idempotency_key', models.CharField(max_length=64)),
                ('revision', models.PositiveIntegerField(default=1)),
                ('note', models.TextField(blank=True)),
                ('active_seconds', models.FloatField(blank=True, help_text='Time the page was in sight and in use.', null=True)),
                ('client_time', models.DateTimeField(blank=True, help_text="The labeler's clock at submission.", null=True)),
                ('text', models.TextField()),
                ('labeler', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='%(class)ss', to=settings.AUTH_USER_MODEL)),
                ('replaces', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaced_by', to='labeling.demonstration')),
                ('guideline', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.guideline')),
                ('batch', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='%(class)ss', to='labeling.importbatch')),
                ('prompt', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='demonstrations', to='labeling.prompt')),
                ('slot', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='demonstrations', to='labeling.slot')),
                ('task', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='demonstrations', to='labeling.task')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('slot', 'revision'), name='demonstration_one_per_slot'), models.UniqueConstraint(fields=('prompt', 'labeler', 'revision'), name='demonstration_one_per_prompt_and_labeler'), models.CheckConstraint(condition=models.Q(models.Q(('replaces__isnull', True), ('revision', 1)), models.Q(('replaces__isnull', False), ('revision__gte', 2)), _connector='OR'), name='demonstration_revision_and_replaces_agree'), models.CheckConstraint(condition=models.Q(('text', ''), _negated=True), name='demonstration_not_empty'), models.UniqueConstraint(fields=('idempotency_key',), name='demonstration_one_per_key')],
            },
        ),
        migrations.CreateModel(
            name='SnapshotDemonstration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('demonstration', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='snapshot_demonstrations', to='labeling.demonstration')),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='snapshot_demonstrations', to='labeling.snapshot')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('snapshot', 'demonstration'), name='snapshot_demonstration_once')],
            },
        ),
        migrations.CreateModel(
            name='SnapshotRanking',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('ranking', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='snapshot_rankings', to='labeling.ranking')),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='snapshot_rankings', to='labeling.snapshot')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('snapshot', 'ranking'), name='snapshot_ranking_once')],
            },
        ),
        migrations.CreateModel(
            name='Skip',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(choices=[('not_understood', "I don't understand the prompt"), ('not_my_language', 'Not in a language I know'), ('needs_expert', "Needs knowledge I don't have"), ('distressing', 'Distressing content'), ('broken', 'Something is broken'), ('other', 'Other')], max_length=16)),
                ('note', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('labeler', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='skips', to=settings.AUTH_USER_MODEL)),
                ('task', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='skips', to='labeling.task')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('task', 'labeler'), name='skip_one_per_person'), models.CheckConstraint(condition=models.Q(('reason__in', ['not_understood', 'not_my_language', 'needs_expert', 'distressing', 'broken', 'other'])), name='skip_reason_known')],
            },
        ),
        migrations.CreateModel(
            name='Draft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('payload', models.JSONField(default=dict)),
                ('version', models.PositiveIntegerField(default=1, help_text='Grows with each save; an older one never overwrites a newer.')),
                ('saved_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('labeler', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='drafts', to=settings.AUTH_USER_MODEL)),
                ('task', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='drafts', to='labeling.task')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('task', 'labeler'), name='draft_one_per_person')],
            },
        ),
        migrations.CreateModel(
            name='TaskResponse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('response', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='task_responses', to='labeling.response')),
                ('task', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='task_responses', to='labeling.task')),
            ],
            options={
                'ordering': ['position'],
                'constraints': [models.UniqueConstraint(fields=('task', 'response'), name='task_response_once'), models.UniqueConstraint(fields=('task', 'position'), name='task_position_once'), models.CheckConstraint(condition=models.Q(('position__lt', 32)), name='task_position_below_32')],
            },
        ),
        migrations.CreateModel(
            name='DemonstrationGrade',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('grade', models.PositiveSmallIntegerField()),
                ('note', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('demonstration', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='grade', to='labeling.demonstration')),
                ('graded_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('grade__gte', 1), ('grade__lte', 7)), name='grade_1_to_7')],
            },
        ),
        migrations.CreateModel(
            name='DemonstrationVoid',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(max_length=300)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('demonstration', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='void', to='labeling.demonstration')),
                ('voided_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='PromptAnnotation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('idempotency_key', models.CharField(max_length=64)),
                ('revision', models.PositiveIntegerField(default=1)),
                ('note', models.TextField(blank=True)),
                ('active_seconds', models.FloatField(blank=True, help_text='Time the page was in sight and in use.', null=True)),
                ('client_time', models.DateTimeField(blank=True, help_text="The labeler's clock at submission.", null=True)),
                ('asked', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), help_text='The labels as they were offered.', size=None)),
                ('labels', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, help_text='Those that hold.', size=None)),
                ('batch', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='%(class)ss', to='labeling.importbatch')),
                ('guideline', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.guideline')),
                ('labeler', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='%(class)ss', to=settings.AUTH_USER_MODEL)),
                ('prompt', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='annotations', to='labeling.prompt')),
                ('replaces', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaced_by', to='labeling.promptannotation')),
                ('slot', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='annotations', to='labeling.slot')),
                ('task', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='annotations', to='labeling.task')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('slot', 'revision'), name='annotation_one_per_slot'), models.UniqueConstraint(fields=('task', 'labeler', 'revision'), name='annotation_one_per_task_and_labeler'), models.CheckConstraint(condition=models.Q(models.Q(('replaces__isnull', True), ('revision', 1)), models.Q(('replaces__isnull', False), ('revision__gte', 2)), _connector='OR'), name='annotation_revision_and_replaces_agree'), models.CheckConstraint(condition=models.Q(('labels__contained_by', models.F('asked'))), name='annotation_labels_were_asked'), models.UniqueConstraint(fields=('idempotency_key',), name='annotation_one_per_key')],
            },
        ),
        migrations.CreateModel(
            name='Reference',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ranks', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), help_text='By position, as in a ranking.', size=None)),
                ('flags', models.JSONField(blank=True, default=dict, help_text='{"0": ["Hallucination"]}: flags by position.')),
                ('note', models.TextField(blank=True, help_text='Why, for who made it and for who failed it.')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('task', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='reference', to='labeling.task')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('ranks__len__gte', 2)), name='reference_ranks_two_or_more')],
            },
        ),
        migrations.CreateModel(
            name='Review',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('reason', models.CharField(choices=[('low_agreement', 'Labelers disagree'), ('model_disagrees', 'The reward model disagrees'), ('asked', 'Asked for')], max_length=15)),
                ('score', models.FloatField(blank=True, help_text='Agreement (or margin) by which it came; low is worse.', null=True)),
                ('state', models.CharField(choices=[('open', 'Open'), ('held', 'Being reviewed'), ('done', 'Decided'), ('dismissed', 'Not needed')], default='open', max_length=9)),
                ('held_until', models.DateTimeField(blank=True, null=True)),
                ('note', models.TextField(blank=True)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('opened_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reviews', to='labeling.project')),
                ('ranking', models.OneToOneField(blank=True, help_text='The decision.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='adjudicates', to='labeling.ranking')),
                ('reviewer', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to=settings.AUTH_USER_MODEL)),
                ('task', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='review', to='labeling.task')),
            ],
            options={
                'indexes': [models.Index(fields=['project', 'state', 'score'], name='review_worst_first')],
                'constraints': [models.CheckConstraint(condition=models.Q(('reason__in', ['low_agreement', 'model_disagrees', 'asked'])), name='review_reason_known'), models.CheckConstraint(condition=models.Q(models.Q(('held_until__isnull', True), ('ranking__isnull', True), ('reviewer__isnull', True), ('state', 'open')), models.Q(('held_until__isnull', False), ('ranking__isnull', True), ('reviewer__isnull', False), ('state', 'held')), models.Q(('decided_at__isnull', False), ('held_until__isnull', True), ('ranking__isnull', False), ('reviewer__isnull', False), ('state', 'done')), models.Q(('held_until__isnull', True), ('ranking__isnull', True), ('reviewer__isnull', False), ('state', 'dismissed')), _connector='OR'), name='review_state_and_decision_agree')],
            },
        ),
        migrations.CreateModel(
            name='WrittenPrompt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('idempotency_key', models.CharField(max_length=64)),
                ('revision', models.PositiveIntegerField(default=1)),
                ('note', models.TextField(blank=True)),
                ('active_seconds', models.FloatField(blank=True, help_text='Time the page was in sight and in use.', null=True)),
                ('client_time', models.DateTimeField(blank=True, help_text="The labeler's clock at submission.", null=True)),
                ('instruction', models.TextField(help_text='The prompt itself, or the instruction of a few-shot one.')),
                ('pairs', models.JSONField(blank=True, default=list, help_text='Few-shot: [{"query": "…", "response": "…"}, …]')),
                ('query', models.TextField(blank=True, help_text='Few-shot: the last query, left for the model to answer.')),
                ('batch', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='%(class)ss', to='labeling.importbatch')),
                ('guideline', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.guideline')),
                ('labeler', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='%(class)ss', to=settings.AUTH_USER_MODEL)),
                ('prompt', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='written', to='labeling.prompt')),
                ('replaces', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaced_by', to='labeling.writtenprompt')),
                ('slot', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='written_prompts', to='labeling.slot')),
                ('task', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='written_prompts', to='labeling.task')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('slot', 'revision'), name='writtenprompt_one_per_slot'), models.UniqueConstraint(fields=('task', 'labeler', 'revision'), name='writtenprompt_one_per_task_and_labeler'), models.CheckConstraint(condition=models.Q(models.Q(('replaces__isnull', True), ('revision', 1)), models.Q(('replaces__isnull', False), ('revision__gte', 2)), _connector='OR'), name='writtenprompt_revision_and_replaces_agree'), models.CheckConstraint(condition=models.Q(('instruction', ''), _negated=True), name='writtenprompt_not_empty'), models.UniqueConstraint(fields=('idempotency_key',), name='writtenprompt_one_per_key')],
            },
        ),
        migrations.CreateModel(
            name='PlaygroundTurn',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('number', models.PositiveIntegerField()),
                ('text', models.TextField()),
                ('goes_on_from', models.CharField(choices=[('own', 'Each from its own answer'), ('first', 'Both from A'), ('second', 'Both from B')], default='own', max_length=6)),
                ('temperature', models.FloatField(default=1.0, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(10.0)])),
                ('top_p', models.FloatField(default=1.0, validators=[django.core.validators.MinValueValidator(0.01), django.core.validators.MaxValueValidator(1.0)])),
                ('max_new_tokens', models.PositiveIntegerField(default=256, validators=[django.core.validators.MinValueValidator(4), django.core.validators.MaxValueValidator(32768)])),
                ('seed', models.PositiveIntegerField(default=0, validators=[django.core.validators.MaxValueValidator(2147483647)])),
                ('idempotency_key', models.CharField(max_length=64)),
                ('session', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='turns', to='labeling.playgroundsession')),
                ('task', models.ForeignKey(blank=True, help_text='Made of its answers.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='labeling.task')),
            ],
            options={
                'ordering': ['number'],
                'constraints': [models.UniqueConstraint(fields=('session', 'number'), name='playground_turn_one_per_number'), models.UniqueConstraint(fields=('session', 'idempotency_key'), name='playground_turn_one_per_key'), models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='playground_turn_from_1'), models.CheckConstraint(condition=models.Q(('text', ''), _negated=True), name='playground_turn_says_something'), models.CheckConstraint(condition=models.Q(('goes_on_from__in', ['own', 'first', 'second'])), name='playground_turn_goes_on_known'), models.CheckConstraint(condition=models.Q(('temperature__gte', 0), ('temperature__lte', 10), ('top_p__gt', 0), ('top_p__lte', 1), ('max_new_tokens__gte', 1), ('max_new_tokens__lte', 32768)), name='playground_turn_sampling_in_range')],
            },
        ),
        migrations.CreateModel(
            name='PlaygroundReply',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('side', models.PositiveSmallIntegerField(help_text='0: the first model, 1: the second.')),
                ('sample_index', models.PositiveSmallIntegerField(default=0)),
                ('num_asked', models.PositiveIntegerField(default=1, help_text='Grows when it is tried again.')),
                ('is_to_stop', models.BooleanField(default=False)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('answering', 'Answering'), ('done', 'Done'), ('stopped', 'Stopped'), ('failed', 'Failed')], default='waiting', max_length=9)),
                ('text', models.TextField(blank=True)),
                ('num_tokens', models.PositiveIntegerField(default=0)),
                ('seconds', models.FloatField(default=0.0)),
                ('finish_reason', models.CharField(blank=True, max_length=10)),
                ('reward', models.FloatField(blank=True, null=True)),
                ('note', models.CharField(blank=True, help_text='Why there is no reward.', max_length=300)),
                ('error', models.TextField(blank=True)),
                ('demonstration', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='labeling.demonstration')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.model')),
                ('response', models.ForeignKey(blank=True, help_text='What it became when it was sent to be ranked.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='playground_replies', to='labeling.response')),
                ('run', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='labeling.run')),
                ('turn', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='replies', to='labeling.playgroundturn')),
            ],
            options={
                'ordering': ['side', 'sample_index'],
                'indexes': [models.Index(condition=models.Q(('state__in', ['waiting', 'answering'])), fields=['turn'], name='playground_reply_open')],
                'constraints': [models.UniqueConstraint(fields=('turn', 'side', 'sample_index'), name='playground_reply_one_per_sample'), models.CheckConstraint(condition=models.Q(('side__in', [0, 1])), name='playground_reply_side_known'), models.CheckConstraint(condition=models.Q(('sample_index__lt', 9)), name='playground_reply_up_to_9'), models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'answering', 'done', 'stopped', 'failed'])), name='playground_reply_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'failed'), models.Q(('error', ''), _negated=True)), models.Q(models.Q(('state', 'failed'), _negated=True), ('error', '')), _connector='OR'), name='playground_reply_failed_says_why'), models.CheckConstraint(condition=models.Q(models.Q(('finish_reason__in', ['stop', 'length']), ('state', 'done')), models.Q(models.Q(('state', 'done'), _negated=True), ('finish_reason', ''), ('reward__isnull', True)), _connector='OR'), name='playground_reply_done_says_how'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'waiting'), _negated=True), models.Q(('num_tokens', 0), ('text', '')), _connector='OR'), name='playground_reply_waiting_is_empty')],
            },
        ),
        migrations.CreateModel(
            name='EvaluationModel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('is_baseline', models.BooleanField(default=False)),
                ('evaluation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='entrants', to='labeling.evaluation')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='evaluations', to='labeling.model')),
            ],
            options={
                'ordering': ['position'],
                'constraints': [models.UniqueConstraint(fields=('evaluation', 'model'), name='evaluation_model_once'), models.UniqueConstraint(fields=('evaluation', 'position'), name='evaluation_model_position_once'), models.UniqueConstraint(condition=models.Q(('is_baseline', True)), fields=('evaluation',), name='evaluation_one_baseline'), models.CheckConstraint(condition=models.Q(('position__lt', 9)), name='evaluation_at_most_9_models')],
            },
        ),
        migrations.CreateModel(
            name='EvaluationPrompt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('wave', models.PositiveSmallIntegerField()),
                ('number', models.PositiveIntegerField(help_text='From 1, over all waves.')),
                ('evaluation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='prompts', to='labeling.evaluation')),
                ('prompt', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='evaluations', to='labeling.prompt')),
            ],
            options={
                'ordering': ['number'],
                'constraints': [models.UniqueConstraint(fields=('evaluation', 'prompt'), name='evaluation_prompt_once'), models.UniqueConstraint(fields=('evaluation', 'number'), name='evaluation_prompt_number_once')],
            },
        ),
        migrations.CreateModel(
            name='EvaluationItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField()),
                ('left_out', models.CharField(blank=True, choices=[('same', 'All say the same: a tie'), ('missing', 'A model has no response'), ('names', 'A response names its own model'), ('retired', 'The prompt is retired')], max_length=8)),
                ('task', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='evaluation_item', to='labeling.task')),
                ('prompt', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='items', to='labeling.evaluationprompt')),
            ],
            options={
                'ordering': ['prompt__number', 'number'],
                'constraints': [models.UniqueConstraint(fields=('prompt', 'number'), name='evaluation_item_once'), models.CheckConstraint(condition=models.Q(models.Q(('left_out', ''), ('task__isnull', False)), models.Q(('left_out__in', ['same', 'missing', 'names', 'retired']), ('task__isnull', True)), _connector='OR'), name='evaluation_item_is_asked_or_says_why_not')],
            },
        ),
        migrations.CreateModel(
            name='EvaluationRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('wave', models.PositiveSmallIntegerField()),
                ('entrant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='labeling.evaluationmodel')),
                ('run', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='for_evaluation', to='labeling.run')),
            ],
            options={
                'ordering': ['wave', 'entrant__position'],
                'constraints': [models.UniqueConstraint(fields=('entrant', 'wave'), name='evaluation_run_once')],
            },
        ),
        migrations.CreateModel(
            name='ResponseScore',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('score', models.FloatField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='response_scores', to='labeling.model')),
                ('response', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='scores', to='labeling.response')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='response_scores', to='labeling.run')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('response', 'model'), name='response_score_one_per_model'), models.CheckConstraint(condition=models.Q(('score__gte', -1e+30), ('score__lte', 1e+30)), name='response_score_is_a_number')],
            },
        ),
        migrations.AddField(
            model_name='Run',
            name='round',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='runs', to='labeling.round'),
        ),
        migrations.AddField(
            model_name='RankingVoid',
            name='ranking',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='void', to='labeling.ranking'),
        ),
        migrations.AddField(
            model_name='Model',
            name='run',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='model', to='labeling.run'),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.RunSQL(UNLOGGED, migrations.RunSQL.noop),
    ]
