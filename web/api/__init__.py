"""The JSON API of contract.md."""

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer

from web.api import (
    billing,
    bookings,
    chains,
    devices,
    evaluation,
    exchanging,
    external,
    health,
    looking_back,
    marketplace,
    operators,
    outages,
    qualifications,
    search,
    series,
    waiting,
)

TOKEN = HTTPBearer(auto_error=False, scheme_name="token", description="An API token, made on one's account page.")
"""Named in the OpenAPI document only; web.deps.find_actor reads the header."""


def include(app: FastAPI) -> None:
    booked = (bookings, chains, series, exchanging, looking_back, waiting, outages, external)
    for module in (search, marketplace, *booked, qualifications, operators, devices, billing, evaluation, health):
        app.include_router(module.router, dependencies=[Depends(TOKEN)])
