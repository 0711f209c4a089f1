"""params.yaml, typed: what may stand in it, in which range, and one sentence for what is wrong with it.

``resolve`` lays the chosen edition over the rest and checks the result; ``Plan`` says what it asks for: runs, and what
each job is told. The JSON schema in workflow/schemas/params.schema.json is generated from these classes.
"""

from verdict.settings.jobs import job, trials
from verdict.settings.plan import Plan
from verdict.settings.reading import overlay, read, resolve, schema
from verdict.settings.whole import Settings

__all__ = ["Plan", "Settings", "job", "overlay", "read", "resolve", "schema", "trials"]
