"""The profile: how a user describes a stack (`stack.toml`). Nothing else in `verifier` knows an object's name."""

from verifier.profile.load import load_profile, parse_profile
from verifier.profile.models import NotMapped, Profile, ProfileError

__all__ = ["NotMapped", "Profile", "ProfileError", "load_profile", "parse_profile"]
