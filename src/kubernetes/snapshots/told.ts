/** What a failure is called on an object, in the log and for the queue. */
import { Later } from "../api/queue.ts";

/** Something is missing or wrong that somebody else must mend: said on the object as `reason` and `message`, and looked at again. */
export class Unfit extends Error {
  override readonly name = "Unfit";
  /** One word in CamelCase, for the event. */
  readonly reason: string;
  /** Whether it can't be restored now; else that is left as it is. */
  readonly unusable: boolean;

  constructor(reason: string, message: string, unusable = true, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.unusable = unusable;
  }
}

/** For the queue: to be tried again after a growing wait; all has been said. */
export const tryAgain = (what: string): Later => new Later(`${what}: will be tried again`);

/** RFC 3339 in seconds, as the API has it. */
export const timestamp = (ms = Date.now()): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
