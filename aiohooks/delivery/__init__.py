"""Durable delivery: what a store holds, and the stores.

``item`` says what is delivered and what a store promises; ``spool`` is the one on disk.
"""
