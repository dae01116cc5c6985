"""The configuration: one frozen model a section, every knob with its unit and source.

Stages take only the keys they read, as canonical JSON (see ``aepsl.workflow``); core functions take
plain named values and never see these classes. A section has a file, so that a changed default of
one does not look like changed code to the stages of another.
"""
