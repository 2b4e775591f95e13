"""Tests of the synthetic talking head."""
