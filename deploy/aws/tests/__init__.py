"""Tests of the AWS templates: synthesised here, without an account and without network."""
