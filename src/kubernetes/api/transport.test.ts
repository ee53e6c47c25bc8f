import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ApiError } from "./api-error.ts";
import { openTransport } from "./transport.ts";

async function serving(handle: (request: IncomingMessage, answer: ServerResponse) => void, idleMs?: number) {
  const sockets = new Set<Socket>();
  const server = createServer(handle);
  server.keepAliveTimeout = 0;
  let connections = 0;
  server.on("connection", (socket) => {
    connections++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  let tokens = 0;
  const cluster = { server: new URL(`http://127.0.0.1:${port}/base/`), token: () => Promise.resolve(`t${++tokens}`) };
  const transport = openTransport(cluster, "test", idleMs === undefined ? {} : { idleMs });
  return {
    transport,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      transport.close();
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

const get = { method: "GET", path: "/x" };
const collect = async (values: AsyncIterable<unknown>) => {
  const all: unknown[] = [];
  for await (const value of values) all.push(value);
  return all;
};

test("the path of the server, the query and the token of now go along; the connection is kept", async () => {
  const seen: string[] = [];
  await using it = await serving((request, answer) => {
    seen.push(`${request.url} ${request.headers.authorization}`);
    answer.end("{}");
  });
  await it.transport.send({ ...get, query: { a: "1 2", b: undefined, c: false } });
  await it.transport.send(get);
  assert.deepEqual(seen, ["/base/x?a=1+2&c=false Bearer t1", "/base/x Bearer t2"]);
  assert.equal(it.connections(), 1);
});

test("a Status says what is wrong, and so does what is none", async () => {
  let body = JSON.stringify({ kind: "Status", reason: "Forbidden", message: "not you" });
  await using it = await serving((_, answer) => {
    answer.writeHead(403, { "retry-after": "3" }).end(body);
  });
  const failure = async () => {
    try {
      return await it.transport.send(get);
    } catch (error) {
      return error;
    }
  };
  const first = await failure();
  assert.ok(first instanceof ApiError);
  assert.deepEqual([first.status, first.reason, first.retryAfterMs], [403, "Forbidden", 3000]);
  assert.equal(first.message, "not you (GET /x: 403)");
  body = "<html>a proxy</html>";
  assert.match(String(await failure()), /<html>a proxy<\/html> \(GET \/x: 403\)/);
  body = "null";
  assert.match(String(await failure()), /null \(GET \/x: 403\)/);
});

test("an answer that is no JSON, or ends too early, is an ApiError without a status", async () => {
  let cut = false;
  await using it = await serving((_, answer) => {
    if (!cut) answer.end("what?");
    else {
      answer.writeHead(200, { "content-length": "100" }).write("{");
      setTimeout(() => answer.destroy(), 20);
    }
  });
  const without = (error: unknown) => error instanceof ApiError && error.status === 0 && /GET \/x/.test(error.message);
  await assert.rejects(it.transport.send(get), without);
  cut = true;
  await assert.rejects(it.transport.send(get), without);
});

test("who answers too slowly is given up: before the answer and within it", async () => {
  let begun = false;
  await using it = await serving((_, answer) => {
    if (begun) answer.writeHead(200).write("{");
  });
  for (begun of [false, true]) {
    const began = performance.now();
    await assert.rejects(it.transport.send({ ...get, timeoutMs: 100 }), ApiError);
    assert.ok(performance.now() - began < 2000);
  }
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 50);
  await assert.rejects(it.transport.send({ ...get, signal: stop.signal }), ApiError);
  begun = false;
  await assert.rejects(collect(it.transport.stream({ ...get, timeoutMs: 100 })), /GET \/x: /);
});

test("a stream's values are told one by one, however the bytes come", async () => {
  const text = Buffer.from('{"a":"ä€"}\n{"b":2}\n\n{"c":3}\n');
  await using it = await serving((_, answer) => {
    const write = (from: number) => {
      if (from === text.length) answer.end();
      else answer.write(text.subarray(from, from + 1), () => setImmediate(write, from + 1));
    };
    write(0);
  });
  assert.deepEqual(await collect(it.transport.stream(get)), [{ a: "ä€" }, { b: 2 }, { c: 3 }]);
});

test("a stream that is quiet for long goes on, and ends with its signal or its reader", async () => {
  let closed = 0;
  await using it = await serving((_, answer) => {
    answer.writeHead(200).write('{"n":1}\n');
    setTimeout(() => answer.write('{"n":2}\n'), 300);
    answer.on("close", () => closed++);
  });
  const two: unknown[] = [];
  for await (const value of it.transport.stream({ ...get, timeoutMs: 100 })) if (two.push(value) === 2) break;
  assert.deepEqual(two, [{ n: 1 }, { n: 2 }]);
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 50);
  await assert.rejects(collect(it.transport.stream({ ...get, signal: stop.signal })), ApiError);
  while (closed < 2) await sleep(5);
});

test("a stream that breaks off is an error after what it told", async () => {
  await using it = await serving((_, answer) => {
    answer.writeHead(200).write('{"n":1}\n{"n":');
    setTimeout(() => answer.destroy(), 20);
  });
  const told: unknown[] = [];
  await assert.rejects(async () => {
    for await (const value of it.transport.stream(get)) told.push(value);
  }, ApiError);
  assert.deepEqual(told, [{ n: 1 }]);
});

test("watches don't take the places of requests", async () => {
  await using it = await serving((request, answer) => {
    if (request.url === "/base/watch") answer.writeHead(200).write('{"n":1}\n');
    else answer.end("{}");
  });
  const open = Array.from({ length: 40 }, () => it.transport.stream({ method: "GET", path: "/watch" }));
  await Promise.all(open.map((stream) => stream.next()));
  await it.transport.send({ ...get, timeoutMs: 2000 });
  await Promise.all(open.map((stream) => stream.return()));
});

test("a connection that was idle for so long that a proxy may have dropped it is not used again", async () => {
  const last = new Map<Socket, number>();
  await using it = await serving((request, answer) => {
    const before = last.get(request.socket);
    // As one that forgot the connection: whoever speaks on it is refused.
    if (before !== undefined && performance.now() - before > 150) request.socket.resetAndDestroy();
    else answer.end("{}");
    last.set(request.socket, performance.now());
  }, 100);
  await it.transport.send(get);
  await it.transport.send(get);
  assert.equal(it.connections(), 1);
  await sleep(250);
  await it.transport.send(get);
  assert.equal(it.connections(), 2);
});

test("warmed, the next request finds a connection; where one is open nothing is asked", async () => {
  const seen: string[] = [];
  await using it = await serving((request, answer) => {
    seen.push(String(request.url));
    answer.end("{}");
  });
  it.transport.warm();
  it.transport.warm();
  while (seen.length === 0) await sleep(5);
  await sleep(20);
  await it.transport.send(get);
  it.transport.warm();
  await sleep(20);
  assert.deepEqual(seen, ["/base/version", "/base/x"]);
  assert.equal(it.connections(), 1);
});

test("warming a server that is not there is no error", async () => {
  const transport = openTransport({ server: new URL("http://127.0.0.1:1/") }, "test");
  transport.warm();
  await sleep(50);
  transport.close();
});
