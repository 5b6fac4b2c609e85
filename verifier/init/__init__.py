"""What `verifier init` proposes: the shipped template, compared with what a look at the stores has shown."""
