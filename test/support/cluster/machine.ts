/**
 * A machine of its own for a kubelet: mount, network and process namespaces whose first process ends all others with
 * it, so that nothing of a killed test stays. It sees this machine's files and devices; `/var/lib`, `/var/log`, `/run` and
 * `/etc/hosts` are its own, and every mount in it is shared within it. What is mounted outside later does not appear.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { letGoOfOthers } from "../namespace.ts";
import { run } from "../run.ts";
import type { Scratch } from "../scratch.ts";
import { type Service, startService, tailOf, until } from "./service.ts";

export interface Machine {
  readonly name: string;
  /** A folder that both sides see at the same path. */
  readonly folder: string;
  /** The process number, outside, of its first process. */
  readonly pid: number;
  /** Where a path of the machine is seen from outside, mounts included. */
  outside(path: string): string;
  /** Runs a program in it to its end; answers its standard output. */
  run(program: string, ...args: readonly string[]): Promise<string>;
  /** Starts a service in it. */
  start(name: string, program: string, args: readonly string[], options?: MachineServiceOptions): Service;
}

export interface MachineServiceOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly endBy?: "SIGKILL" | "SIGTERM";
}

/** Its address in its own network, where nothing else is. */
export const machineAddress = "10.77.1.1";

/** `addresses`: more of its own, on loopback. */
export async function startMachine(scratch: Scratch, name: string, addresses: readonly string[]): Promise<Machine> {
  const folder = mkdtempSync(join(scratch.path, `${name}-`));
  for (const own of ["lib", "log", "run"]) mkdirSync(join(folder, own));
  writeFileSync(join(folder, "hosts"), `127.0.0.1 localhost\n${machineAddress} ${name}\n`);
  const steps = [
    letGoOfOthers(),
    ...["lib", "log"].map((own) => `mount --bind ${folder}/${own} /var/${own}`),
    `mount --bind ${folder}/run /run`,
    "mkdir -p /run/lock /run/netns",
    `mount --bind ${folder}/hosts /etc/hosts`,
    "mount --make-rshared /",
    "ip link set lo up",
    ...addresses.map((address) => `ip address add ${address}/32 dev lo`),
    "ip link add node0 type bridge",
    `ip address add ${machineAddress}/24 dev node0`,
    "ip link set node0 up",
    // The kubelet looks for its address where the default route leads.
    `ip route add default via ${machineAddress}`,
    `touch ${folder}/up`,
    // The shell takes up whatever loses its parent.
    "while :; do sleep 1000 & wait $! || true; done",
  ];
  const first = startService(scratch, {
    name: `machine-${name}`,
    program: "unshare",
    args: [
      ...["--mount", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"],
      ...["sh", "-e", "-c", steps.join("\n")],
    ],
  });
  await until(`machine ${name} is up`, () => existsSync(join(folder, "up")) || undefined, {
    withinMs: 10_000,
    hint: () => tailOf(first),
  });
  const children = readFileSync(`/proc/${first.pid}/task/${first.pid}/children`, "utf8");
  const pid = Number(children.trim().split(" ")[0]);
  const into = ["--target", String(pid), "--mount", "--net", "--pid", "--"];
  // The kernel lets go of a namespace's mounts when it finds the time; what lies below them must be free before.
  scratch.later(() => run("nsenter", [...into, "sh", "-c", clearing(scratch.path)]).then(() => {}));
  return {
    name,
    folder,
    pid,
    outside: (path) => `/proc/${pid}/root${path}`,
    run: (program, ...args) => run("nsenter", [...into, program, ...args]),
    start: (service, program, args, options = {}) =>
      startService(scratch, {
        name: `${service}-${name}`,
        program: "nsenter",
        // Entering a process namespace takes a fork: what runs is the child of what was started.
        args: [...into, "setpriv", "--pdeathsig", "KILL", "--", program, ...args],
        signalsChild: true,
        ...options,
      }),
  };
}

/** Ends all processes but the first, and unmounts what they used, the innermost first. */
function clearing(folder: string): string {
  return `kill -KILL -1
    for try in $(seq 50); do
      left=$(awk '$2 ~ "^(${folder}|/var/lib)/" { print $2 }' /proc/self/mounts | tac)
      [ -n "$left" ] || exit 0
      for each in $left; do umount "$each" 2>/dev/null; done
      sleep 0.1
    done
    echo "still mounted: $left" >&2
    exit 1`;
}
