// People came back from the server: redeem the code, and show what the app may see.

import { attempt, fhir, redeemed, Refusal, refreshed } from "./smart.js";

const OBSERVATIONS = 10;

const place = (id) => document.getElementById(id);
const tell = (text) => (place("outcome").textContent = text);

let granted = null;

attempt(async () => {
  const told = new URLSearchParams(window.location.search);
  // A code stays in no history and in no address that is copied.
  window.history.replaceState(null, "", window.location.pathname);
  granted = await redeemed(told);
  showGranted();
  await showRecord();
  place("status").textContent = "";
});

onPress("again", async () => {
  await showRecord();
  tell("The record was read again.");
});

onPress("refresh", async () => {
  granted = await refreshed(granted);
  showGranted();
  await showRecord();
  tell(`The token was refreshed, and the record read with the new one. It holds for ${minutes()} minutes.`);
});

onPress("other", async () => {
  const other = document.body.dataset.people.split(" ").find((id) => id !== granted.patient);
  const { status, resource } = await fhir(`Patient/${other}`, granted);
  if (status === 401) throw refused(status, resource);
  const outcome =
    status === 200
      ? "was shown: what was granted goes beyond one patient."
      : `was refused with ${status}, as if there was no such patient.`;
  tell(`Patient/${other} ${outcome}`);
});

function onPress(id, what) {
  const button = place(id);
  button.addEventListener("click", async () => {
    button.disabled = true;
    place("problem").hidden = true;
    tell("");
    await attempt(what);
    button.disabled = false;
  });
}

const minutes = () => Math.round(granted.expires_in / 60);

function showGranted() {
  const scopes = granted.scope.split(" ").filter(Boolean);
  place("scopes").replaceChildren(...scopes.map((scope) => element("li", element("code", scope))));
  const missing = granted.asked.split(" ").filter((scope) => !scopes.includes(scope));
  place("refused").textContent = `Asked for, and not granted as it was asked: ${missing.join(" ")}`;
  place("refused").hidden = missing.length === 0;
  place("granted").hidden = false;
}

async function showRecord() {
  place("record").hidden = true;
  if (!granted.patient) throw new Refusal("No patient came with the token: it takes the scope launch or launch/patient.");
  const patient = await required(`Patient/${granted.patient}`);
  place("name").textContent = nameOf(patient);
  const details = [patient.birthDate && `born ${patient.birthDate}`, patient.gender, `id ${patient.id}`];
  if (granted.encounter) details.push(`encounter ${granted.encounter}`);
  place("details").textContent = details.filter(Boolean).join(", ");
  const search = new URLSearchParams({ patient: granted.patient, _sort: "-date", _count: OBSERVATIONS });
  const { status, resource } = await fhir(`Observation?${search}`, granted);
  if (status === 401) throw refused(status, resource);
  const found = status === 200 ? (resource.entry ?? []) : [];
  const rows = found.map((entry) => entry.resource).filter((one) => one.resourceType === "Observation");
  place("observations").replaceChildren(...rows.map(row));
  place("nothing").hidden = rows.length > 0;
  place("record").hidden = false;
}

async function required(path) {
  const { status, resource } = await fhir(path, granted);
  if (status !== 200) throw refused(status, resource);
  return resource;
}

function refused(status, outcome) {
  const reason = outcome.issue?.[0]?.diagnostics ?? "";
  return new Refusal(`The server refused it with ${status}. ${reason}`);
}

function row(observation) {
  const cells = [(observation.effectiveDateTime ?? "").slice(0, 10), textOf(observation.code), valueOf(observation)];
  const made = element("tr", ...cells.map((text) => element("td", text)));
  made.dataset.category = (observation.category ?? []).map((one) => one.coding?.[0]?.code).join(" ");
  return made;
}

function valueOf(observation) {
  if (observation.component && !observation.valueQuantity) {
    return observation.component.map((one) => `${textOf(one.code)} ${valueOf(one)}`).join(", ");
  }
  const quantity = observation.valueQuantity;
  if (quantity) return `${quantity.value} ${quantity.unit ?? quantity.code ?? ""}`;
  return observation.valueCodeableConcept ? textOf(observation.valueCodeableConcept) : (observation.valueString ?? "");
}

const textOf = (concept) => concept?.text ?? concept?.coding?.[0]?.display ?? concept?.coding?.[0]?.code ?? "";

function nameOf(patient) {
  const name = patient.name?.[0] ?? {};
  return name.text ?? ([...(name.given ?? []), name.family ?? ""].join(" ") || "No name");
}

function element(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}
