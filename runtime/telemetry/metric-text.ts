// Metrics with values that were counted elsewhere, in Prometheus's text format.
import { type Metric, Registry } from "prom-client";
import { type MetricName, metricTable } from "./metric-table.ts";

export type MetricLabels = Readonly<Record<string, string | number>>;

interface MetricValue {
  readonly metricName?: string;
  readonly labels: MetricLabels;
  readonly value: number;
}

export class MetricText {
  readonly #values = new Map<MetricName, MetricValue[]>();

  add(name: MetricName, labels: MetricLabels, value: number): void {
    this.#valuesOf(name).push({ labels, value });
  }

  /** `counts[i]`: how many were above bounds[i - 1] and not above bounds[i]; the last above all of them. */
  addHistogram(
    name: MetricName,
    labels: MetricLabels,
    {
      bounds,
      counts,
      sum,
    }: { readonly bounds: readonly number[]; readonly counts: readonly number[]; readonly sum: number },
  ): void {
    const values = this.#valuesOf(name);
    let count = 0;
    for (const [index, more] of counts.entries()) {
      count += more;
      values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: bounds[index] ?? "+Inf" }, value: count });
    }
    values.push(
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    );
  }

  /** Metrics without a value are left out. */
  async render(): Promise<string> {
    const registry = new Registry();
    for (const name of Object.keys(metricTable) as MetricName[]) {
      const values = this.#values.get(name);
      if (values !== undefined) registry.registerMetric(asMetric(name, values));
    }
    return registry.metrics();
  }

  #valuesOf(name: MetricName): MetricValue[] {
    const known = this.#values.get(name) ?? [];
    this.#values.set(name, known);
    return known;
  }
}

/** What the library asks of a metric when it is written: its own kinds count themselves. */
function asMetric(name: MetricName, values: readonly MetricValue[]): Metric {
  const { type, help } = metricTable[name];
  const metric = { name, help, type, aggregator: "sum", values };
  return { ...metric, get: async () => metric } as unknown as Metric;
}

/** `key=value` as a function declared it; a key that means something else here gets a prefix. */
export function readDeclaredLabel(label: string, taken: readonly string[]): MetricLabels {
  const at = label.indexOf("=");
  if (at < 0) return {};
  const key = label.slice(0, at).replace(/[^A-Za-z0-9_]/g, "_");
  const isFree = /^[A-Za-z][A-Za-z0-9_]*$/.test(key) && !taken.includes(key);
  return { [isFree ? key : `label_${key}`]: label.slice(at + 1) };
}
