"""The routes of log-in, accounts, people and the first run."""

from fastapi import APIRouter

from . import account, elsewhere, invitation, login, people, setup

router = APIRouter()
for part in (login, elsewhere, account, invitation, people, setup):
    router.include_router(part.router)
