// Who watches a lane: at most so many at a time, each with a mirror of its own.
import { SluiceError } from "../../errors.ts";
import { MIRROR_OF_CHANGE, MIRRORS } from "../layout.ts";
import { Observer, type ObserverListener, type ObserverOptions } from "./observer.ts";

export class Observers {
  readonly #byPlace = new Map<number, Observer>();

  /** Throws observer-limit if there are too many already. */
  start(options: Omit<ObserverOptions, "place">, listener: ObserverListener): Observer {
    const place = this.#freePlace();
    if (place === undefined) {
      const what = `${this.#byPlace.size} others watch this chain already`;
      const help = "wait until one of them has ended";
      throw new SluiceError({ code: "observer-limit", where: options.plan.chain, what, help });
    }
    const observer = new Observer({ ...options, place }, listener);
    this.#byPlace.set(place, observer);
    void observer.ended.then(() => this.#byPlace.delete(place));
    return observer;
  }

  /** Nothing that the lane does from now on is seen. */
  stopAll(why: string): void {
    for (const observer of this.#byPlace.values()) observer.detach(why);
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
