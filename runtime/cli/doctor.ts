// sluice doctor: what this machine can and cannot do, line by line, and how to mend it.

import type { Command } from "commander";
import { diagnose, type Finding } from "../dataplane/doctor.ts";
import { paint, printJson, printLine, type Style } from "./output.ts";

const styles: Record<Finding["status"], Style> = { ok: "green", warn: "yellow", fail: "red" };

export function registerDoctor(program: Command): void {
  program
    .command("doctor")
    .description("say what this machine and its devices can and cannot do, and how to mend it")
    .argument("[device...]", "network devices to examine")
    .option("--probe", "try the XDP modes of each device; a busy device may lose a few frames")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExit status: 0 if nothing failed, 1 otherwise.")
    .action(examine);
}

async function examine(
  devices: readonly string[],
  options: { readonly probe?: boolean; readonly json?: boolean },
): Promise<void> {
  const findings = await diagnose(devices, { probe: options.probe === true });
  if (options.json) printJson(findings);
  else for (const line of formatFindings(findings)) printLine(line);
  if (findings.some(({ status }) => status === "fail")) process.exitCode = 1;
}

export function formatFindings(findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map(({ subject }) => subject.length));
  const indent = " ".repeat(6);
  return findings.flatMap(({ subject, status, found, meaning, mend }) => [
    `${paint(styles[status], status.padEnd(4))}  ${subject.padEnd(width)}  ${found}: ${meaning}`,
    ...(mend === undefined ? [] : [`${indent}${" ".repeat(width)}  ${paint("bold", "mend:")} ${mend}`]),
  ]);
}
