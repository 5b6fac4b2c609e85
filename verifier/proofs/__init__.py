"""The kinds of proof: what a check returns, and how each one is carried out."""

from verifier.proofs.absence.proof import Absence
from verifier.proofs.declared import Declared
from verifier.proofs.delivery import Delivery
from verifier.proofs.histories import Histories
from verifier.proofs.inventory import Inventory
from verifier.proofs.monotonic import Monotonic
from verifier.proofs.populated import Populated
from verifier.proofs.protocol import Description, Proof
from verifier.proofs.reconcile import Reconcile
from verifier.proofs.retention import Retention
from verifier.proofs.rule import Rule
from verifier.proofs.unique import Unique

__all__ = [
    "Absence",
    "Declared",
    "Delivery",
    "Description",
    "Histories",
    "Inventory",
    "Monotonic",
    "Populated",
    "Proof",
    "Reconcile",
    "Retention",
    "Rule",
    "Unique",
]
