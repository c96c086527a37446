// SMART App Launch as an app does it, with what a browser brings along: fetch and crypto.subtle.
//
// What waits for an answer (the PKCE verifier, by its state) is in sessionStorage, which ends with this tab. Tokens
// are in the memory of the page alone.
//
// https://hl7.org/fhir/smart-app-launch/app-launch.html

const CLIENT_ID = "demo-app";
const REDIRECT_URI = new URL("/demo/callback", window.location.origin).href;
const WAITING = "demo-app/";

// The one server that this app trusts: the one that served it.
export const server = document.body.dataset.iss;

export class Refusal extends Error {}

export function show(problem) {
  const place = document.getElementById("problem");
  place.textContent = problem instanceof Refusal ? problem.message : `This went wrong: ${problem.message}`;
  place.hidden = false;
  const status = document.getElementById("status");
  if (status) status.textContent = "";
}

// Runs what a page does, and shows why it could not.
export async function attempt(what) {
  try {
    await what();
  } catch (problem) {
    show(problem);
  }
}

export function requireOwn(iss) {
  if (iss !== server) {
    throw new Refusal(`This app works with ${server} alone, and was launched for another server.`);
  }
}

async function discovered() {
  const origin = new URL(server).origin;
  if (origin !== window.location.origin) {
    throw new Refusal(`The server is called ${origin}: open this page there.`);
  }
  const answer = await fetch(`${server}/.well-known/smart-configuration`);
  if (!answer.ok) throw new Refusal(`The server does not say how to launch apps (${answer.status}).`);
  return answer.json();
}

// Leaves the page: people log in and decide at the server, and come back to /demo/callback.
export async function authorize(scope, launch) {
  const config = await discovered();
  const [verifier, state] = [random(), random()];
  sessionStorage.setItem(WAITING + state, JSON.stringify({ verifier, scope }));
  const asked = new URLSearchParams({
    response_type: "code",
    client_id: CLIENT_ID,
    redirect_uri: REDIRECT_URI,
    scope,
    state,
    aud: server,
    code_challenge: await challengeOf(verifier),
    code_challenge_method: "S256",
  });
  if (launch) asked.set("launch", launch);
  window.location.assign(`${config.authorization_endpoint}?${asked}`);
}

// What the server granted, for the answer that stands in this page's address; `asked` is what was asked for.
export async function redeemed(told) {
  const key = WAITING + told.get("state");
  const waiting = JSON.parse(sessionStorage.getItem(key));
  if (waiting === null) throw new Refusal("This tab waits for no answer: start again.");
  sessionStorage.removeItem(key);
  // https://www.rfc-editor.org/rfc/rfc9207: the answer is of the server that was asked.
  requireOwn(told.get("iss"));
  if (told.has("error")) {
    const reason = told.get("error_description") ?? "";
    throw new Refusal(`The server says no (${told.get("error")}). ${reason}`);
  }
  const granted = await tokens({
    grant_type: "authorization_code",
    code: told.get("code"),
    redirect_uri: REDIRECT_URI,
    code_verifier: waiting.verifier,
  });
  return { ...granted, asked: waiting.scope };
}

// The same grant with new tokens; the refresh token that was used is worth nothing any more.
export async function refreshed(granted) {
  if (!granted.refresh_token) {
    throw new Refusal("No refresh token was granted: it takes the scope offline_access or online_access.");
  }
  const told = await tokens({ grant_type: "refresh_token", refresh_token: granted.refresh_token });
  return { ...granted, ...told };
}

async function tokens(form) {
  const config = await discovered();
  const body = new URLSearchParams({ ...form, client_id: CLIENT_ID });
  const answer = await fetch(config.token_endpoint, { method: "POST", body });
  const told = await answer.json();
  if (!answer.ok) throw new Refusal(`The server gives no token (${told.error}). ${told.error_description ?? ""}`);
  return told;
}

// What the FHIR API answers: its status, and the resource.
export async function fhir(path, granted) {
  const headers = { Accept: "application/fhir+json", Authorization: `Bearer ${granted.access_token}` };
  const answer = await fetch(`${server}/${path}`, { headers, cache: "no-store" });
  return { status: answer.status, resource: await answer.json() };
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(48)));
}

async function challengeOf(verifier) {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
