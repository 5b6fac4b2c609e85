"""The judges of gateway, push, nonce and old websocket: absent, holds, violated and unknown are four answers."""

from __future__ import annotations

from tests.verifier.judges.histories import Recording
from verifier.judges.gateway import judge_gateway
from verifier.judges.judgement import JournalJudgement
from verifier.judges.operation import OpPhase
from verifier.judges.platform import judge_legacy_websocket, judge_nonce
from verifier.judges.pushes import judge_push_once
from verifier.model.verdict import Verdict

OK, FAIL, INFO = OpPhase.OK, OpPhase.FAIL, OpPhase.INFO


def _call(recording: Recording, op: str, phase: OpPhase, before: dict[str, object], after: dict[str, object]) -> None:
    call_id = recording.invoke("alice", op, **before)
    recording.complete(phase, "alice", op, call_id, **after)


def _there(judgement: JournalJudgement | None) -> JournalJudgement:
    assert judgement is not None
    return judgement


def test_each_judge_tells_absent_apart() -> None:
    """A journal without the operation is not judged at all."""
    judges = (judge_gateway, judge_push_once, judge_nonce, judge_legacy_websocket)
    assert [judge([]) for judge in judges] == [None] * 4


def _gateway(phase: OpPhase = OK, *, login_shows: list[str] | None = None, **answer: object) -> Recording:
    recording = Recording()
    _call(recording, "login", OK, {"user": "alice"}, {"token_in": login_shows or []})
    _call(recording, "im_call", phase, {"route": "/im/msg/newest_seq"}, {"token_in": [], "err_code": 0, **answer})
    return recording


def test_gateway_holds_where_calls_succeed_and_no_token_shows() -> None:
    """The call reached OpenIM with a token that the client never held."""
    judgement = _there(judge_gateway(_gateway().operations))
    assert (judgement.verdict, judgement.seen, judgement.total) == (Verdict.HOLDS, 2, 2)


def test_gateway_is_violated_by_a_token_in_any_answer() -> None:
    """In a login as in a proxied call, in a body as in a header."""
    for recording in (_gateway(login_shows=["body"]), _gateway(token_in=["header set-cookie"])):
        judgement = _there(judge_gateway(recording.operations))
        assert judgement.verdict is Verdict.VIOLATED
        assert "shows an imToken" in judgement.problems[0].summary


def test_gateway_may_hand_the_token_out_at_login_by_policy_alone() -> None:
    """Policy `login_response` covers the login and nothing else."""
    at_login = judge_gateway(_gateway(login_shows=["body"]).operations, delivery="login_response")
    in_call = judge_gateway(_gateway(token_in=["body"]).operations, delivery="login_response")
    assert _there(at_login).verdict is Verdict.HOLDS
    assert _there(in_call).verdict is Verdict.VIOLATED


def test_gateway_is_violated_where_openim_misses_the_token() -> None:
    """1001 about the token header and 150x say that nothing valid was injected; other refusals say nothing."""
    missing = _gateway(FAIL, err_code=1001, error="header must have token")
    kicked = _gateway(FAIL, err_code=1506, error="TokenKickedError")
    other = _gateway(FAIL, err_code=1004, error="RecordNotFoundError")
    verdicts = [_there(judge_gateway(item.operations)).verdict for item in (missing, kicked, other)]
    assert verdicts == [Verdict.VIOLATED, Verdict.VIOLATED, Verdict.INCONCLUSIVE]


def _pushes(*notification_ids: str, watched: OpPhase = OK) -> Recording:
    recording = Recording()
    recording.send("m1", sender="alice", receivers=["alice", "bob"], outcome=OK)
    for notification_id in notification_ids:
        recording.observe(
            "bob", "push", receiver="bob", notification_id=notification_id, message_id="id of m1", source="platform"
        )
    _call(recording, "push_watch", watched, {"receiver": "bob"}, {})
    return recording


