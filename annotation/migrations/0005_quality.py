"""Reviewers' decisions, and an audit log that the database itself keeps from being changed."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


APPEND_ONLY = """
create function annotation_audit_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'The audit log is only ever added to: % is refused.', lower(tg_op);
end $$;
create trigger audit_is_append_only before update or delete on annotation_auditentry
    for each row execute function annotation_audit_is_append_only();
"""

NOT_APPEND_ONLY = """
drop trigger audit_is_append_only on annotation_auditentry;
drop function annotation_audit_is_append_only();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0004_ranking'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='when')),
                ('actor_id', models.BigIntegerField(blank=True, null=True, verbose_name='who')),
                ('project_id', models.BigIntegerField(blank=True, null=True, verbose_name='project')),
                ('action', models.CharField(max_length=40, verbose_name='what')),
                ('details', models.JSONField(default=dict, verbose_name='details')),
            ],
            options={
                'verbose_name': 'audit entry',
                'verbose_name_plural': 'audit log',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['project_id', '-id'], name='audit_of_project')],
            },
        ),
        migrations.CreateModel(
            name='Review',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('batch', models.UUIDField(db_index=True)),
                ('undoes', models.UUIDField(blank=True, null=True)),
                ('state', models.CharField(choices=[('pending', 'not reviewed'), ('accepted', 'accepted'), ('rejected', 'rejected')], max_length=8, verbose_name='state')),
                ('previous', models.CharField(choices=[('pending', 'not reviewed'), ('accepted', 'accepted'), ('rejected', 'rejected')], max_length=8, verbose_name='state before')),
                ('reason', models.TextField(blank=True, verbose_name='reason')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('demonstration', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='reviews', to='annotation.demonstration')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reviews', to='annotation.project')),
                ('prompt', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='reviews', to='annotation.prompt')),
                ('ranking', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='reviews', to='annotation.ranking')),
                ('reviewer', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='reviews', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'review',
                'verbose_name_plural': 'reviews',
                'ordering': ['id'],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('demonstration', None), ('prompt__isnull', False), ('ranking', None)), models.Q(('demonstration__isnull', False), ('prompt', None), ('ranking', None)), models.Q(('demonstration', None), ('prompt', None), ('ranking__isnull', False)), _connector='OR'), name='review_of_one_piece')],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
    ]
