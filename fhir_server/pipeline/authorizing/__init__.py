"""
The authorization server: who asks, what they are given, and how it is taken back.

One file for each thing that is asked: `asking.py` an authorization; `signing_in.py`, `choosing.py` and
`approving.py` what a person does before it is given; `granting.py` a token, `revoking.py` that it holds no
more; `launching.py` a launch from an EHR. `proving.py` finds out which client it is, and `recording.py` has
each of them leave a record.

https://www.rfc-editor.org/rfc/rfc6749, https://hl7.org/fhir/smart-app-launch/
"""
