// Entry point of redis-session-store/metrics: counts what all stores of the process do.
export type { Counted, MetricsSnapshot, StoreMetrics } from "./counts.js";
export type { Counter, Histogram, Meter, ObservableGauge } from "./meter.js";
export { collectMetrics, type Metrics, type MetricsOptions } from "./metrics.js";
