// Where the API is for commands on the box.
import { join } from "node:path";
import { stateRoot } from "../dataplane/state-folder.ts";

export function controlSocket(): string {
  return controlSocketIn(stateRoot());
}

export function controlSocketIn(stateFolder: string): string {
  return join(stateFolder, "control.sock");
}
