"""What `manage.py check` asks of the installation as a whole."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error

from config.addresses import addresses


def every_view_says_whom_it_is_for(**kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"The view at /{address.route} ({address.name or 'without a name'}) does not say whom it is for.",
            hint=(
                "Decorate it with page, project_page or assignment_page; give an endpoint its `audience` "
                "(annotation.audiences). If it is a view of another package, name it in AUDIENCES of config/urls.py."
            ),
            id="config.E001",
        )
        for address in addresses()
        if not address.audiences
    ]
