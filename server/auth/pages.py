"""The routes of log-in, accounts, people and the first run."""

from fastapi import APIRouter

from . import account, login

router = APIRouter()
for part in (login, account):
    router.include_router(part.router)
