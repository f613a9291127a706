"""The JSON API of contract.md."""

from fastapi import FastAPI

from web.api import billing, bookings, devices, evaluation, health, marketplace


def include(app: FastAPI) -> None:
    for module in (marketplace, bookings, devices, billing, evaluation, health):
        app.include_router(module.router)
