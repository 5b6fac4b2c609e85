"""The profile: how a user describes a stack (`stack.toml`). No other module of `verifier` contains the name of an object."""

from verifier.profile.load import load_profile, parse_profile
from verifier.profile.models import NotMapped, Profile, ProfileError

__all__ = ["NotMapped", "Profile", "ProfileError", "load_profile", "parse_profile"]
