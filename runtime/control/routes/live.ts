// What goes on in a running chain at this moment: counters and flows.
import { type Static, Type } from "typebox";
import { portCounters } from "../../dataplane/layout.ts";
import { loadAddon } from "../../dataplane/load-addon.ts";
import { type FoundEngine, findEngines } from "../../dataplane/state-folder.ts";
import { SluiceError } from "../../errors.ts";
import { describeLiveFlow, flowOrders, queryFlows } from "../../telemetry/flow-query.ts";
import { Observer } from "../../telemetry/observer.ts";
import { computeRates, type Rates } from "../../telemetry/rates.ts";
import { answers, orEvents } from "../answers.ts";
import * as engines from "../engines.ts";
import { sendEvents, wantsEvents } from "../events.ts";
import { chainParams, portResource } from "../schemas.ts";
import type { Api } from "../server.ts";
import type { Telemetry } from "../telemetry.ts";

const statsQuery = Type.Object({
  interval: Type.Number({ minimum: 0.1, maximum: 60, default: 1, description: "Seconds over which rates are taken." }),
});

const flowsQuery = Type.Object({
  proto: Type.Optional(Type.String({ maxLength: 32 })),
  host: Type.Optional(Type.String({ maxLength: 64, description: "An address or a prefix, of either end." })),
  port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535, description: "Of either end." })),
  state: Type.Optional(Type.String({ maxLength: 32 })),
  sort: Type.Enum(flowOrders, { default: "bytes" }),
  limit: Type.Integer({ minimum: 0, maximum: 100_000, default: 100 }),
});

const rates = Type.Object(
  {
    chain: Type.String(),
    pid: Type.Integer(),
    seconds: Type.Number(),
    lanes: Type.Array(Type.Object({ lane: Type.Integer(), frames: Type.Integer(), flows: Type.Integer() })),
    ports: Type.Array(Type.Object({ port: Type.String(), device: Type.String(), dropped: Type.Integer() })),
    functions: Type.Array(Type.Object({ function: Type.String(), package: Type.String(), faults: Type.Integer() })),
    hops: Type.Array(
      Type.Object({
        hop: Type.Integer(),
        path: Type.Integer(),
        function: Type.String(),
        framesPerSecond: Type.Number(),
      }),
    ),
    drops: Type.Array(Type.Object({ reason: Type.String(), count: Type.Integer() })),
  },
  { description: "Per second, over the interval; drops and counters in all." },
);

const liveFlows = Type.Object({
  chain: Type.String(),
  total: Type.Integer({ description: "Of those that were asked for, before the limit." }),
  flows: Type.Array(
    Type.Object({
      flow: Type.Integer(),
      proto: Type.String(),
      src_ip: Type.String(),
      src_port: Type.Integer(),
      dest_ip: Type.String(),
      dest_port: Type.Integer(),
      packets_to_server: Type.Integer(),
      packets_to_client: Type.Integer(),
      bytes_to_server: Type.Integer(),
      bytes_to_client: Type.Integer(),
      state: Type.String(),
    }),
  ),
});

const alerts = Type.Array(
  Type.Object({ timestamp: Type.String(), event_type: Type.String() }, { description: "In the form of EVE." }),
);

