"""Parsers fed with what no peer should send: by hypothesis in the tests, by atheris in `make fuzz`.

Both take their targets from `targets`: one function for each parser, which raises for a finding.
"""
