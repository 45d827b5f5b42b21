"""The playground: conversations, their turns, and the answers of each model; and the stage that gives them."""

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0013_workers'),
    ]

    operations = [
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
            ],
            options={
                'ordering': ['side', 'sample_index'],
            },
        ),
        migrations.CreateModel(
            name='PlaygroundSession',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('num_runs', models.PositiveIntegerField(default=0, help_text='How often its models were woken.')),
            ],
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
            ],
            options={
                'ordering': ['number'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='run',
            name='run_stage_known',
        ),
        migrations.AlterField(
            model_name='run',
            name='stage',
            field=models.CharField(choices=[('sft', 'SFT'), ('reward', 'Reward model'), ('ppo', 'PPO'), ('generate', 'Generate'), ('evaluate', 'Evaluate'), ('fetch', 'Import a model'), ('talk', 'Talk')], max_length=8),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('stage__in', ['sft', 'reward', 'ppo', 'generate', 'evaluate', 'fetch', 'talk'])), name='run_stage_known'),
        ),
        migrations.AddField(
            model_name='playgroundreply',
            name='demonstration',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='labeling.demonstration'),
        ),
        migrations.AddField(
            model_name='playgroundreply',
            name='model',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.model'),
        ),
        migrations.AddField(
            model_name='playgroundreply',
            name='response',
            field=models.ForeignKey(blank=True, help_text='What it became when it was sent to be ranked.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='playground_replies', to='labeling.response'),
        ),
        migrations.AddField(
            model_name='playgroundreply',
            name='run',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='labeling.run'),
        ),
        migrations.AddField(
            model_name='playgroundsession',
            name='first_model',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.model'),
        ),
        migrations.AddField(
            model_name='playgroundsession',
            name='opened_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='playground_sessions', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='playgroundsession',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='playground_sessions', to='labeling.project'),
        ),
        migrations.AddField(
            model_name='playgroundsession',
            name='reward_model',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.model'),
        ),
        migrations.AddField(
            model_name='playgroundsession',
            name='run',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='playground_session', to='labeling.run'),
        ),
        migrations.AddField(
            model_name='playgroundsession',
            name='second_model',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.model'),
        ),
        migrations.AddField(
            model_name='playgroundturn',
            name='session',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='turns', to='labeling.playgroundsession'),
        ),
        migrations.AddField(
            model_name='playgroundturn',
            name='task',
            field=models.ForeignKey(blank=True, help_text='Made of its answers.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='labeling.task'),
        ),
        migrations.AddField(
            model_name='playgroundreply',
            name='turn',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='replies', to='labeling.playgroundturn'),
        ),
        migrations.AddIndex(
            model_name='playgroundsession',
            index=models.Index(fields=['project', 'opened_by', '-created_at'], name='playground_newest'),
        ),
        migrations.AddConstraint(
            model_name='playgroundsession',
            constraint=models.CheckConstraint(condition=models.Q(('second_model__isnull', True), models.Q(('second_model', models.F('first_model')), _negated=True), _connector='OR'), name='playground_models_differ'),
        ),
        migrations.AddConstraint(
            model_name='playgroundturn',
            constraint=models.UniqueConstraint(fields=('session', 'number'), name='playground_turn_one_per_number'),
        ),
        migrations.AddConstraint(
            model_name='playgroundturn',
            constraint=models.UniqueConstraint(fields=('session', 'idempotency_key'), name='playground_turn_one_per_key'),
        ),
        migrations.AddConstraint(
            model_name='playgroundturn',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='playground_turn_from_1'),
        ),
        migrations.AddConstraint(
            model_name='playgroundturn',
            constraint=models.CheckConstraint(condition=models.Q(('text', ''), _negated=True), name='playground_turn_says_something'),
        ),
        migrations.AddConstraint(
            model_name='playgroundturn',
            constraint=models.CheckConstraint(condition=models.Q(('goes_on_from__in', ['own', 'first', 'second'])), name='playground_turn_goes_on_known'),
        ),
        migrations.AddConstraint(
            model_name='playgroundturn',
            constraint=models.CheckConstraint(condition=models.Q(('temperature__gte', 0), ('temperature__lte', 10), ('top_p__gt', 0), ('top_p__lte', 1), ('max_new_tokens__gte', 1), ('max_new_tokens__lte', 32768)), name='playground_turn_sampling_in_range'),
        ),
        migrations.AddIndex(
            model_name='playgroundreply',
            index=models.Index(condition=models.Q(('state__in', ['waiting', 'answering'])), fields=['turn'], name='playground_reply_open'),
        ),
        migrations.AddConstraint(
            model_name='playgroundreply',
            constraint=models.UniqueConstraint(fields=('turn', 'side', 'sample_index'), name='playground_reply_one_per_sample'),
        ),
        migrations.AddConstraint(
            model_name='playgroundreply',
            constraint=models.CheckConstraint(condition=models.Q(('side__in', [0, 1])), name='playground_reply_side_known'),
        ),
        migrations.AddConstraint(
            model_name='playgroundreply',
            constraint=models.CheckConstraint(condition=models.Q(('sample_index__lt', 9)), name='playground_reply_up_to_9'),
        ),
        migrations.AddConstraint(
            model_name='playgroundreply',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'answering', 'done', 'stopped', 'failed'])), name='playground_reply_state_known'),
        ),
        migrations.AddConstraint(
            model_name='playgroundreply',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'failed'), models.Q(('error', ''), _negated=True)), models.Q(models.Q(('state', 'failed'), _negated=True), ('error', '')), _connector='OR'), name='playground_reply_failed_says_why'),
        ),
        migrations.AddConstraint(
            model_name='playgroundreply',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finish_reason__in', ['stop', 'length']), ('state', 'done')), models.Q(models.Q(('state', 'done'), _negated=True), ('finish_reason', ''), ('reward__isnull', True)), _connector='OR'), name='playground_reply_done_says_how'),
        ),
        migrations.AddConstraint(
            model_name='playgroundreply',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'waiting'), _negated=True), models.Q(('num_tokens', 0), ('text', '')), _connector='OR'), name='playground_reply_waiting_is_empty'),
        ),
    ]
