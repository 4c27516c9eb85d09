"""Who asks: sessions and accounts are kept in the database as Django keeps them. Each request reads one of either, so
what reads them is written once.
"""

from __future__ import annotations

from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

from annotation import prepared
from annotation.models import User

IN_FORCE = prepared.Records(lambda key, now: Session.objects.filter(session_key=key, expire_date__gt=now))
ACCOUNT = prepared.Records(lambda pk: User.objects.filter(pk=pk))


class SessionStore(db.SessionStore):
    def _get_session_from_db(self) -> Session | None:
        session = IN_FORCE.first(key=self.session_key, now=timezone.now())
        if session is None:
            self._session_key = None
        return session


class Accounts(ModelBackend):
    def get_user(self, user_id: int) -> User | None:
        user = ACCOUNT.first(pk=user_id)
        return user if user is not None and self.user_can_authenticate(user) else None
