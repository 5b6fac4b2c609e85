"""The judge of GW-01: the gateway injects the token and shows none."""

from __future__ import annotations

from tests.verifier.judges.recordings import Recording, call, judgement_of
from verifier.judges.gateway import judge_gateway
from verifier.judges.operation import OpPhase
from verifier.model.verdict import Verdict

OK, FAIL, INFO = OpPhase.OK, OpPhase.FAIL, OpPhase.INFO


def test_nothing_to_judge() -> None:
    """A journal without the operation is not judged."""
    assert judge_gateway([]) is None


def _gateway(phase: OpPhase = OK, *, login_shows: list[str] | None = None, **answer: object) -> Recording:
    recording = Recording()
    call(recording, "login", OK, {"user": "alice"}, {"token_in": login_shows or []})
    call(recording, "im_call", phase, {"route": "/im/msg/newest_seq"}, {"token_in": [], "err_code": 0, **answer})
    return recording


def test_gateway_holds_if_calls_succeed_and_no_token_is_shown() -> None:
    """The call reached OpenIM with a token that the client never had."""
    judgement = judgement_of(judge_gateway(_gateway().operations))
    assert (judgement.verdict, judgement.seen, judgement.total) == (Verdict.HOLDS, 2, 2)


def test_gateway_is_violated_by_a_token_in_any_answer() -> None:
    """A token may be in the answer to a login or to a call, in a body or in a header."""
    for recording in (_gateway(login_shows=["body"]), _gateway(token_in=["header set-cookie"])):
        judgement = judgement_of(judge_gateway(recording.operations))
        assert judgement.verdict is Verdict.VIOLATED
        assert "shows an imToken" in judgement.problems[0].summary


def test_only_the_policy_allows_a_token_in_the_answer_to_a_login() -> None:
    """`login_response` covers the login and nothing else."""
    at_login = judge_gateway(_gateway(login_shows=["body"]).operations, delivery="login_response")
    in_call = judge_gateway(_gateway(token_in=["body"]).operations, delivery="login_response")
    assert judgement_of(at_login).verdict is Verdict.HOLDS
    assert judgement_of(in_call).verdict is Verdict.VIOLATED


def test_gateway_is_violated_if_openim_received_no_valid_token() -> None:
    """1001 about the token header and 150x show that no valid token was injected; other refusals are unknown."""
    missing = _gateway(FAIL, err_code=1001, error="header must have token")
    kicked = _gateway(FAIL, err_code=1506, error="TokenKickedError")
    other = _gateway(FAIL, err_code=1004, error="RecordNotFoundError")
    verdicts = [judgement_of(judge_gateway(item.operations)).verdict for item in (missing, kicked, other)]
    assert verdicts == [Verdict.VIOLATED, Verdict.VIOLATED, Verdict.INCONCLUSIVE]


def _connected(phase: OpPhase = OK, **answer: object) -> Recording:
    recording = _gateway()
    answered = {"route": "ws", "connection": "alice #1", "token_in": [], **answer}
    call(recording, "ws_connect", phase, {"route": "ws", "user": "alice"}, answered)
    return recording


def test_coverage_says_whether_a_websocket_was_recorded() -> None:
    """Without one it says REST only and names the gap; with one it counts it."""
    without, with_one = (
        judgement_of(judge_gateway(_gateway().operations)),
        judgement_of(judge_gateway(_connected().operations)),
    )
    assert ("REST only" in without.seen_over, "the WebSocket through the gateway" in without.unseen) == (True, True)
    assert "1 connection" in with_one.seen_over
    assert "the WebSocket through the gateway" not in with_one.unseen
    assert (with_one.verdict, with_one.seen) == (Verdict.HOLDS, 3)


def test_gateway_must_let_a_signed_in_user_connect() -> None:
    """A refusal is a breach whatever its reason; an unreachable gateway is unknown."""
    refused = judgement_of(judge_gateway(_connected(FAIL, error="HTTP 403").operations))
    dead = judgement_of(judge_gateway(_connected(FAIL, err_code=1507, error="TokenNotExistError").operations))
    away = judgement_of(judge_gateway(_connected(INFO, error="connection refused").operations))
    assert [item.verdict for item in (refused, dead, away)] == [
        Verdict.VIOLATED,
        Verdict.VIOLATED,
        Verdict.INCONCLUSIVE,
    ]
    assert "to a user who is signed in" in refused.problems[0].summary
    assert "without a valid imToken" in dead.problems[0].summary


def test_no_policy_allows_a_token_over_a_websocket() -> None:
    """In the handshake or in a frame: `login_response` covers only the login."""
    handshake = _connected(token_in=["header x of GET /ws"])
    frame = _connected()
    call(frame, "ws_watch", OK, {"receiver": "alice"}, {"connection": "alice #1", "token_in": ["body of frame"]})
    for recording in (handshake, frame):
        judgement = judgement_of(judge_gateway(recording.operations, delivery="login_response"))
        assert judgement.verdict is Verdict.VIOLATED


def test_gateway_must_not_let_a_user_act_as_another() -> None:
    """A claim that succeeded is a breach, one that failed holds, and one without an outcome is unknown."""
    verdicts = []
    for phase in (OK, FAIL, INFO):
        recording = _connected()
        call(recording, "ws_claim", phase, {"route": "ws", "user": "alice", "claimed": "bob"}, {"token_in": []})
        verdicts.append(judgement_of(judge_gateway(recording.operations)).verdict)
    assert verdicts == [Verdict.VIOLATED, Verdict.HOLDS, Verdict.INCONCLUSIVE]
