// fauxqs, with a gate in front of ReceiveMessage, a count of the calls, and as much latency as is asked for:
// GET /_bench/{open,shut,counts}, /_bench/latency?milliseconds=20.
import { setTimeout as sleep } from "node:timers/promises";
import { buildApp } from "fauxqs";

const app = buildApp({ logger: false });
let calls = {};
let waiting = 0;
let deleted = {};
let lastDelete = {};
let openedAt = 0;
let open = () => {};
let gate = null;
let latency = 0;

app.addHook("preHandler", async (request) => {
  const action = request.headers["x-amz-target"]?.split(".")[1];
  const queue = request.body?.QueueUrl?.split("/").at(-1);
  if (!action || !queue) return;
  if (latency) await sleep(latency);
  if (action === "ReceiveMessage" && gate) {
    waiting += 1;
    await gate;
    waiting -= 1;
  }
  const key = `${queue} ${action}`;
  calls[key] = (calls[key] ?? 0) + 1;
  if (action.startsWith("DeleteMessage")) {
    deleted[queue] = (deleted[queue] ?? 0) + (request.body.Entries?.length ?? 1);
    lastDelete[queue] = performance.now();
  }
});

app.get("/_bench/shut", async () => {
  if (!gate) gate = new Promise((resolve) => (open = resolve));
  calls = {};
  deleted = {};
  lastDelete = {};
  return {};
});
app.get("/_bench/open", async () => {
  gate = null;
  openedAt = performance.now();
  open();
  return {};
});
app.get("/_bench/latency", async (request) => {
  latency = Number(request.query.milliseconds);
  return {};
});
app.get("/_bench/counts", async () => ({ calls, deleted, lastDelete, waiting, openedAt }));

console.log(await app.listen({ host: "127.0.0.1", port: 0 }));
