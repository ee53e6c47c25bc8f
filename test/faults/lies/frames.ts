/** The table of what goes wrong below the messages: frames, headers, connections. */
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp, type Settings } from "node:http2";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Driver } from "../../support/driver.ts";
import { connectRaw, framed } from "./raw.ts";

export interface Abuse {
  readonly name: string;
  /** At once: how many there are of what it makes many of; in the sample a tenth. */
  readonly many?: number;
  readonly run: (driver: Driver, many: number, random: () => number) => Promise<void>;
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const list = "/csi.v1.Controller/ListVolumes";
const probe = "/csi.v1.Identity/Probe";

/** A frame of HTTP/2 (RFC 9113, section 4.1); `says`: another length than it has. */
function frame(type: number, flags: number, stream: number, body: Buffer, says = body.length): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(says, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}
const settings = frame(4, 0, 0, Buffer.alloc(0));

async function open(driver: Driver): Promise<Socket> {
  const socket = connect(driver.socket);
  socket.on("error", () => {}); // the driver may reset it
  socket.resume();
  await once(socket, "connect");
  return socket;
}

/** Writes it, waits until the driver hangs up or for a moment, and goes. */
async function say(driver: Driver, ...bytes: readonly Buffer[]): Promise<void> {
  const socket = await open(driver);
  for (const each of bytes) if (!socket.destroyed) socket.write(each);
  await Promise.race([once(socket, "close").catch(() => {}), sleep(100)]); // an error is its end too
  socket.destroy();
}

const junk = (random: () => number, length: number) => Buffer.from(Array.from({ length }, () => random() * 256));
const times = (count: number, make: (index: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, n) => make(n)));

async function bodies(driver: Driver, ...all: readonly Buffer[]): Promise<void> {
  const connection = await connectRaw(driver.socket);
  for (const body of all) {
    const { message } = await connection.call(probe, body);
    if (message === "no answer") throw new Error(`no answer to the body ${body.subarray(0, 20).toString("hex")}`);
  }
  connection.close();
}

async function headers(driver: Driver, path: string, ...all: readonly Readonly<Record<string, string>>[]) {
  for (const each of all) {
    const connection = await connectRaw(driver.socket);
    const { message } = await connection.call(path, framed(Buffer.alloc(0)), each);
    connection.close();
    if (message === "no answer") throw new Error(`no answer to the headers ${JSON.stringify(each)}`);
  }
}

async function sessionOf(driver: Driver, own: Settings = {}): Promise<ClientHttp2Session> {
  const session = connectHttp("http://localhost", { createConnection: () => connect(driver.socket), settings: own });
  session.on("error", () => {}); // the driver may hang up on it
  await once(session, "connect");
  return session;
}

/** A call whose body is still to come. */
function callOn(session: ClientHttp2Session): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": list,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => {}); // the driver may reset it
  return stream;
}

