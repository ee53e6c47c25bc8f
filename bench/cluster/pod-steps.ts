/** Where the time of pods with claims goes, from the pod's creation to ready, as the API server saw it. */
import { type Figure, median } from "../support/figure.ts";
import type { Request } from "./audit.ts";

const steps = [
  "made, until the scheduler has selected a node",
  "until the claim is bound",
  "until the scheduler, which looks once a second, has seen it and placed the pod",
  "until the kubelet has it ready",
] as const;
type Step = (typeof steps)[number];
export type PodSteps = Readonly<Record<Step, number>>;

/** Milliseconds, of the pod and claim of this name; `ready`: when, since 1970. Undefined where the log lacks a write. */
export function podStepsOf(requests: readonly Request[], name: string, ready: number): PodSteps | undefined {
  const find = (agent: string, verb: string, what: string) =>
    requests.find(
      (each) => each.name === name && each.verb === verb && each.what === what && each.agent.startsWith(agent),
    );
  const made = find("holdfast-bench", "create", "pods");
  const selected = find("kube-scheduler", "update", "persistentvolumeclaims");
  const bound = find("kube-controller-manager", "update", "persistentvolumeclaims/status");
  const placed = find("kube-scheduler", "create", "pods/binding");
  if (!made || !selected || !bound || !placed) return undefined;
  return {
    [steps[0]]: selected.answered - made.answered,
    [steps[1]]: bound.answered - selected.answered,
    [steps[2]]: placed.answered - bound.answered,
    [steps[3]]: ready - placed.answered,
  } as PodSteps;
}

/** Medians of ours beside those of upstream; in brackets those of volumes that are made at once. */
export function podStepFigures(
  ours: readonly PodSteps[],
  theirs: readonly PodSteps[],
  atOnce: readonly PodSteps[],
): readonly Figure[] {
  return steps.map((step) => {
    const of = (all: readonly PodSteps[]) => median(all.map((each) => each[step])) / 1000;
    const [value, other, floor] = [of(ours), of(theirs), of(atOnce)];
    return {
      name: step,
      value,
      unit: "s p50",
      beside: { name: "s upstream", value: other, ratio: value / other },
      more: { "at once": floor },
      note: `PVs at once: ${floor.toFixed(2)}`,
    };
  });
}
