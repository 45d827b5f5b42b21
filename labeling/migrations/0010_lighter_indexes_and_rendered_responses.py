"""Indexes that others cover go, since each is written with every slot and ranking; rendered responses get a table.

Uniqueness of a key moves from the column to a constraint: the column brought an index for LIKE along.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0009_tests_survey_releases_and_looks'),
    ]

    operations = [
        migrations.CreateModel(
            name='RenderedResponse',
            fields=[
                ('response', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='rendered', serialize=False, to='labeling.response')),
                ('version', models.CharField(help_text='Of the renderer; what another one made is not shown.', max_length=16)),
                ('text_md5', models.CharField(help_text='Of the text that it was made of.', max_length=32)),
                ('html', models.TextField()),
            ],
        ),
        # A cache: nothing is lost with it, so it need not be written twice.
        migrations.RunSQL(
            "ALTER TABLE labeling_renderedresponse SET UNLOGGED", "ALTER TABLE labeling_renderedresponse SET LOGGED"
        ),
        migrations.AlterField(
            model_name='demonstration',
            name='idempotency_key',
            field=models.CharField(max_length=64),
        ),
        migrations.AlterField(
            model_name='promptannotation',
            name='idempotency_key',
            field=models.CharField(max_length=64),
        ),
        migrations.AlterField(
            model_name='ranking',
            name='idempotency_key',
            field=models.CharField(max_length=64),
        ),
        migrations.AlterField(
            model_name='ranking',
            name='slot',
            field=models.ForeignKey(blank=True, db_index=False, help_text='NULL: surplus', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rankings', to='labeling.slot'),
        ),
        migrations.AlterField(
            model_name='ranking',
            name='task',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='rankings', to='labeling.task'),
        ),
        migrations.AlterField(
            model_name='slot',
            name='task',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='slots', to='labeling.task'),
        ),
        migrations.AlterField(
            model_name='taskresponse',
            name='task',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='task_responses', to='labeling.task'),
        ),
        migrations.AlterField(
            model_name='writtenprompt',
            name='idempotency_key',
            field=models.CharField(max_length=64),
        ),
        migrations.AddConstraint(
            model_name='demonstration',
            constraint=models.UniqueConstraint(fields=('idempotency_key',), name='demonstration_one_per_key'),
        ),
        migrations.AddConstraint(
            model_name='promptannotation',
            constraint=models.UniqueConstraint(fields=('idempotency_key',), name='annotation_one_per_key'),
        ),
        migrations.AddConstraint(
            model_name='ranking',
            constraint=models.UniqueConstraint(fields=('idempotency_key',), name='ranking_one_per_key'),
        ),
        migrations.AddConstraint(
            model_name='writtenprompt',
            constraint=models.UniqueConstraint(fields=('idempotency_key',), name='writtenprompt_one_per_key'),
        ),
    ]
