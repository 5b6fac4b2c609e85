"""The judgement of a walk: from what was found, and from what could not be seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from verifier.model.finding import Finding
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.proofs.clocks import clocks_of, require_same_time
from verifier.proofs.context import Context
from verifier.proofs.open_findings import OpenFindings
from verifier.proofs.records import RecordProof
from verifier.proofs.suspects import Suspects
from verifier.proofs.walk import PASSES_MAX, Walk
from verifier.stores.errors import StoreError


async def walk(proof: RecordProof, context: Context) -> Judgement:
    """Carry out a proof that reads one relation record by record. Raises ClocksApart and StoreError."""
    await require_same_time(context, clocks_of(proof, context.profile))
    if context.judges_another_proof:
        return Judgement.not_applicable("another proof of this check")
    walker = Walk(proof, context)
    if walker.open_findings is not None:
        return await _walk_once(walker, walker.open_findings)
    return await _walk(walker)


async def _walk(walker: Walk) -> Judgement:
    await walker.open()
    suspects = await walker.first_pass()
    confirmed, remaining = await walker.second_pass(suspects)
    findings = tuple(walker.finding(candidate, first_seen_at) for candidate, first_seen_at in confirmed)
    return _conclude(walker, findings, remaining)


async def _walk_once(walker: Walk, known: OpenFindings) -> Judgement:
    """A walk over a source that cannot be read again: what was seen there, now or in earlier runs, stays a finding."""
    if walker.context.baselining:
        known.accept()
        return Judgement.not_applicable("baseline taken")
    try:
        judgement = await _walk(walker)
    except StoreError as error:
        # What was read before the failure is gone from the source.
        judgement = Judgement.inconclusive(str(error))
    else:
        known.settle(walker.seen, walker.proof.settled)
    confirmed = {item.raw_key for item in judgement.findings}
    remembered = known.findings(walker.proof.subject.relation, but=confirmed)
    if not judgement.findings and not remembered and not known.unlisted:
        return judgement
    return replace(
        judgement,
        verdict=Verdict.VIOLATED,
        reason="",
        notes=tuple(dict.fromkeys(filter(None, (*judgement.notes, judgement.reason, known.note())))),
        findings=(*judgement.findings, *remembered),
        findings_total=judgement.findings_total + len(remembered) + known.unlisted,
        partial=judgement.verdict is Verdict.INCONCLUSIVE,
    )


SOME_MIN = 10
"""Of fewer records it says nothing that none is selected."""


def _conclude(walker: Walk, findings: tuple[Finding, ...], remaining: Suspects) -> Judgement:
    proof, relation = walker.proof, walker.context.profile.relations.get(walker.proof.subject.relation)
    min_rows = relation.min_rows if relation else 0
    sampled = proof.sample is not None and walker.seen >= proof.sample
    unseen = tuple(dict.fromkeys((*walker.unseen, *walker.whole.unseen)))
    coverage = Coverage(walker.seen, None if sampled else walker.seen, proof.unit, proof.statement, unseen)
    doubts = _doubts(walker, remaining)
    common: dict[str, Any] = {"coverage": (coverage,), "notes": doubts, "queries": walker.queries}
    if findings:
        total = len(findings) + walker.overflow
        return Judgement(
            verdict=Verdict.VIOLATED, findings=findings, findings_total=total, partial=bool(doubts), **common
        )
    if doubts:
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason="; ".join(doubts), **common)
    if walker.seen < min_rows:
        reason = f"only {walker.seen} {proof.unit}; the profile expects at least {min_rows}"
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, **common)
    if walker.seen == 0 and walker.left_out >= SOME_MIN and proof.chosen_by and walker.context.only_key is None:
        reason = (
            f"the check applies to none of {walker.left_out} records of {walker.source.label}: is column {proof.chosen_by} mapped to the "
            "right values, with its type and true_values?"
        )
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, **common)
    if walker.seen == 0 and not proof.empty_holds:
        what = (
            f"{walker.left_out} records, none of which the check applies to" if walker.left_out else f"no {proof.unit}"
        )
        return Judgement.not_applicable(f"empty: {what} in {walker.source.label}")
    return Judgement(verdict=Verdict.HOLDS, **common)


def _doubts(walker: Walk, remaining: Suspects) -> tuple[str, ...]:
    """Why the proof does not hold although nothing was found, in words."""
    unit = walker.proof.unit
    doubts = [*walker.whole.doubts, *walker.partner_doubts]
    if walker.without_visible_partner:
        doubts.append(f"{walker.without_visible_partner} {unit} have no partner that is visible")
    if walker.overflow:
        doubts.append(f"{walker.overflow} more suspects had no second pass")
    silent = Counter(item.silent for item in remaining.values() if item.silent)
    doubts += [f"{count} of {walker.seen} {unit} were not answered for: {why}" for why, count in silent.most_common(3)]
    if changing := sum(not item.silent for item in remaining.values()):
        doubts.append(f"{changing} suspects kept changing through {PASSES_MAX} passes")
    if walker.lost:
        doubts.append(
            f"{walker.lost} suspects could not be found again by their keys ({', '.join(walker.source.key)}) in "
            f"{walker.source.label}. Map a key that the store can look up"
        )
    if walker.unread.records:
        doubts.append(walker.unread.text(walker.seen, unit))
    return tuple(doubts)
