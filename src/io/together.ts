/** Two pieces of work at the same time. */

/**
 * Waits for both. When one fails, the other one is told to stop, and is waited for.
 * @returns what both give
 * @throws the first error
 */
export async function together<First, Second>(
  first: (signal: AbortSignal) => Promise<First>,
  second: (signal: AbortSignal) => Promise<Second>,
): Promise<[First, Second]> {
  const controller = new AbortController();
  const works = [first(controller.signal), second(controller.signal)] as const;
  try {
    return await Promise.all(works);
  } catch (error) {
    controller.abort();
    await Promise.allSettled(works);
    throw error;
  }
}
