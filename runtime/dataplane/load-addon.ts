// The one seam to the native addon: finds it, loads it, and turns its errors into SluiceErrors.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { type ErrorCode, errorKinds, SluiceError } from "../errors.ts";
import type { NativeAddon, NativeLane } from "./native.ts";
import type { NativeMirror } from "./native-mirror.ts";

const buildFolder = fileURLToPath(new URL("../../build/native/", import.meta.url));

/** The XDP program's object file, for AfxdpPortOptions.program. */
export const steeringProgram = `${buildFolder}steer.bpf.o`;
export const inletProgram = `${buildFolder}inlet.bpf.o`;
export const addonFile = `${buildFolder}sluice.node`;

type Call<A extends unknown[], R> = (...args: A) => R;

/** Loads the addon. Throws native-missing if it is not built, or not for this machine. */
export function loadAddon(): NativeAddon {
  const raw = requireAddon();
  return {
    ...raw,
    openSegment: translated(raw.openSegment),
    attachSegment: translated(raw.attachSegment),
    overlay: translated(raw.overlay),
    populate: translated(raw.populate),
    claimLaneCpu: translated(raw.claimLaneCpu),
    leaveLaneCpu: translated(raw.leaveLaneCpu),
    inspectCapture: translated(raw.inspectCapture),
    readCapture: translated(raw.readCapture),
    probeAfxdp: translated(raw.probeAfxdp),
    openLinkKeeper: translated(raw.openLinkKeeper),
    createLane: translated((options) => translatePorts(raw.createLane(options))),
    attachLane: (id) => translatePorts(raw.attachLane(id)),
    createMirror: translated((options) => translateCopy(raw.createMirror(options))),
    attachMirror: (id) => translateCopy(raw.attachMirror(id)),
  };
}

function requireAddon(): NativeAddon {
  const help = "run `npm run build`";
  if (!existsSync(addonFile)) {
    throw new SluiceError({ code: "native-missing", where: addonFile, what: "the native addon is not built", help });
  }
  try {
    return createRequire(import.meta.url)(addonFile) as NativeAddon;
  } catch (error) {
    throw new SluiceError({ code: "native-missing", where: addonFile, what: (error as Error).message, help });
  }
}

// The functions of the loop stay as they are: they do not fail, and a wrapper would cost more than they do.
function translatePorts(lane: NativeLane): NativeLane {
  lane.openMemoryPort = translated(lane.openMemoryPort);
  lane.openFilePort = translated(lane.openFilePort);
  lane.openAfxdpPort = translated(lane.openAfxdpPort);
  return lane;
}

function translateCopy(mirror: NativeMirror): NativeMirror {
  mirror.addParts = translated(mirror.addParts);
  mirror.prepareCopy = translated(mirror.prepareCopy);
  mirror.copied = translated(mirror.copied);
  return mirror;
}

function translated<A extends unknown[], R>(call: Call<A, R>): Call<A, R> {
  return (...args) => {
    try {
      return call(...args);
    } catch (error) {
      throw translate(error);
    }
  };
}

function translate(error: unknown): unknown {
  if (!(error instanceof Error) || !("where" in error) || !("code" in error)) return error;
  const { code, where, what } = error as Error & { code: string; where: string; what: string };
  const known = Object.hasOwn(errorKinds, code) ? (code as ErrorCode) : "internal";
  return new SluiceError({ code: known, where, what });
}
