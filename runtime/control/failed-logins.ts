// Whoever shows no token, or a wrong one, may not try that often: so many times a second from one address.
const MOST = 10;
const WITHIN_MS = 1000;
/** Addresses that are remembered; those that failed longest ago are forgotten first. */
const ADDRESSES = 4096;

interface Failures {
  count: number;
  readonly since: number;
}

export class FailedLogins {
  readonly #byPlace = new Map<string, Failures>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How long whoever is there has to wait before he is listened to again; 0: not at all. */
  waitSeconds(place: string): number {
    const found = this.#find(place);
    if (found === undefined || found.count < MOST) return 0;
    return Math.max(1, Math.ceil((found.since + WITHIN_MS - this.#now()) / 1000));
  }

  add(place: string): void {
    const found = this.#find(place) ?? { count: 0, since: this.#now() };
    found.count += 1;
    this.#byPlace.delete(place);
    this.#byPlace.set(place, found);
    if (this.#byPlace.size > ADDRESSES) this.#byPlace.delete(this.#byPlace.keys().next().value as string);
  }

  #find(place: string): Failures | undefined {
    const found = this.#byPlace.get(place);
    if (found === undefined || found.since + WITHIN_MS > this.#now()) return found;
    this.#byPlace.delete(place);
    return undefined;
  }
}
