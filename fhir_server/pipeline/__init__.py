"""
The one path of each request: authorize, consent, run, release, record.

`perform.py` is the spine and the only door to the store; the other files are its stages:
`admission.py` (scopes, policy and consent together), `reading.py`, `writing.py`, `searching.py`,
`history.py`, `bundling.py` and `auditing.py` (run and release), `trail.py` (record). `services.py`
is what they work with, `consents.py` keeps what is known of consents as new as the database.

Rules for editors: a stage is never optional and never configured away. What a stage needs to
know about one interaction belongs in interactions/; what it decides belongs in smart/, policy/
and consent/.
"""
