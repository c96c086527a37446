// An EHR, as far as a browser may see it: the command that makes a launch, and the way to the app.

import { attempt, Refusal, requireOwn } from "./smart.js";

const ID = /^[A-Za-z0-9.-]{1,64}$/;

const place = (id) => document.getElementById(id);

function told(id) {
  const value = place(id).value.trim();
  // What is pasted into a shell is an id, or nothing.
  return ID.test(value) ? value : "";
}

function command() {
  const encounter = told("encounter");
  const more = encounter ? ` --encounter ${encounter}` : "";
  return `fhir-server launch --client demo-app --patient ${told("patient") || "ID"}${more}`;
}

function show() {
  place("command").textContent = command();
  place("copied").textContent = "";
}

place("screen").addEventListener("input", show);
place("screen").addEventListener("submit", (event) => event.preventDefault());
show();

place("copy").addEventListener("click", () =>
  attempt(async () => {
    await navigator.clipboard.writeText(command());
    place("copied").textContent = "Copied.";
  }),
);

place("launch").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => {
    const address = new URL(place("address").value.trim());
    if (address.origin !== window.location.origin || address.pathname !== "/demo/launch") {
      throw new Refusal("This is not the address that the command printed.");
    }
    requireOwn(address.searchParams.get("iss"));
    window.location.assign(address);
  });
});
