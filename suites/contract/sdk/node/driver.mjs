// Drives the published browser client for the contract suite: commands in, answers and events out, one JSON object a
// line.
//
//   {"id": 1, "client": "ann", "method": "login", "params": {…}}   calls a method of that client, which is created first
//   {"id": 1, "data": …}  or  {"id": 1, "error": {"errCode": …, "errMsg": …}}
//   {"client": "ann", "event": "OnRecvNewMessages", "data": …}
//
// The only argument is the directory in which `npm ci` installed the client. Of its builds the modern one is used: in 0.0.14
// the older one (`main`) fails to spread the entries of a Map, and so never reads missed messages.
import { createInterface } from "node:readline";
import path from "node:path";
import { pathToFileURL } from "node:url";

// The client logs to the console; stdout is for the lines above.
for (const name of ["log", "info", "debug", "warn", "trace"]) console[name] = console.error;

const build = path.join(process.argv[2], "node_modules/@openim/client-sdk/lib/index.modern.mjs");
const { getSDK, CbEvents } = await import(pathToFileURL(path.resolve(build)));
const clients = new Map();
const write = (line) => process.stdout.write(JSON.stringify(line) + "\n");

function client(name) {
  if (!clients.has(name)) {
    const sdk = getSDK();
    for (const event of Object.values(CbEvents)) {
      sdk.on(event, ({ data, errCode, errMsg }) => write({ client: name, event, data, errCode, errMsg }));
    }
    clients.set(name, sdk);
  }
  return clients.get(name);
}

async function run({ id, client: name, method, params }) {
  try {
    const answer = await (params === undefined ? client(name)[method]() : client(name)[method](params));
    write({ id, data: answer?.data ?? null });
  } catch (error) {
    write({ id, error: { errCode: error?.errCode ?? -1, errMsg: error?.errMsg ?? String(error) } });
  }
}

process.on("unhandledRejection", (error) => write({ event: "unhandledRejection", data: String(error?.stack ?? error) }));
createInterface({ input: process.stdin })
  .on("line", (line) => run(JSON.parse(line)))
  .on("close", () => process.exit(0));
