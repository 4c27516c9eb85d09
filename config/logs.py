"""What no line of the log may hold."""

from __future__ import annotations

import logging
import re

SECRET = re.compile(r"(/join/|plumb_)[\w-]+")


class WithoutSecrets(logging.Filter):
    """Cuts the secrets of invitations, which are in their address, and of tokens out of what is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        told = record.getMessage()
        if SECRET.search(told):
            record.msg, record.args = SECRET.sub(r"\1…", told), None
        return True
