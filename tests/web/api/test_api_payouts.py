"""Where an institution is paid, over JSON."""

from tests.web.api.world import World, fields, refused


def test_the_operator_says_where_an_institution_is_paid(world: World) -> None:
    path = f"/institutions/{world.institution}/payout-account"
    refused(world.get(path, world.operator), 404, "not_found")
    answer = world.ask("PUT", path, token=world.operator, json={"account_id": "acct_9"})
    assert (
        answer.json() == world.get(path, world.operator).json() == {"institution_id": world.institution, "account_id": "acct_9"}
    )
    bad = world.ask("PUT", path, token=world.operator, json={"account_id": "cus_9"})
    assert fields(refused(bad, 422, "invalid")) == {"account_id"}
    refused(world.ask("PUT", path, token=world.manager, json={"account_id": "acct_9"}), 404, "not_found")
    refused(world.get(path, world.member), 404, "not_found")