export const abuses: readonly Abuse[] = [
  {
    name: "frames-of-messages",
    run: (driver) =>
      bodies(
        driver,
        Buffer.alloc(0),
        Buffer.alloc(3),
        framed(Buffer.alloc(0), { length: 10 }),
        framed(Buffer.alloc(10), { length: 3 }),
        framed(Buffer.alloc(10), { length: 2 ** 32 - 1 }),
        framed(Buffer.alloc(10), { flag: 1 }),
        framed(Buffer.alloc(10), { flag: 255 }),
        Buffer.concat([framed(Buffer.alloc(0)), framed(Buffer.alloc(0)), framed(Buffer.alloc(0))]),
        Buffer.concat([framed(Buffer.alloc(0)), Buffer.from("rest")]),
        Buffer.concat(Array.from({ length: 10_000 }, () => framed(Buffer.alloc(0)))),
        framed(Buffer.alloc(8 * 1024 ** 2)),
      ),
  },
  {
    name: "headers",
    run: (driver) =>
      headers(
        driver,
        probe,
        { ":method": "GET" },
        { "content-type": "text/html" },
        { "content-type": "application/grpc+json" },
        { "grpc-encoding": "gzip" },
        { "grpc-encoding": "none-of-them" },
        { "grpc-timeout": "-1S" },
        { "grpc-timeout": "0n" },
        { "grpc-timeout": "99999999H" },
        { "grpc-timeout": "999999999999999999999S" },
        { "grpc-timeout": "1x" },
        { "grpc-timeout": "" },
        { "x-bin": "\u00ff" },
        { "trace-bin": "not base64 !" },
        { long: "x".repeat(60_000) },
        Object.fromEntries(Array.from({ length: 400 }, (_, index) => [`x-${index}`, "y".repeat(100)])),
      ),
  },
  {
    name: "paths",
    async run(driver) {
      for (const path of [
        "/",
        "//",
        "/csi.v1.Node",
        "/csi.v1.Node/",
        "/csi.v1.Node/../Identity/Probe",
        "/%00",
        "*",
        "/a/b/c",
        `/${"x".repeat(9000)}`,
        "/csi.v1.Node/__proto__",
        "/csi.v1.Controller/constructor",
      ])
        await headers(driver, path, {});
    },
  },
  {
    name: "garbage-before",
    async run(driver, _, random) {
      for (const length of [1, 9, 24, 1000, 100_000]) await say(driver, junk(random, length));
      await say(driver, preface.subarray(0, 10));
      await say(driver, Buffer.from("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n"));
      await say(driver, Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]));
    },
  },
  {
    name: "garbage-within",
    async run(driver, _, random) {
      for (let type = 0; type < 12; type += 1) {
        for (const stream of [0, 1, 2, 2 ** 31 - 1]) {
          const body = junk(random, Math.floor(random() * 60));
          await say(driver, preface, settings, frame(type, Math.floor(random() * 256), stream, body));
        }
      }
      for (const length of [30, 3000]) await say(driver, preface, settings, junk(random, length));
    },
  },
  {
    name: "truncated-frames",
    async run(driver) {
      await say(driver, preface, settings, frame(1, 4, 1, Buffer.alloc(10), 100));
      await say(driver, preface, settings, frame(0, 1, 1, Buffer.alloc(10), 2 ** 24 - 1));
      await say(driver, preface, settings.subarray(0, 5));
    },
  },
  {
    name: "floods",
    many: 20_000,
    async run(driver, many) {
      await say(
        driver,
        preface,
        times(many, () => settings),
      );
      await say(
        driver,
        preface,
        settings,
        times(many, () => frame(6, 0, 0, Buffer.alloc(8))),
      );
      await say(
        driver,
        preface,
        settings,
        times(many, (n) => frame(3, 0, 2 * n + 1, Buffer.alloc(4))),
      );
      await say(
        driver,
        preface,
        settings,
        times(many, () => frame(8, 0, 0, Buffer.from([0, 0, 0, 1]))),
      );
      await say(
        driver,
        preface,
        settings,
        frame(1, 0, 1, Buffer.alloc(10, 0x40)),
        times(many, () => frame(9, 0, 1, Buffer.alloc(100, 0x40))),
      );
    },
  },
  {
    name: "calls-taken-back",
    many: 5_000,
    async run(driver, many) {
      const session = await sessionOf(driver);
      for (let count = 0; count < many && !session.destroyed; count += 1) {
        const stream = callOn(session);
        stream.write(framed(Buffer.alloc(0)));
        stream.close(8);
        if (count % 100 === 0) await sleep(1);
      }
      session.destroy();
    },
  },
  {
    name: "connections",
    many: 3_000,
    async run(driver, many) {
      const sockets: Socket[] = [];
      for (let count = 0; count < many; count += 1) {
        const socket = connect(driver.socket);
        socket.on("error", () => {}); // refused at the backlog's end
        sockets.push(socket);
        if (count % 2 === 0) socket.write(Buffer.concat([preface, settings]));
        if (count % 200 === 0) await sleep(5);
      }
      await driver.client.identity.probe({}, { timeoutMs: 20_000 });
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    name: "calls-at-once",
    many: 5_000,
    async run(driver, many) {
      const calls = Array.from({ length: many }, (_, n) =>
        n % 2 === 0 ? driver.client.controller.listVolumes({}) : driver.client.controller.getCapacity({}),
      );
      const ended = await Promise.allSettled(calls);
      const failed = ended.filter(({ status }) => status === "rejected");
      if (failed.length > 0)
        throw new Error(
          `${failed.length} of ${many} calls failed: ${String(failed[0] && "reason" in failed[0] ? failed[0].reason : "")}`,
        );
    },
  },
  {
    name: "answers-never-read",
    many: 2_000,
    async run(driver, many) {
      // No window at all: what is answered stays with the driver until the connection ends.
      const session = await sessionOf(driver, { initialWindowSize: 0 });
      for (let count = 0; count < many; count += 1) {
        const stream = callOn(session);
        stream.end(framed(Buffer.alloc(0)));
      }
      await sleep(500);
      await driver.client.identity.probe({}, { timeoutMs: 10_000 });
      session.destroy();
    },
  },
  {
    name: "one-byte-at-a-time",
    many: 200,
    async run(driver, many) {
      const sockets = await Promise.all(Array.from({ length: many }, () => open(driver)));
      const all = Buffer.concat([preface, settings, frame(1, 4, 1, Buffer.alloc(30), 30)]);
      for (const byte of all.subarray(0, 50)) {
        for (const socket of sockets) if (!socket.destroyed) socket.write(Buffer.from([byte]));
        await sleep(10);
      }
      await driver.client.identity.probe({}, { timeoutMs: 10_000 });
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    name: "bodies-that-never-end",
    many: 500,
    async run(driver, many) {
      const session = await sessionOf(driver);
      for (let count = 0; count < many; count += 1) {
        const stream = callOn(session);
        stream.write(framed(Buffer.alloc(0), { length: 4 * 1024 ** 2 }));
        stream.write(Buffer.alloc(16 * 1024));
      }
      await sleep(300);
      await driver.client.identity.probe({}, { timeoutMs: 10_000 });
      session.destroy();
    },
  },
];
