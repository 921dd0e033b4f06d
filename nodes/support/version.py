"""The version of this program, in this one place: its package takes it from here."""

VERSION = "0.1.0"
