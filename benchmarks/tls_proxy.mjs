// Terminates TLS before the server at TARGET_PORT, and counts the handshakes. What it prints is an address of its own,
// which answers with its port and the count.
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect } from "node:net";
import { createServer } from "node:tls";

let handshakes = 0;

const proxy = createServer(
  { cert: readFileSync(process.env.CERTIFICATE), key: readFileSync(process.env.KEY), noDelay: true },
  (client) => {
    handshakes += 1;
    const server = connect({ host: "127.0.0.1", port: Number(process.env.TARGET_PORT), noDelay: true });
    client.on("error", () => server.destroy()).on("close", () => server.destroy());
    server.on("error", () => client.destroy()).on("close", () => client.destroy());
    client.pipe(server).pipe(client);
  },
);

const counter = createHttpServer((_, response) => {
  response.end(JSON.stringify({ port: proxy.address().port, handshakes }));
});

proxy.listen(0, "127.0.0.1", () => {
  counter.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${counter.address().port}`));
});
