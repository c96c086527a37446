// Run by mongosh in compose.yaml's `mongodb-setup`: makes the replica set and the server's user.
// Run again, it changes nothing.

const fs = require("fs");
const secret = (name) => fs.readFileSync(`/run/secrets/${name}`, "utf8").trim();

const admin = db.getSiblingDB("admin");
admin.auth("root", secret("mongodb-root-password"));

try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({
    _id: "rs0",
    members: [
      { _id: 0, host: "mongodb-1:27017", priority: 2 },
      { _id: 1, host: "mongodb-2:27017" },
      { _id: 2, host: "mongodb-3:27017" },
    ],
  });
}

const SECONDS_MAX = 60;
for (let seconds = 0; !db.hello().isWritablePrimary; seconds++) {
  if (seconds === SECONDS_MAX) throw new Error(`mongodb-1 is not primary after ${SECONDS_MAX} seconds`);
  sleep(1000);
}

// The server reads and writes its own database; nothing else.
const user = { pwd: secret("mongodb-password"), roles: [{ role: "readWrite", db: "fhir" }] };
if (admin.getUser("fhir") === null) {
  admin.createUser({ user: "fhir", ...user });
} else {
  admin.updateUser("fhir", user);
}
