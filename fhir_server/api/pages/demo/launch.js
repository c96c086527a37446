// An EHR opened the app: https://hl7.org/fhir/smart-app-launch/app-launch.html#launch-app-ehr-launch

import { attempt, authorize, Refusal, requireOwn } from "./smart.js";

const SCOPE = "launch openid fhirUser offline_access patient/Patient.rs patient/Observation.rs patient/Encounter.rs";

attempt(async () => {
  const told = new URLSearchParams(window.location.search);
  requireOwn(told.get("iss"));
  if (!told.get("launch")) throw new Refusal("The EHR named no launch.");
  await authorize(SCOPE, told.get("launch"));
});
