// Who watches a lane: at most so many at a time, each with a mirror of its own.
import { SluiceError } from "../../errors.ts";
import { MIRROR_OF_CHANGE, MIRRORS } from "../layout.ts";
import { Lookout, type LookoutListener, type LookoutOptions } from "./lookout.ts";

export class Lookouts {
  readonly #byPlace = new Map<number, Lookout>();

  /** Throws watch-limit if there are too many already. */
  start(options: Omit<LookoutOptions, "place">, listener: LookoutListener): Lookout {
    const place = this.#freePlace();
    if (place === undefined) {
      const what = `${this.#byPlace.size} others watch this chain already`;
      const help = "wait until one of them has ended";
      throw new SluiceError({ code: "watch-limit", where: options.plan.chain, what, help });
    }
    const lookout = new Lookout({ ...options, place }, listener);
    this.#byPlace.set(place, lookout);
    void lookout.ended.then(() => this.#byPlace.delete(place));
    return lookout;
  }

  /** Nothing that the lane does from now on is seen. */
  stopAll(why: string): void {
    for (const lookout of this.#byPlace.values()) lookout.detach(why);
  }

  async endAll(why: string): Promise<void> {
    const ending = [...this.#byPlace.values()];
    this.stopAll(why);
    await Promise.all(ending.map(({ ended }) => ended));
  }

  #freePlace(): number | undefined {
    for (let place = 0; place < MIRRORS; place++) {
      if (place !== MIRROR_OF_CHANGE && !this.#byPlace.has(place)) return place;
    }
    return undefined;
  }
}
