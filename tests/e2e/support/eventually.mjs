// The last resort for what tells nobody when it happens: asks again until the answer is right, with a stated patience.

const STEP_MS = 25;

/** What `ask` gives when it stops throwing; its last error after `patienceMs`. */
export async function eventually(ask, patienceMs) {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (performance.now() > deadline) {
        throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}
