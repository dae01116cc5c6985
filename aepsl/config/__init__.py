"""The configuration: one frozen model per section, with unit and source of each setting.

A stage receives only the settings that it reads, as canonical JSON (see ``aepsl.workflow``). Core
functions take plain named values and never see these classes. Each section is a module of its own,
so that a changed default reruns only the stages that read that section.
"""
