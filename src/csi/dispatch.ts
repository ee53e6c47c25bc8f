/**
 * What every call has in common, written once: decoding without secrets, a signal that ends with the caller or its
 * deadline, errors to status codes, one log line, and an orderly end.
 */
import { randomBytes } from "node:crypto";
import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import type { Log } from "../observe/log.ts";
import { Problem } from "../pools/problem.ts";
import type { Call } from "../volumes/api.ts";
import { type Failure, logCall } from "./call-log.ts";
import { dropSecrets } from "./secrets.ts";
import { codeOf } from "./status.ts";
import { methodPath } from "./wire.ts";

/** The unary methods of a service; those left out answer UNIMPLEMENTED. */
export type Handlers<S extends DescService> = {
  readonly [K in keyof S["method"] as S["method"][K]["methodKind"] extends "unary" ? K : never]?: (
    request: MessageShape<S["method"][K]["input"]>,
    call: Call,
  ) => Promise<MessageInitShape<S["method"][K]["output"]>>;
};

type Handler = (request: Message, call: Call) => Promise<never>;
type Reply = sendUnaryData<Uint8Array>;

/** Characters of a message on the wire: it travels in a header, percent-encoded, and HTTP/2 peers limit those. */
const longestMessage = 2000;

/** How long calls that were told to end may take for it before their connection is cut. */
const endWithinMs = 1000;

export class Dispatcher {
  readonly #log: Log;
  readonly #running = new Set<AbortController>();
  readonly #process = randomBytes(3).toString("hex");
  #calls = 0;
  #stopping = false;
  #whenIdle: (() => void) | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** All methods of `service`. `handlers` absent: this process does not serve it, and each call says so. */
  register<S extends DescService>(server: Server, service: S, handlers: Handlers<S> | undefined): void {
    for (const method of service.methods) {
      const handler = (handlers as Readonly<Record<string, Handler>> | undefined)?.[method.localName];
      const why =
        handlers === undefined ? `this process does not serve ${service.typeName}` : "this driver does not offer it";
      const unary = (call: ServerUnaryCall<Buffer, Uint8Array>, reply: Reply) =>
        void this.#answer(method, handler, why, call, reply);
      const stream = (call: ServerWritableStream<Buffer, Uint8Array>) =>
        void this.#answer(method, undefined, why, call, (error) => call.emit("error", error));
      // Requests are decoded here and not by grpc-js, which would put the decoder's words into its answer.
      const asIs = (bytes: Buffer) => bytes;
      const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      if (method.methodKind === "unary") server.register(methodPath(method), unary, asBuffer, asIs, "unary");
      else server.register(methodPath(method), stream, asBuffer, asIs, "serverStream");
    }
  }

  /**
   * No new calls from now on (UNAVAILABLE); resolves when the running ones are done. Those that still run after
   * `graceMs` milliseconds are aborted and given a second to end.
   */
  async drain(graceMs: number): Promise<void> {
    this.#stopping = true;
    if (await this.#idleWithin(graceMs)) return;
    for (const controller of this.#running) controller.abort(new Problem("STOPPING", "the driver is stopping"));
    await this.#idleWithin(endWithinMs);
  }

  #idleWithin(ms: number): Promise<boolean> {
    if (this.#running.size === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      this.#whenIdle = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  async #answer(
    method: DescMethod,
    handler: Handler | undefined,
    whyNot: string,
    wire: ServerUnaryCall<Buffer, Uint8Array> | ServerWritableStream<Buffer, Uint8Array>,
    reply: Reply,
  ): Promise<void> {
    const began = performance.now();
    const controller = new AbortController();
    const arrived = Date.now();
    const deadline = Number(wire.getDeadline());
    const call: Call = {
      rpc: method.name,
      signal: controller.signal,
      requestId: `${this.#process}-${++this.#calls}`,
      ...(Number.isFinite(deadline) ? { deadline } : {}),
    };
    wire.on("cancelled", () => {
      if (this.#running.has(controller)) controller.abort(gone(method.name, deadline, deadline - arrived));
    });
    this.#running.add(controller);
    let request: Message | undefined;
    let answer: Message | undefined;
    let failure: Failure | undefined;
    try {
      if (this.#stopping) throw new Problem("STOPPING", `${method.name} came while the driver was stopping`);
      if (handler === undefined) throw new Problem("FEATURE_ABSENT", `${method.name} is not implemented: ${whyNot}`);
      request = decode(method, wire.request);
      answer = create(method.output, await handler(request, call));
      const bytes = toBinary(method.output, answer);
      reply(null, bytes);
    } catch (error) {
      failure = failureOf(error, call);
      reply({ code: failure.code, details: failure.message, name: "", message: "" });
    } finally {
      this.#running.delete(controller);
      if (this.#running.size === 0) this.#whenIdle?.();
    }
    const ms = performance.now() - began;
    afterwards(() => logCall(this.#log, call, ms, request, answer, failure));
  }
}

/** When the answer is on its way: its trailers leave a turn of the loop after its message. */
function afterwards(work: () => void): void {
  setImmediate(() => setImmediate(work));
}

function decode(method: DescMethod, bytes: Buffer): Message {
  try {
    const request = fromBinary(method.input, bytes, { readUnknownFields: false });
    dropSecrets(method.input, request);
    return request;
  } catch {
    // The decoder's own words could quote what it read.
    throw new Problem("FIELD_INVALID", `the message of ${bytes.length} bytes is not a ${method.input.name}`);
  }
}

/**
 * Why a call ends early. The deadline's own timer may run a few milliseconds ahead of the clock, and its caller's clock began
 * when the request was sent: on a busy machine some time before it arrived with `given` milliseconds to go.
 */
function gone(rpc: string, deadline: number, given: number): Problem {
  return Date.now() >= deadline - Math.max(5, given / 20)
    ? new Problem("CALL_TIMED_OUT", `${rpc} ran into its caller's deadline`)
    : new Problem("CALL_CANCELLED", `the caller of ${rpc} went away`);
}

function failureOf(error: unknown, call: Call): Failure {
  // What an aborted system call or child throws is only the echo of the reason.
  const meant = !(error instanceof Problem) && call.signal.aborted ? call.signal.reason : error;
  if (meant instanceof Problem) {
    return { code: codeOf(meant), message: onTheWire(meant.message), problem: meant.code };
  }
  const message = `an unexpected error; see the driver's log line of request ${call.requestId} [INTERNAL]`;
  return { code: status.INTERNAL, message, problem: "INTERNAL", error };
}

function onTheWire(message: string): string {
  const cut = message.length > longestMessage ? `${message.slice(0, longestMessage)}...` : message;
  // Half a surrogate pair would make grpc-js throw when it encodes the header.
  return cut.toWellFormed();
}
