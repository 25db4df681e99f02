"""Hostile inputs and faults of the environment: how every command of mastsim ends under them."""
