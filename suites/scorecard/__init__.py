"""The scorecard: does the verifier report planted breaches, ignore look-alikes, and admit what cannot be known?"""
