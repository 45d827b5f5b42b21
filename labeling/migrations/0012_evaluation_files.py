"""Files that evaluate runs ask from, and which run reads which."""

import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0011_run_usage_line_numbers_and_imported_models'),
    ]

    operations = [
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
            },
        ),
        migrations.AddConstraint(
            model_name='evaluationfile',
            constraint=models.UniqueConstraint(fields=('project', 'kind', 'sha256'), name='evaluation_file_once'),
        ),
        migrations.AddConstraint(
            model_name='evaluationfile',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['truthfulqa', 'harmful_prompts', 'paraphrases'])), name='evaluation_file_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='evaluationfile',
            constraint=models.CheckConstraint(condition=models.Q(('num_rows__gt', 0)), name='evaluation_file_has_rows'),
        ),
        migrations.AddConstraint(
            model_name='evaluationfile',
            constraint=models.CheckConstraint(condition=models.Q(('sha256__regex', '^[0-9a-f]{64}$')), name='evaluation_file_has_a_hash'),
        ),
        migrations.AddConstraint(
            model_name='runfile',
            constraint=models.UniqueConstraint(fields=('run', 'name'), name='run_file_once'),
        ),
    ]
