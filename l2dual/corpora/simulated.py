"""Simulated learners (l2dual.simulate): speech for comparing systems, not for error rates of people."""
