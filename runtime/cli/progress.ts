// What takes long says so on a terminal: what it is, and for how long it has been at it.

const AFTER_MS = 500;
const EVERY_MS = 100;
const CLEAR_LINE = "\r\u001b[K";
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/** On stderr, and gone when the work is done; without a terminal, nothing. */
export async function withProgress<Result>(what: string, work: Promise<Result>): Promise<Result> {
  if (process.stderr.isTTY !== true) return work;
  const started = performance.now();
  let shown = false;
  const timer = setInterval(() => {
    const elapsedMs = performance.now() - started;
    if (elapsedMs < AFTER_MS) return;
    shown = true;
    const frame = frames[Math.floor(elapsedMs / EVERY_MS) % frames.length];
    process.stderr.write(`${CLEAR_LINE}${frame} ${what}, ${(elapsedMs / 1000).toFixed(0)} s`);
  }, EVERY_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (shown) process.stderr.write(CLEAR_LINE);
  }
}
