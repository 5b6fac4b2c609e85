"""The kinds of proof: what a check returns, and how each is carried out."""

from verifier.proofs.absence.proof import Absence
from verifier.proofs.declared import Declared
from verifier.proofs.delivery import Delivery
from verifier.proofs.histories import Histories, Retention
from verifier.proofs.inventory import Inventory
from verifier.proofs.monotonic import Monotonic
from verifier.proofs.reconcile import Reconcile
from verifier.proofs.rule import Rule
from verifier.proofs.unique import Unique

Proof = Reconcile | Rule | Unique | Absence | Inventory | Delivery | Declared | Monotonic | Histories | Retention

__all__ = [
    "Absence",
    "Declared",
    "Delivery",
    "Histories",
    "Inventory",
    "Monotonic",
    "Proof",
    "Reconcile",
    "Retention",
    "Rule",
    "Unique",
]
