"""Where all web processes count together who tried what how often. Unlogged: it may be lost, and costs no disk writes."""

from django.db import migrations


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.RunSQL(
            """
            create unlogged table plumbline_config_cache (
                key text primary key, value jsonb not null, expires_at timestamptz
            ) with (fillfactor = 50);
            create index plumbline_config_cache_expires on plumbline_config_cache (expires_at);
            """,
            "drop table plumbline_config_cache",
        )
    ]
