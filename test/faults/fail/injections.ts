/** One failing call: how it is found, named and made. */
import { spread } from "../frame/part.ts";
import { nameOf, type Point, pointOf, strike, watch } from "../strace.ts";
import { errorsOf } from "./errors.ts";
import { type Call, isCall, type Preload } from "./preload.ts";

/**
 * `thread`: by strace, on one of the driver's two threads. `driver`, `tool`: by the preloaded library, in the driver or in
 * the programs that it starts. `error` absent: the call moves only a part.
 */
export type Injection =
  | { readonly where: "thread"; readonly point: Point; readonly error: string }
  | {
      readonly where: "driver" | "tool";
      readonly call: Call;
      readonly nth: number;
      readonly error: string | undefined;
    };

/** Of a program's calls most are alike: so many are tried of each kind. */
const toolSteps = 12;

/** Which of the library's calls fail in the programs, and how. */
const toolErrors: Partial<Record<Call, readonly string[]>> = {
  write: ["EIO"],
  pwrite64: ["EIO", "ENOSPC"],
  pread64: ["EIO"],
  fsync: ["EIO"],
  open: ["EIO", "ENOMEM"],
  ioctl: ["EIO"],
  ftruncate: ["EIO"],
  fallocate: ["ENOSPC"],
};

/** Which fail in the driver; absent: it moves only a part. */
const ownErrors: Partial<Record<Call, readonly (string | undefined)[]>> = {
  write: [undefined, "EIO", "ENOSPC", "EINTR"],
  pwrite64: [undefined, "EIO", "ENOSPC", "EINTR"],
  read: [undefined, "EIO"],
  pread64: [undefined, "EIO"],
  copy_file_range: [undefined],
  close: ["EIO"],
};
/** strace would count those on sockets and pipes too, and there are more or fewer of them each time. */
const notByThread = ["read", "pread64", "write", "pwrite64", "writev", "pwritev"];

/** `worker:fsync:3:EIO`, `driver:write:2:part`, `tool:pwrite64:7:ENOSPC`: repeats exactly it. */
export function nameOfInjection(injection: Injection): string {
  if (injection.where === "thread") return `${nameOf(injection.point)}:${injection.error}`;
  return `${injection.where}:${injection.call}:${injection.nth}:${injection.error ?? "part"}`;
}

export function injectionOf(name: string): Injection {
  const [where = "", call = "", nth = "", error = ""] = name.split(":");
  if (where !== "driver" && where !== "tool") return { where: "thread", point: pointOf(name), error };
  if (!isCall(call)) throw new Error(`'${name}' names no call of the library`);
  return { where, call, nth: Number(nth), error: error === "part" ? undefined : error };
}

/** All that can fail in `work`, found by watching it. */
export async function injections(pid: number, preload: Preload, work: () => Promise<unknown>): Promise<Injection[]> {
  let points: Point[] = [];
  const counts = await preload.count(async () => {
    points = await watch(pid, work, "asking");
  });
  const own = points
    .filter(({ role, name }) => role !== "child" && !notByThread.includes(name))
    .flatMap((point) => errorsOf(point).map((error): Injection => ({ where: "thread", point, error })));
  const moves = [...counts.driver].flatMap(([call, count]) =>
    (ownErrors[call] ?? []).flatMap((error) =>
      steps(count).map((nth): Injection => ({ where: "driver", call, nth, error })),
    ),
  );
  const tools = [...counts.tool].flatMap(([call, count]) =>
    (toolErrors[call] ?? []).flatMap((error) =>
      spread(steps(count), toolSteps).map((nth): Injection => ({ where: "tool", call, nth, error })),
    ),
  );
  const all = [...own, ...moves, ...tools];
  return [...new Map(all.map((each) => [nameOfInjection(each), each])).values()];
}

function steps(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

/** `work`, in which that call fails. Answers whether it came to it. */
export async function strikeOnce(
  pid: number,
  preload: Preload,
  injection: Injection,
  work: () => Promise<void>,
): Promise<boolean> {
  if (injection.where === "thread") return strike(pid, injection.point, `error=${injection.error}`, work);
  preload.arm(injection.where, injection.call, injection.nth, injection.error);
  let struck = false;
  try {
    await work();
  } finally {
    struck = preload.disarm();
  }
  return struck;
}
