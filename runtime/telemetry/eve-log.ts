// The EVE log of a running chain.
import type { EveType } from "../chain/telemetry.ts";
import type { NativeAddon } from "../dataplane/native.ts";
import { formatReport } from "./eve-reports.ts";
import { LogFile } from "./log-file.ts";
import type { Report } from "./report-reader.ts";

const typeOf: Readonly<Record<Report["kind"], EveType>> = { flow: "flow", drop: "drop", event: "alert" };

export class EveLog {
  readonly #native: Pick<NativeAddon, "parse">;
  readonly #types: readonly EveType[];
  readonly #file: LogFile;

  /** `complain` is told once when lines cannot be written. */
  constructor(
    native: Pick<NativeAddon, "parse">,
    { file, types }: { readonly file: string; readonly types: readonly EveType[] },
    complain: (what: string) => void,
  ) {
    this.#native = native;
    this.#types = types;
    this.#file = new LogFile(file, complain);
  }

  /** Lines that were written, and that were lost. */
  get statistics(): { readonly written: number; readonly lost: number } {
    return { written: this.#file.written, lost: this.#file.lost };
  }

  /** Written soon; never waits. */
  add(reports: readonly Report[]): void {
    for (const report of reports) {
      if (this.#types.includes(typeOf[report.kind])) this.#file.add(formatReport(this.#native, report));
    }
    void this.#file.flush();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
