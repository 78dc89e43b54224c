// The API asked for what its own description allows, almost allows and forbids: no answer is a surprise.
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type AnsweringHost, startAnsweringHost } from "../support/answering-host.ts";
import { type ApiCall, callsOf } from "../support/api-arbitraries.ts";
import { ApiDescription, type Operation } from "../support/api-description.ts";
import { tapDocument } from "../support/api-requests.ts";
import { nextLoopback, RunningControl } from "../support/running-control.ts";

const SECONDS = 20;
const seed = Number(process.env.SLUICE_FUZZ_SEED ?? Date.now() % 2 ** 31);

let control: RunningControl;
let host: AnsweringHost;
let api: ApiDescription;

beforeAll(async () => {
  control = await RunningControl.start();
  host = await startAnsweringHost(control.stateFolder);
  api = await ApiDescription.read(control);
});

afterAll(async () => {
  host?.close();
  await control?.dispose();
});

async function findFault(operation: Operation, call: ApiCall, token: string): Promise<string | null> {
  const { path, method } = { path: call.address, method: operation.method };
  const request = { method, headers: call.headers, body: call.body, token, from: nextLoopback() };
  const answered = await control.ask(path, request).catch((error: Error) => error);
  // What Node itself refuses to send was not asked.
  if (answered instanceof Error) return /ERR_|Invalid|unescaped/.test(`${answered}`) ? null : `no answer: ${answered}`;
  const { status, body } = answered;
  if (status === 500) return "an unexpected 500";
  // Another operation's business, or nobody's.
  if (!call.isFound) return status < 400 || body.status === status ? null : `${status} is no problem details`;
  return api.findFault(operation, answered);
}

it(`gives no answer that it does not announce (SLUICE_FUZZ_SEED=${seed})`, async () => {
  await control.ask("/api/v1/chains/edge", { method: "PUT", body: tapDocument("edge") });
  const fuzzer = await control.makeToken("admin", "fuzzer");
  const asked = new Map<string, number>();
  const calls = fc.oneof(
    ...api.operations.map((operation) =>
      callsOf(api, operation).map((call) => ({ operationId: operation.operationId, call })),
    ),
  );
  const property = fc.asyncProperty(calls, async ({ operationId, call }) => {
    const operation = api.find(operationId);
    asked.set(operationId, (asked.get(operationId) ?? 0) + 1);
    const fault = await findFault(operation, call, fuzzer);
    // Its own token may be what it has revoked.
    if (fault !== null) throw new Error(`${operation.method} ${call.address}: ${fault}`);
  });
  const limits = { numRuns: 4000, interruptAfterTimeLimit: SECONDS * 1000, markInterruptAsFailure: false };
  await fc.assert(property, { seed, ...limits, endOnFailure: false });
  const total = [...asked.values()].reduce((sum, count) => sum + count, 0);
  process.stdout.write(`${total} requests to ${asked.size} operations, seed ${seed}\n`);
  expect(asked.size).toBe(api.operations.length);
  expect(total).toBeGreaterThan(300);
  expect((await control.ask("/healthz")).status).toBe(200);
}, 120_000);
