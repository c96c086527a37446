// The app starts by itself: https://hl7.org/fhir/smart-app-launch/app-launch.html#launch-app-standalone-launch

import { attempt, authorize } from "./smart.js";

document.getElementById("launch").addEventListener("submit", (event) => {
  event.preventDefault();
  const scope = document.getElementById("scope").value.trim().split(/\s+/).join(" ");
  attempt(() => authorize(scope));
});
