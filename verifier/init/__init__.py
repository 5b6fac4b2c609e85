"""What `verifier init` writes: the shipped template, adapted to what was found in the stores."""
