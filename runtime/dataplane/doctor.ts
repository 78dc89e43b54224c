// What this machine, and each device, can and cannot do for the dataplane, and how to mend it.

import { collectDevice } from "./doctor/device-facts.ts";
import { judgeDevice } from "./doctor/judge-device.ts";
import { judgeMachine } from "./doctor/judge-machine.ts";
import { collectMachine } from "./doctor/machine-facts.ts";
import { loadAddon, steeringProgram } from "./load-addon.ts";
import type { AfxdpProbe } from "./native.ts";

export interface Finding {
  /** "kernel", "lan0 MTU" … */
  readonly subject: string;
  /** warn: it works, but not as well or not always. fail: chains cannot run on real devices. */
  readonly status: "ok" | "warn" | "fail";
  /** The fact: a version, a number, a list. */
  readonly found: string;
  /** What it means for chains. */
  readonly meaning: string;
  /** A command or an action; only for warn and fail. */
  readonly mend?: string;
}

export interface DiagnoseOptions {
  /** Try the XDP modes by opening each for a moment. May make the driver reset its queues. */
  readonly probe?: boolean;
}

export async function diagnose(devices: readonly string[], options: DiagnoseOptions = {}): Promise<Finding[]> {
  const findings = judgeMachine(collectMachine());
  for (const device of devices) {
    const probe = options.probe === true ? probeDevice : undefined;
    findings.push(...judgeDevice(await collectDevice(device, probe)));
  }
  return findings;
}

function probeDevice(device: string): readonly AfxdpProbe[] {
  return loadAddon().probeAfxdp({ device, queue: 0, program: steeringProgram });
}
