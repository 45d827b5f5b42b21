import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# Pieces kept from before: the first one that is left begins with line 1, as far as anybody can tell.
NUMBER_LINES = r"""
UPDATE labeling_runlog AS piece SET first_line = counted.first_line
  FROM (SELECT id, 1 + coalesce(sum(length(text) - length(replace(text, E'\n', '')))
                 OVER (PARTITION BY run_id ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS first_line
          FROM labeling_runlog) AS counted
 WHERE counted.id = piece.id
"""
APPEND_ONLY = """
CREATE TRIGGER modelevent_append_only BEFORE UPDATE ON labeling_modelevent
  FOR EACH ROW EXECUTE FUNCTION podium_append_only();
"""
NOT_APPEND_ONLY = "DROP TRIGGER modelevent_append_only ON labeling_modelevent"


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0010_lighter_indexes_and_rendered_responses'),
    ]

    operations = [
        migrations.CreateModel(
            name='ModelEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(choices=[('registered', 'Registered'), ('promoted', 'Made the current policy'), ('retired', 'Retired'), ('restored', 'Brought back')], max_length=10)),
                ('actor', models.CharField(max_length=120)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='RunUsage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('time', models.FloatField(help_text="Seconds since the epoch, by the worker's clock.")),
                ('values', models.JSONField()),
                ('end', models.PositiveBigIntegerField(default=0, help_text='Where the line ends in the usage file, in bytes.')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='run',
            name='run_stage_known',
        ),
        migrations.RemoveConstraint(
            model_name='runinput',
            name='run_input_is_one_thing',
        ),
        migrations.AddField(
            model_name='runinput',
            name='folder',
            field=models.CharField(blank=True, help_text='Below the folder that models are imported from.', max_length=255),
        ),
        migrations.AddField(
            model_name='runinput',
            name='upload',
            field=models.CharField(blank=True, help_text='Where the archive lies in storage.', max_length=255),
        ),
        migrations.AddField(
            model_name='runlog',
            name='first_line',
            field=models.PositiveIntegerField(default=1, help_text='Number of the line that the piece begins with.'),
        ),
        migrations.AlterField(
            model_name='run',
            name='stage',
            field=models.CharField(choices=[('sft', 'SFT'), ('reward', 'Reward model'), ('ppo', 'PPO'), ('generate', 'Generate'), ('evaluate', 'Evaluate'), ('fetch', 'Import a model')], max_length=8),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('stage__in', ['sft', 'reward', 'ppo', 'generate', 'evaluate', 'fetch'])), name='run_stage_known'),
        ),
        migrations.AddConstraint(
            model_name='runinput',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('folder', ''), ('model__isnull', True), ('snapshot__isnull', False), ('upload', '')), models.Q(('folder', ''), ('model__isnull', False), ('snapshot__isnull', True), ('upload', '')), models.Q(('folder', ''), ('model__isnull', True), ('snapshot__isnull', True), models.Q(('upload', ''), _negated=True)), models.Q(('model__isnull', True), ('snapshot__isnull', True), ('upload', ''), models.Q(('folder', ''), _negated=True)), _connector='OR'), name='run_input_is_one_thing'),
        ),
        migrations.AddField(
            model_name='modelevent',
            name='model',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='labeling.model'),
        ),
        migrations.AddField(
            model_name='runusage',
            name='run',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='usage', to='labeling.run'),
        ),
        migrations.AddConstraint(
            model_name='modelevent',
            constraint=models.CheckConstraint(condition=models.Q(('action__in', ['registered', 'promoted', 'retired', 'restored'])), name='model_event_known'),
        ),
        migrations.AddIndex(
            model_name='runusage',
            index=models.Index(fields=['run', 'id'], name='run_usage_stream'),
        ),
        migrations.RunSQL(NUMBER_LINES, migrations.RunSQL.noop),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
    ]
