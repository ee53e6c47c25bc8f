/** Where a claim's time goes: each step of its way from its creation to Bound, as the API server saw it. */
import type { Figure } from "../support/figure.ts";
import { median } from "../support/figure.ts";
import type { Request } from "./audit.ts";

/** A claim that was bound. */
export interface Served {
  readonly name: string;
  readonly uid: string;
}

const steps = [
  "the controller-manager hears of the claim, and writes whom it asks",
  "from then until the PV's write arrives: all that the provisioner does and did not do before",
  "the API server writes the PV",
  "the controller-manager hears of it, and writes the PV's status",
  "it writes the volume's name into the claim",
  "it writes the claim's status: Bound",
  "requests of driver and helpers a claim",
] as const;

type Step = (typeof steps)[number];
export type Steps = Readonly<Record<Step, number>>;

/** Milliseconds, and a number of requests. Undefined where the log lacks one of the writes. */
export function stepsOf(requests: readonly Request[], { name, uid }: Served): Steps | undefined {
  const manager = ({ agent }: Request) => agent.startsWith("kube-controller-manager");
  const find = (verb: string, what: string, nth = 0, by: (request: Request) => boolean = () => true) =>
    requests.filter(
      (each) => each.verb === verb && each.what === what && (each.name === name || each.name.endsWith(uid)) && by(each),
    )[nth];
  const claimed = find("create", "persistentvolumeclaims");
  const asked = find("update", "persistentvolumeclaims", 0, manager);
  const made = find("create", "persistentvolumes");
  const taken = find("update", "persistentvolumes/status", 0, manager);
  const named = find("update", "persistentvolumeclaims", 1, manager);
  const bound = find("update", "persistentvolumeclaims/status", 0, manager);
  if (!claimed || !asked || !made || !taken || !named || !bound) return undefined;
  // What is sent about it later, as events, is counted with it: the next claim comes after a second.
  const own = requests.filter(
    ({ agent, came, verb }) =>
      /^(?:csi-|holdfast(?:-bench-instant|\/))/.test(agent) &&
      verb !== "list" &&
      came >= claimed.came &&
      came < claimed.came + 900,
  );
  return {
    [steps[0]]: asked.answered - claimed.answered,
    [steps[1]]: made.came - asked.answered,
    [steps[2]]: made.answered - made.came,
    [steps[3]]: taken.answered - made.answered,
    [steps[4]]: named.answered - taken.answered,
    [steps[5]]: bound.answered - named.answered,
    [steps[6]]: own.length,
  } as Steps;
}

/** Medians of ours beside those of upstream; in brackets those of PVs that are made at once. */
export function stepFigures(
  ours: readonly Steps[],
  theirs: readonly Steps[],
  atOnce: readonly Steps[],
): readonly Figure[] {
  return steps.map((step) => {
    const of = (all: readonly Steps[]) => median(all.map((each) => each[step]));
    const [value, other, floor] = [of(ours), of(theirs), of(atOnce)];
    return {
      name: step,
      value,
      unit: step.startsWith("requests") ? "" : "ms p50",
      beside: { name: "upstream", value: other, ratio: value / other },
      more: { "at once": floor },
      note: `PVs at once: ${floor.toFixed(1)}`,
    };
  });
}
