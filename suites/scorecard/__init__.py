"""The scoreboard: does the verifier find what is broken, keep silent about what merely looks so, and admit what it cannot know?"""
