// Every error that Sluice reports: its code, the exit status of the command line and the HTTP status of the API.

interface ErrorKind {
  /** 1: it ran and failed; 2: wrong usage or configuration. */
  readonly exit: 1 | 2;
  readonly http: number;
  readonly summary: string;
}

export const errorKinds = {
  usage: { exit: 2, http: 400, summary: "The command line is wrong." },
  "file-unreadable": { exit: 2, http: 400, summary: "A file that was named cannot be read." },
  "file-unwritable": { exit: 1, http: 500, summary: "A file or folder cannot be written." },

  "document-syntax": { exit: 2, http: 400, summary: "The document is not valid YAML or JSON." },
  "document-schema": { exit: 2, http: 422, summary: "The document does not have the declared shape." },
  "unknown-key": { exit: 2, http: 422, summary: "The document has a key that does not exist." },
  "unknown-port": { exit: 2, http: 422, summary: "A path names a port that the chain does not have." },
  "unknown-function": { exit: 2, http: 422, summary: "A path names a function that the chain does not have." },
  "branch-cycle": { exit: 2, http: 422, summary: "Branches lead back to where they came from." },
  "unreachable-path": { exit: 2, http: 422, summary: "An earlier path takes everything that this one would." },
  "function-not-found": { exit: 2, http: 422, summary: "No function of that name and version is known." },
  "column-conflict": { exit: 2, http: 422, summary: "Two functions of the chain write the same column." },
  "column-unwritten": { exit: 2, http: 422, summary: "A function reads a column that no function before it writes." },
  "column-type": { exit: 2, http: 422, summary: "A column's reader and its writer declare different types." },
  "event-conflict": { exit: 2, http: 422, summary: "Two functions of the chain define the same event." },
  "unknown-event": { exit: 2, http: 422, summary: "A function subscribes to an event that nobody defines." },
  "unknown-label": { exit: 2, http: 422, summary: "A path asks for a label that no function sets." },
  "answers-conflict": { exit: 2, http: 422, summary: "A port would answer for addresses for which it must not." },
  "chain-limit": { exit: 2, http: 422, summary: "The chain needs more events, labels or memory than there can be." },
  "config-invalid": {
    exit: 2,
    http: 422,
    summary: "A function's configuration does not fit its schema or was refused by it.",
  },

  "manifest-invalid": { exit: 2, http: 422, summary: "A function's manifest does not have the declared shape." },
  "module-invalid": { exit: 2, http: 422, summary: "The file is not a valid WebAssembly module." },
  "module-not-function": {
    exit: 2,
    http: 422,
    summary: "The module's imports or exports are not those of a function.",
  },
  "module-forbidden": { exit: 2, http: 422, summary: "The module uses an instruction that a function may not use." },
  "abi-version": { exit: 2, http: 422, summary: "The function was built for another ABI version." },
  "memory-limit": { exit: 2, http: 422, summary: "The function needs more memory than its manifest declares." },
  "package-invalid": { exit: 2, http: 422, summary: "The file is not a function package." },
  "function-unsound": {
    exit: 1,
    http: 422,
    summary: "The function trapped, hung or left results that do not hold when it was tried.",
  },
  "build-failed": { exit: 1, http: 422, summary: "The function's source does not compile." },
  "function-fault": { exit: 1, http: 500, summary: "A function trapped outside the packet path." },

  "capture-format": { exit: 2, http: 400, summary: "The file is not a pcap or pcapng capture." },
  "capture-link-type": { exit: 2, http: 400, summary: "The capture's link type is not supported." },
  "capture-truncated": {
    exit: 1,
    http: 400,
    summary: "The capture ends in the middle or is damaged; what was readable was processed.",
  },

  "bundle-damaged": { exit: 2, http: 400, summary: "The file is no bundle of a fault, or is damaged." },
  "not-reproduced": { exit: 1, http: 500, summary: "The fault of a bundle did not happen again." },

  "not-installed": { exit: 1, http: 500, summary: "The project's dependencies are not installed." },
  "native-missing": { exit: 1, http: 500, summary: "The native addon is not built." },
  "system-call": { exit: 1, http: 500, summary: "A system call failed." },
  "not-permitted": { exit: 1, http: 500, summary: "A privilege is missing." },
  "not-supported": { exit: 1, http: 500, summary: "The kernel or device lacks a feature." },
  "device-missing": { exit: 1, http: 422, summary: "There is no network device of that name." },
  "device-busy": { exit: 1, http: 409, summary: "The device is in use by another program or chain." },
  "device-vanished": { exit: 1, http: 500, summary: "A network device went away while the chain was running." },
  "state-lost": { exit: 2, http: 409, summary: "A change would lose state of a function that stays." },
  "change-refused": { exit: 2, http: 409, summary: "A running chain cannot be changed in that way." },
  "upgrade-state": { exit: 1, http: 409, summary: "The upgrade is not in a state that allows this step." },
  "upgrade-failed": { exit: 1, http: 500, summary: "A step of an upgrade failed; the generation before goes on." },
  "engine-died": { exit: 1, http: 500, summary: "The engine died so often that it is not started again." },
  "chain-running": { exit: 1, http: 409, summary: "The chain is running already." },
  "not-running": { exit: 1, http: 503, summary: "No engine is running." },
  "watch-limit": { exit: 1, http: 429, summary: "As many watch the chain as can at the same time." },
  "watch-failed": { exit: 1, http: 500, summary: "What watches a chain failed; the chain itself goes on." },
  "nothing-matched": { exit: 1, http: 404, summary: "No packet that was asked for came in time." },

  "request-invalid": {
    exit: 2,
    http: 400,
    summary: "A request's path, query or body does not have the declared shape.",
  },
  "not-found": { exit: 1, http: 404, summary: "There is no such resource." },
  unauthenticated: { exit: 1, http: 401, summary: "The request has no token, or one that is not valid." },
  forbidden: { exit: 1, http: 403, summary: "The token's role does not allow that." },
  "method-not-allowed": { exit: 1, http: 405, summary: "The resource does not take that method." },
  "request-timeout": { exit: 1, http: 408, summary: "The request did not come in time." },
  "revision-conflict": {
    exit: 1,
    http: 412,
    summary: "The chain is not at the revision that the request asks for.",
  },
  "body-too-large": { exit: 1, http: 413, summary: "The request's body is larger than is allowed." },
  "media-type": { exit: 1, http: 415, summary: "The request's body is of a type that is not understood." },
  "headers-too-large": { exit: 1, http: 431, summary: "The request's headers are larger than is allowed." },
  "rate-limited": { exit: 1, http: 429, summary: "There were too many requests from there." },
  "token-exists": { exit: 1, http: 409, summary: "There is a token of that name." },
  "backup-invalid": { exit: 2, http: 422, summary: "The file is no backup of Sluice, or is damaged." },
  "function-exists": { exit: 1, http: 409, summary: "There is another package of that name and version." },
  "function-in-use": { exit: 1, http: 409, summary: "A chain uses that version of the function." },
  "signature-invalid": { exit: 2, http: 422, summary: "The package is not signed by a trusted key." },
  "store-failed": { exit: 1, http: 507, summary: "The store cannot be read or written; nothing has changed." },
  "control-running": { exit: 1, http: 409, summary: "Another control process has the store." },
  "packet-text": { exit: 2, http: 422, summary: "A line of packet text is wrong." },
  "test-failed": { exit: 1, http: 500, summary: "A check did not hold." },
  internal: { exit: 1, http: 500, summary: "Sluice itself is at fault." },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

/** What is allowed and hardly meant: `warning[CODE] WHERE: WHAT`. */
export const warningCodes = ["build", "unused-function", "unused-port", "unused-option", "spread-missing"] as const;

export type WarningCode = (typeof warningCodes)[number];

/** One fault: `error[CODE] WHERE: WHAT`, and how to mend it. */
export interface Fault {
  readonly code: ErrorCode;
  /** `file:line:column`, an interface, a function … whatever the fault is about. */
  readonly where: string;
  readonly what: string;
  readonly help?: string | undefined;
  /** JSON pointer (RFC 6901) into the document, for faults of a document. */
  readonly pointer?: string | undefined;
}

/** The only error that is thrown on purpose. Carries all faults found, at least one. */
export class SluiceError extends Error {
  readonly faults: readonly Fault[];

  constructor(first: Fault, ...rest: readonly Fault[]) {
    super([first, ...rest].map(formatFault).join("\n"));
    this.name = "SluiceError";
    this.faults = [first, ...rest];
  }

  get code(): ErrorCode {
    return (this.faults[0] as Fault).code;
  }

  get exitStatus(): 1 | 2 {
    return errorKinds[this.code].exit;
  }
}

export function formatFault(fault: Fault): string {
  const line = `error[${fault.code}] ${fault.where}: ${fault.what}`;
  return fault.help === undefined ? line : `${line}\nhelp: ${fault.help}`;
}
