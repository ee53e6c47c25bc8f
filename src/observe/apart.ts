/**
 * Work beside the process's main work, whose mistakes must not end it: an error that nobody caught is told to whoever
 * began the work, by the asynchronous context that Node keeps for each timer, promise and callback.
 */
import { AsyncLocalStorage } from "node:async_hooks";

type OnSurprise = (error: unknown) => void;

const begun = new AsyncLocalStorage<OnSurprise>();

/** Runs `work`; what it and all that it begins throws uncaught goes to `onSurprise`, once the process has `surprise` ask. */
export function apart<T>(onSurprise: OnSurprise, work: () => T): T {
  return begun.run(onSurprise, work);
}

/** For the process's handlers of uncaught errors. False: the error is the main work's own. */
export function surprise(error: unknown): boolean {
  const tell = begun.getStore();
  tell?.(error);
  return tell !== undefined;
}
