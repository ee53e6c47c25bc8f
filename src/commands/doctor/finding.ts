/** One line of `holdfast doctor`. */
export interface Finding {
  readonly level: "ok" | "warning" | "error";
  /** What was looked at, as `loop devices`. */
  readonly what: string;
  readonly told: string;
  /** What to do; absent when it is ok. */
  readonly fix?: string;
}

export function ok(what: string, told: string): Finding {
  return { level: "ok", what, told };
}
export function warning(what: string, told: string, fix: string): Finding {
  return { level: "warning", what, told, fix };
}
export function error(what: string, told: string, fix: string): Finding {
  return { level: "error", what, told, fix };
}
