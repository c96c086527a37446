// Starts Swagger UI, from our own origin alone, and shows the OpenAPI document that is chosen.
//
// A token that a person pastes stays in the memory of this page: nothing is written to the
// browser's storage, and choosing another document does not load the page anew.

"use strict";

const chosen = document.getElementById("document");
const names = new Set(Array.from(chosen.options, (option) => option.value));

const addressOf = (name) => `/openapi/${name}.json`;

function named() {
  const asked = new URLSearchParams(window.location.search).get("of");
  return names.has(asked) ? asked : chosen.options[0].value;
}

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

chosen.value = named();

const ui = SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: addressOf(chosen.value),
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  persistAuthorization: false,
  requestSnippetsEnabled: true,
  tryItOutEnabled: false,
  // The default one asks a server on the internet.
  validatorUrl: null,
});

function show(name) {
  chosen.value = name;
  ui.specActions.updateUrl(addressOf(name));
  ui.specActions.download(addressOf(name));
}

chosen.addEventListener("change", () => {
  window.history.pushState(null, "", `?of=${encodeURIComponent(chosen.value)}`);
  show(chosen.value);
});

window.addEventListener("popstate", () => {
  if (named() !== chosen.value) show(named());
});