def test_no_push_and_one_push_hold_and_two_do_not() -> None:
    """At most one; a provider's retry keeps its notification id and is no second push."""
    verdicts = [_there(judge_push_once(_pushes(*ids).operations)).verdict for ids in ((), ("n1",), ("n1", "n1"))]
    assert verdicts == [Verdict.HOLDS] * 3
    twice = _there(judge_push_once(_pushes("n1", "n2").operations))
    assert twice.verdict is Verdict.VIOLATED
    assert "m1 was pushed to bob twice" in twice.problems[0].summary


def test_a_push_watch_that_failed_knows_nothing() -> None:
    """A sink that could not be read is not an empty sink."""
    assert _there(judge_push_once(_pushes(watched=INFO).operations)).verdict is Verdict.INCONCLUSIVE


def _replay(phase: OpPhase, first: int = 200) -> JournalJudgement:
    recording = Recording()
    _call(recording, "nonce_replay", phase, {"route": "/friends", "first_status": first}, {"status": 409})
    return _there(judge_nonce(recording.operations))


def test_a_replayed_nonce_must_be_refused() -> None:
    """Refused holds, taken is a breach; unknown and a first call that failed say nothing."""
    assert _replay(FAIL).verdict is Verdict.HOLDS
    assert _replay(OK).verdict is Verdict.VIOLATED
    assert _replay(INFO).verdict is Verdict.INCONCLUSIVE
    assert _replay(FAIL, first=401).verdict is Verdict.INCONCLUSIVE


def _probe(phase: OpPhase, **answer: object) -> JournalJudgement:
    recording = Recording()
    _call(recording, "ws_probe", phase, {"url": "ws://old/ws"}, {"listened_s": 2.0, **answer})
    return _there(judge_legacy_websocket(recording.operations))


def test_the_old_websocket_must_refuse_or_be_silent() -> None:
    """A connection that delivers is the breach; a silent one is told in a note."""
    assert _probe(FAIL, reason="HTTP 410").verdict is Verdict.HOLDS
    silent = _probe(OK, delivered=0)
    assert silent.verdict is Verdict.HOLDS
    assert "still accepts connections" in silent.notes[0]
    assert _probe(OK, delivered=3).verdict is Verdict.VIOLATED
    assert _probe(INFO).verdict is Verdict.INCONCLUSIVE


# ---- over OpenIM's WebSocket ----


def _connected(phase: OpPhase = OK, **answer: object) -> Recording:
    recording = _gateway()
    said = {"route": "ws", "connection": "alice #1", "token_in": [], **answer}
    _call(recording, "ws_connect", phase, {"route": "ws", "user": "alice"}, said)
    return recording


def test_gateway_says_whether_a_websocket_was_seen() -> None:
    """Without one the coverage says REST alone and names the gap; with one it counts it."""
    without, with_one = _there(judge_gateway(_gateway().operations)), _there(judge_gateway(_connected().operations))
    assert ("REST only" in without.seen_over, "the WebSocket through the gateway" in without.unseen) == (True, True)
    assert "1 connection" in with_one.seen_over
    assert "the WebSocket through the gateway" not in with_one.unseen
    assert (with_one.verdict, with_one.seen) == (Verdict.HOLDS, 3)


def test_gateway_must_let_a_signed_in_user_connect() -> None:
    """A refusal is a breach whatever its reason, an unreachable gateway is unknown."""
    refused = _there(judge_gateway(_connected(FAIL, error="HTTP 403").operations))
    dead = _there(judge_gateway(_connected(FAIL, err_code=1507, error="TokenNotExistError").operations))
    away = _there(judge_gateway(_connected(INFO, error="connection refused").operations))
    assert [item.verdict for item in (refused, dead, away)] == [
        Verdict.VIOLATED,
        Verdict.VIOLATED,
        Verdict.INCONCLUSIVE,
    ]
    assert "to a user who is signed in" in refused.problems[0].summary
    assert "without a valid imToken" in dead.problems[0].summary


