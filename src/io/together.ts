/** Pieces of work at the same time. */

/**
 * Waits for both. If one fails, the other is stopped and awaited.
 * @param outer stops both
 * @returns what both give
 * @throws the first error
 */
export async function together<First, Second>(
  first: (signal: AbortSignal) => Promise<First>,
  second: (signal: AbortSignal) => Promise<Second>,
  outer?: AbortSignal,
): Promise<[First, Second]> {
  const controller = new AbortController();
  const signal = outer === undefined ? controller.signal : AbortSignal.any([controller.signal, outer]);
  const works = [first(signal), second(signal)] as const;
  try {
    return await Promise.all(works);
  } catch (error) {
    controller.abort();
    await Promise.allSettled(works);
    throw error;
  }
}

/**
 * Does a piece of work for each item, some at a time. If one fails, no other is started, and those that run are
 * stopped and awaited.
 * @param limit of how many run at the same time
 * @returns what they give, in the order of the items
 * @throws the first error
 */
export async function forEachOf<Item, Result>(
  items: readonly Item[],
  limit: number,
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): Promise<readonly Result[]> {
  const controller = new AbortController();
  const results: Result[] = [];
  const left = items.entries();
  const errors: unknown[] = [];
  const takeTurns = async () => {
    for (const [index, item] of left) {
      if (controller.signal.aborted) return;
      try {
        results[index] = await work(item, controller.signal);
      } catch (error) {
        errors.push(error);
        controller.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, takeTurns));
  if (errors.length > 0) throw errors[0];
  return results;
}

/** The same work, but one call begins when the one before it has ended. */
export function inTurn<Argument, Result>(
  work: (argument: Argument) => Promise<Result>,
): (argument: Argument) => Promise<Result> {
  let before: Promise<unknown> = Promise.resolve();
  return (argument) => {
    const result = before.then(() => work(argument));
    before = result.catch(() => {});
    return result;
  };
}
