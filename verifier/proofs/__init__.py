"""The kinds of proof: what a check returns, and how each is carried out."""

from verifier.proofs.absence import Absence
from verifier.proofs.declared import Declared
from verifier.proofs.delivery import Delivery
from verifier.proofs.inventory import Inventory
from verifier.proofs.reconcile import Reconcile
from verifier.proofs.rule import Rule
from verifier.proofs.unique import Unique

Proof = Reconcile | Rule | Unique | Absence | Inventory | Delivery | Declared

__all__ = ["Absence", "Declared", "Delivery", "Inventory", "Proof", "Reconcile", "Rule", "Unique"]