def test_gateway_may_show_no_token_over_a_websocket_under_any_policy() -> None:
    """In the handshake or in a frame: `login_response` covers the login alone."""
    handshake = _connected(token_in=["header x of GET /ws"])
    frame = _connected()
    _call(frame, "ws_watch", OK, {"receiver": "alice"}, {"connection": "alice #1", "token_in": ["body of frame"]})
    for recording in (handshake, frame):
        judgement = _there(judge_gateway(recording.operations, delivery="login_response"))
        assert judgement.verdict is Verdict.VIOLATED


def test_gateway_may_take_nobody_for_somebody_else() -> None:
    """A claim that was believed is a breach; one that was not holds; one without an outcome is unknown."""
    verdicts = []
    for phase in (OK, FAIL, INFO):
        recording = _connected()
        _call(recording, "ws_claim", phase, {"route": "ws", "user": "alice", "claimed": "bob"}, {"token_in": []})
        verdicts.append(_there(judge_gateway(recording.operations)).verdict)
    assert verdicts == [Verdict.VIOLATED, Verdict.HOLDS, Verdict.INCONCLUSIVE]


def _online(*heard: tuple[str, int, int], devices: int = 0, stood: OpPhase = OK, sink: bool = True) -> JournalJudgement:
    """A message of alice's to both; (receiver, connection, seq) of each push that came over a WebSocket."""
    recording = Recording()
    for name in ("alice", "bob"):
        _call(recording, "ws_connect", OK, {"route": "ws", "user": name}, {"token_in": []})
    recording.send("m1", sender="alice", receivers=["alice", "bob"], outcome=OK)
    for receiver, connection, seq in heard:
        recording.observe(
            receiver,
            "receive",
            marker="m1",
            receiver=receiver,
            seq=seq,
            message_id="id of m1",
            channel="websocket",
            connection=f"{receiver} #{connection}",
        )
    for number in range(devices):
        recording.observe("bob", "push", receiver="bob", notification_id=f"n{number}", marker="m1", source="platform")
    for name in ("alice", "bob"):
        _call(recording, "ws_watch", stood if name == "bob" else OK, {"receiver": name}, {"receiver": name})
        if sink:
            _call(recording, "push_watch", OK, {"receiver": name}, {})
    return _there(judge_push_once(recording.operations))


def test_one_push_a_connection_holds() -> None:
    """The sender's own echo, two connections of one receiver, a push that did not come, and no sink to watch."""
    everywhere = _online(("alice", 1, 1), ("bob", 1, 1), ("bob", 2, 1))
    assert (everywhere.verdict, everywhere.seen, everywhere.total) == (Verdict.HOLDS, 2, 2)
    missed = _online(("alice", 1, 1))
    assert missed.verdict is Verdict.HOLDS
    assert "1 of 2 messages did not come over a connection that stood" in missed.notes
    without_sink = _online(("alice", 1, 1), ("bob", 1, 1), sink=False)
    assert (without_sink.verdict, without_sink.notes) == (Verdict.HOLDS, ("no push sink was watched",))


def test_a_second_push_over_one_connection_is_one_too_many() -> None:
    """The same place twice is a double push; two places are a message stored twice, which is MSG-04's."""
    twice = _online(("bob", 1, 1), ("bob", 1, 1))
    assert twice.verdict is Verdict.VIOLATED
    assert "over one connection" in twice.problems[0].summary
    assert _online(("bob", 1, 1), ("bob", 1, 2)).verdict is Verdict.HOLDS


def test_a_device_push_beside_openims_is_one_too_many() -> None:
    """Ours and OpenIM's for one message: named with both senders."""
    both = _online(("bob", 1, 1), devices=1)
    assert both.verdict is Verdict.VIOLATED
    assert "OpenIM's WebSocket (bob #1) and platform" in both.problems[0].actual
    assert _online(("alice", 1, 1), devices=1).verdict is Verdict.HOLDS


def test_a_connection_that_ended_early_knows_nothing() -> None:
    """What would have come after its end was not seen: unknown for that receiver alone."""
    judgement = _online(("alice", 1, 1), ("bob", 1, 1), stood=INFO)
    assert (judgement.verdict, judgement.seen, judgement.unknown) == (Verdict.INCONCLUSIVE, 1, 1)
