/** Several callers at once, each beginning the next piece of work when its last is done. */

export interface Round {
  readonly done: number;
  readonly seconds: number;
}

/** Until `ms` have passed, and until each caller has had two turns; what was begun is finished and counts. */
export async function during(ms: number, callers: number, work: (turn: number) => Promise<void>): Promise<Round> {
  const began = performance.now();
  let turn = 0;
  const caller = async () => {
    while (turn < callers * 2 || performance.now() - began < ms) await work(turn++);
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { done: turn, seconds: (performance.now() - began) / 1000 };
}

/** A given number of pieces. */
export async function times(count: number, callers: number, work: (turn: number) => Promise<void>): Promise<Round> {
  const began = performance.now();
  let turn = 0;
  const caller = async () => {
    while (turn < count) await work(turn++);
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { done: turn, seconds: (performance.now() - began) / 1000 };
}

/** Together: all that was done over all the time. */
export function rate(rounds: readonly Round[]): number {
  const done = rounds.reduce((total, round) => total + round.done, 0);
  return done / rounds.reduce((total, round) => total + round.seconds, 0);
}
