/**
 * The first process of a container becomes the parent of every process there whose own parent died (a grandchild of a
 * tool that was killed, what somebody started in the container by hand). Node asks only for the ends of its own children,
 * so those would stay zombies, each with a process number, for as long as the container runs.
 */
import { native } from "./native.ts";

const cWaitid = native("waitid", "int", ["int", "int", "void *", "int"]);
const cWaitpid = native("waitpid", "int", ["int", "void *", "int"]);

const P_ALL = 0;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x1000000;
/** Of si_pid in siginfo_t, on 64-bit machines. */
const pidOffset = 16;

/** Milliseconds. Whoever started a process asks for its end within the turn that tells of it. */
const unclaimedMs = 1000;

let suspect: number | undefined;
let looking = false;

/** To be called when a child may have ended, after all that are known were asked for. Does nothing but in a first process. */
export function reapOrphans(first = process.pid === 1): void {
  if (!first || looking) return;
  suspect = ended();
  if (suspect !== undefined) lookAgain();
}

function lookAgain(): void {
  looking = true;
  setTimeout(() => {
    looking = false;
    // Seen twice: nobody here knows it.
    if (suspect !== undefined && ended() === suspect) cWaitpid(suspect, null, WNOHANG);
    reapOrphans(true);
  }, unclaimedMs).unref();
}

/** A child that has ended and that nobody asked for yet; it stays one. */
function ended(): number | undefined {
  const info = Buffer.alloc(128);
  if (Number(cWaitid(P_ALL, 0, info, WNOHANG | WEXITED | WNOWAIT)) !== 0) return undefined;
  return info.readInt32LE(pidOffset) || undefined;
}
