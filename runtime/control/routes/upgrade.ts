// /api/v1/chains/{name}/upgrade: a change step by step.
import { Type } from "typebox";
import { History } from "../../generation/history.ts";
import type { UpgradeStatus } from "../../generation/upgrade-status.ts";
import { answers, changeCodes, documentCodes, orEvents, stepCodes } from "../answers.ts";
import type { Chains } from "../chains.ts";
import { withoutStatus } from "../document-text.ts";
import * as engines from "../engines.ts";
import { sendEvents, wantsEvents } from "../events.ts";
import { readTime } from "../request-time.ts";
import { chainParams, loadBody, switchBody, transition, upgradeStatus } from "../schemas.ts";
import type { Api } from "../server.ts";

const upgrade = { config: { resource: "upgrade" } } as const;
const PROGRESS_EVERY_MS = 200;

export function addUpgradeRoutes(app: Api, chains: Chains): void {
  addStatus(app);
  app.post(
    "/api/v1/chains/:name/upgrade",
    {
      ...upgrade,
      schema: {
        operationId: "loadUpgrade",
        description: "Builds the next generation beside the running one, which goes on undisturbed.",
        params: chainParams,
        body: loadBody,
        response: answers({ 200: upgradeStatus }, "not-found", ...documentCodes, ...changeCodes),
      },
    },
    async (request) => {
      const {
        params: { name },
        body,
        identity,
      } = request;
      const { document, cold = false, commitWithin, shadow } = body;
      const text = withoutStatus(JSON.stringify(document));
      const declaration = { chain: name, text, where: "body/document", pointer: "/document" };
      const confirmWithinMs = commitWithin === undefined ? undefined : readTime(commitWithin, "body/commitWithin");
      const asked = shadow === undefined ? undefined : { abortOn: shadow.abortOn ?? [] };
      const status = await chains.load(declaration, { cold, confirmWithinMs, shadow: asked }, identity.name);
      request.diff = chains.diffUnderWay(name);
      return status;
    },
  );
  app.post(
    "/api/v1/chains/:name/upgrade/switchover",
    {
      ...upgrade,
      schema: {
        operationId: "switchoverUpgrade",
        description: "Gives the traffic, or a canary's share of it, to the loaded generation.",
        params: chainParams,
        body: Type.Optional(switchBody),
        response: answers({ 200: upgradeStatus }, "usage", ...stepCodes),
      },
    },
    async (request) => {
      const {
        params: { name },
        body,
        identity,
      } = request;
      request.diff = chains.diffUnderWay(name);
      return chains.switchover(name, body ?? {}, identity.name);
    },
  );
  for (const step of ["commit", "abort"] as const) {
    app.post(
      `/api/v1/chains/:name/upgrade/${step}`,
      {
        ...upgrade,
        schema: {
          operationId: `${step}Upgrade`,
          params: chainParams,
          response: answers(
            { 200: upgradeStatus },
            ...stepCodes,
            ...(step === "abort" ? (["device-missing"] as const) : []),
          ),
        },
      },
      async (request) => {
        const {
          params: { name },
          identity,
        } = request;
        request.diff = chains.diffUnderWay(name, step === "abort");
        await (step === "commit" ? chains.confirm(name, identity.name) : chains.abort(name, identity.name));
        return engines.statusOf(name);
      },
    );
  }
}

function addStatus(app: Api): void {
  app.get(
    "/api/v1/chains/:name/upgrade",
    {
      ...upgrade,
      schema: {
        operationId: "getUpgrade",
        params: chainParams,
        response: answers(
          { 200: orEvents(upgradeStatus, "The status; as events: whenever it changes.") },
          ...(["request-invalid", "not-running", "upgrade-failed"] as const),
        ),
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const status = await engines.statusOf(name);
      if (!wantsEvents(request)) return reply.send(status);
      return sendEvents(request, reply, (send, signal) => {
        let last = "";
        const tell = (next: UpgradeStatus) => {
          const text = JSON.stringify(next);
          if (text !== last) send({ event: "upgrade", data: next });
          last = text;
        };
        tell(status);
        const look = () => void engines.statusOf(name).then(tell, () => {});
        const timer = setInterval(look, PROGRESS_EVERY_MS);
        signal.addEventListener("abort", () => clearInterval(timer));
      });
    },
  );
  app.get(
    "/api/v1/chains/:name/upgrade/history",
    {
      ...upgrade,
      schema: {
        operationId: "getUpgradeHistory",
        params: chainParams,
        querystring: Type.Object({ limit: Type.Integer({ minimum: 1, maximum: 10_000, default: 1000 }) }),
        response: answers({ 200: Type.Array(transition) }, "request-invalid", "file-unwritable"),
      },
    },
    async ({ params: { name }, query: { limit } }) => {
      const history = new History();
      try {
        return history.list(name, limit);
      } finally {
        history.close();
      }
    },
  );
}
