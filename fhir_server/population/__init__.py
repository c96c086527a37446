"""
A population that nobody is in: made up, and the same every time.

`population(seed, patients, as_of)` gives transaction Bundles, `resources(...)` the same people as
resources on their own. Same arguments, same bytes, on any machine; a patient is the same however
many there are. They are shaped as US Core asks, with codes of LOINC, SNOMED CT, RxNorm, CVX,
ICD-10-CM and UCUM, and they hang together: who has diabetes has the glucose, the drug, the goal and
the visits that go with it.

https://hl7.org/fhir/us/core/
"""

from fhir_server.population.bundles import AS_OF, population, resources

__all__ = ["AS_OF", "population", "resources"]