export function addLiveRoutes(app: Api, telemetry: Telemetry): void {
  addAlerts(app, telemetry);
  app.get(
    "/api/v1/chains/:name/stats",
    {
      config: { resource: "stats" },
      schema: {
        operationId: "getStats",
        params: chainParams,
        querystring: statsQuery,
        response: answers(
          { 200: orEvents(rates, "Rates; as events: every interval.") },
          ...(["request-invalid", "not-running", "system-call"] as const),
        ),
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { interval } = request.query;
      const observer = observe(name);
      if (!wantsEvents(request)) return reply.send(await observeFor(observer, interval));
      return sendEvents(request, reply, (send, signal) => watch(name, interval, send, signal));
    },
  );
  app.get(
    "/api/v1/chains/:name/flows",
    {
      config: { resource: "flows" },
      schema: {
        operationId: "getFlows",
        params: chainParams,
        querystring: flowsQuery,
        response: answers(
          { 200: orEvents(liveFlows, "The live flows; as events: these every second, and each flow that ends.") },
          ...(["request-invalid", "usage", "not-running", "system-call"] as const),
        ),
      },
    },
    async (request, reply) => {
      const read = () => readFlows(request.params.name, request.query);
      const now = read();
      if (!wantsEvents(request)) return reply.send(now);
      return sendEvents(request, reply, (send, signal) => {
        send({ event: "flows", data: now });
        const timer = setInterval(() => tryTo(() => send({ event: "flows", data: read() })), 1000);
        void telemetry.listen(request.params.name, ["flow"], (data) => send({ event: "flow", data }), signal);
        signal.addEventListener("abort", () => clearInterval(timer));
      });
    },
  );
  app.get(
    "/api/v1/ports",
    {
      config: { resource: "ports" },
      schema: { operationId: "listPorts", response: answers({ 200: Type.Array(portResource) }, "system-call") },
    },
    async () => findEngines().flatMap(describePorts),
  );
}

function addAlerts(app: Api, telemetry: Telemetry): void {
  app.get(
    "/api/v1/chains/:name/alerts",
    {
      config: { resource: "alerts" },
      schema: {
        operationId: "getAlerts",
        params: chainParams,
        response: answers(
          {
            200: orEvents(
              alerts,
              "The last events of functions, and sampled drops, since somebody asked first; as events: those that come.",
            ),
          },
          ...(["request-invalid", "not-running"] as const),
        ),
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      requireRunning(name);
      if (!wantsEvents(request)) return reply.send(telemetry.recent(name));
      return sendEvents(request, reply, (send, signal) => {
        const tell = (data: object) => send({ event: (data as { event_type: string }).event_type, data });
        void telemetry.listen(name, ["event", "drop"], tell, signal);
      });
    },
  );
}

function readFlows(chain: string, { limit, ...query }: Static<typeof flowsQuery>) {
  const flows = queryFlows(loadAddon(), requireRunning(chain), query);
  return { chain, total: flows.length, flows: flows.slice(0, limit).map(describeLiveFlow) };
}

function requireRunning(chain: string): FoundEngine {
  const found = engines.findRunning(chain);
  if (found !== undefined) return found;
  throw new SluiceError({ code: "not-running", where: chain, what: "no engine runs this chain" });
}

function observe(chain: string): Observer {
  const { path, engine } = requireRunning(chain);
  return new Observer(loadAddon(), path, engine);
}

async function observeFor(observer: Observer, seconds: number): Promise<Rates> {
  const before = observer.snapshot();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  return computeRates(observer.engine, before, observer.snapshot(), seconds);
}

/** Also of an engine that takes the place of this one; while there is none, nothing is said. */
function watch(
  chain: string,
  seconds: number,
  send: (event: { event: string; data: unknown }) => void,
  signal: AbortSignal,
): void {
  let observer: Observer | undefined = observe(chain);
  let before = observer.snapshot();
  let at = performance.now();
  const look = () => {
    const found = engines.findRunning(chain);
    const isSame =
      found?.engine.pid === observer?.engine.pid && found?.engine.generation === observer?.engine.generation;
    if (found === undefined || observer === undefined || !isSame) {
      observer = found === undefined ? undefined : observe(chain);
      if (observer !== undefined) before = observer.snapshot();
      return;
    }
    const now = performance.now();
    const after = observer.snapshot();
    send({ event: "stats", data: computeRates(observer.engine, before, after, (now - at) / 1000) });
    [before, at] = [after, now];
  };
  const timer = setInterval(() => tryTo(look), seconds * 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** An engine may end between two looks. */
function tryTo(look: () => void): void {
  try {
    look();
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
  }
}

function describePorts({ path, engine }: FoundEngine) {
  const { ports } = new Observer(loadAddon(), path, engine).snapshot();
  return engine.ports.map(({ name, device, mode, refused }, index) => {
    const values = ports[index] as (typeof ports)[number];
    const counters = Object.fromEntries(portCounters.map((counter) => [counter, values[counter]]));
    return { chain: engine.chain, port: name, device, mode, refused, counters };
  });
}
