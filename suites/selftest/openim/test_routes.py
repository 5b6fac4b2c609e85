"""Which routes there are: each once, all that were recorded, all that the verifier reads, and no others answer."""

from __future__ import annotations

import json

import pytest

from fixtures.clients.openim_calls import OpenIMError
from fixtures.openim import routes
from fixtures.openim.state import State
from suites.contract.openim import recording, sdk_recording
from suites.selftest.openim.doubles import in_process
from verifier.stores.openim import READ_ROUTES


def test_no_route_is_registered_twice() -> None:
    """A second handler of a path would silently replace the first."""
    registered = [path for area in routes._AREAS for path in area.routes.by_path]
    assert len(registered) == len(set(registered)) == len(routes.ROUTES)


def test_every_recorded_route_is_served() -> None:
    """Except those that the real server answered with 404 or a redirect."""
    recorded = {
        case.path.partition("?")[0] for case in recording.load() if case.method == "POST" and case.status != 404
    }
    assert recorded - routes.ROUTES.keys() == {"/user/no_such_route", "/user/account_check/"}


def test_the_verifier_and_sdks_find_their_routes() -> None:
    """What reads us is not stopped by a 404."""
    assert routes.ROUTES.keys() >= READ_ROUTES | {call.path for call in sdk_recording.load()}


@pytest.mark.anyio
async def test_empty_requests_are_answered_by_every_route(state: State) -> None:
    """`{}` as administrator and as user meets an envelope on each route, never a failing handler."""
    async with in_process(state) as im:
        await im.user_register([{"userID": "ann", "nickname": "Ann"}])
        tokens = [await im.admin_token(), (await im.get_user_token("ann", 1)).token]
        for path in routes.ROUTES:
            for token in tokens:
                answer = await im._http.post(path, content=b"{}", headers={"operationID": "1", "token": token})
                panics = path == "/msg/mark_msgs_as_read"  # as the real one does
                assert answer.status_code in (200, 400) or panics, path
                assert panics or "errCode" in answer.json(), path


@pytest.mark.anyio
async def test_configuration_is_told_to_administrators_as_json_text(state: State) -> None:
    """Names as the server's code spells them; a user is refused, an unknown file is a wrong argument."""
    async with in_process(state) as im:
        share = json.loads(await im.call("/config/get_config", {"configName": "share.yml"}))
        assert share["MultiLogin"] == {"Policy": 1, "MaxNumOneEnd": 30}
        crontask = json.loads(await im.call("/config/get_config", {"configName": "openim-crontask.yml"}))
        assert (crontask["RetainChatRecords"], crontask["FileExpireTime"]) == (365, 180)
        with pytest.raises(OpenIMError) as unknown:
            await im.call("/config/get_config", {"configName": "nothing.yml"})
        await im.user_register([{"userID": "ann", "nickname": "Ann"}])
        token = (await im.get_user_token("ann", 1)).token
        with pytest.raises(OpenIMError) as refused:
            await im.call("/config/get_config", {"configName": "share.yml"}, token=token)
    assert (unknown.value.err_code, refused.value.err_code) == (1001, 1002)
