"""The JSON API of contract.md."""

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from web.api import (
    access,
    attestations,
    billing,
    bookings,
    bundles,
    chains,
    claims,
    devices,
    discrepancies,
    evaluation,
    evidence,
    exchanging,
    external,
    flags,
    health,
    looking_back,
    marketplace,
    mqtt,
    objections,
    operators,
    outages,
    paying,
    payouts,
    profiles,
    programmes,
    qualifications,
    retiring,
    search,
    series,
    waiting,
)


class Named(HTTPBearer):
    """Stands in the OpenAPI document only; web.deps.find_actor reads the header."""

    async def __call__(self, request: HTTPConnection) -> None:
        return None


TOKEN = Named(auto_error=False, scheme_name="token", description="An API token, made on one's account page.")


def include(app: FastAPI) -> None:
    booked = (bookings, bundles, chains, series, exchanging, looking_back, waiting, outages, external)
    measured = (devices, profiles, access, mqtt, evidence, flags, attestations, discrepancies)
    for module in (
        *booked,
        *measured,
        search,
        retiring,
        marketplace,
        qualifications,
        operators,
        billing,
        paying,
        objections,
        payouts,
        programmes,
        claims,
        evaluation,
        health,
    ):
        app.include_router(module.router, dependencies=[Depends(TOKEN)])
