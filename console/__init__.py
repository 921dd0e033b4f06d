"""Rollcall's full-screen console."""
