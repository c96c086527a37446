"""
User-access brands: what an organization publishes of itself and its portals, so that people find it in apps.

* `bundle.py`        the Brand Bundle as a whole, and its primary brand
* `organization.py`  a brand
* `endpoint.py`      where its data is
* `elements.py`      what the three look at: extensions, links, reasons why a value is absent

All is judged at once; each problem names its element, as FHIRPath from the Bundle.

https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html
"""
